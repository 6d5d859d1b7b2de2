# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Compares the map of robot_localization's navsat_transform with ours: two datums are two maps.

Its parameters tell all that its map is made of, and every node answers what they are; its services exist only once it
has had odometry, and need its package.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python

from cvloc_ros.config import Config
from cvloc_ros.errors import GeoError
from cvloc_ros.geo.projection import Kind, Projection, metres_apart
from cvloc_ros.ros.health import Health
from cvloc_ros.session import Session

LARGEST_M = 0.2
"""Further apart within 1 km of the datum, the maps are not the same."""

LOOK_S, AGAIN_S = 1.0, 30.0
ALWAYS = ("wait_for_datum", "use_local_cartesian", "magnetic_declination_radians", "yaw_offset")
DATUM = "datum"  # declared only where wait_for_datum is true


class DatumCheck:
    """Asks as soon as the node is there, and again now and then; says what it found to `health` and in `state`."""

    def __init__(self, node: Node, config: Config, session: Session, health: Health) -> None:
        """Start looking, unless `geo.navsat_node` is empty."""
        self._node, self._session, self._health = node, session, health
        self._answers: dict[str, Any] = {}
        self._pending: list[Any] = []
        self._asked_s = -math.inf
        self._client = self._timer = None
        self._name = ""
        self.state = "off"
        if config.geo.navsat_node:
            self._name = node.resolve_service_name(config.geo.navsat_node)
            self._client = node.create_client(GetParameters, f"{self._name}/get_parameters")
            self._timer = node.create_timer(LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))
            self.state = f"no {self._name}"

    def close(self) -> None:
        """Stop asking."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        if self._client is not None:
            self._node.destroy_client(self._client)

    def _look(self) -> None:
        if self._client is None:
            return
        if not self._client.service_is_ready():
            self.state, self._asked_s = f"no {self._name}", -math.inf
            self._health.trouble("datum", "")
        elif time.monotonic() - self._asked_s > AGAIN_S:
            self._asked_s = time.monotonic()
            for future in self._pending:  # of a node that went away
                self._client.remove_pending_request(future)
            self._pending, self._answers = [], {}
            for name in ALWAYS:
                self._ask(name)

    def _ask(self, name: str) -> None:
        """Ask for one at a time: a name that is not declared spoils the answer to all others."""
        if self._client is not None:
            future = self._client.call_async(GetParameters.Request(names=[name]))
            self._pending.append(future)
            future.add_done_callback(partial(self._on_answer, name))

    def _on_answer(self, name: str, future: Any) -> None:
        if future not in self._pending:
            return
        self._pending.remove(future)
        values = future.result().values
        self._answers[name] = parameter_value_to_python(values[0]) if values else None
        if name == "wait_for_datum" and self._answers[name]:
            self._ask(DATUM)
        if not self._pending:
            self._judge()

    def _judge(self) -> None:
        ours = self._session.projection
        if ours is None:
            self.state, self._asked_s = "waiting for our own datum", -math.inf
            return
        fault = disagreement(ours, self._answers, self._name)
        self.state = fault or f"same map as {self._name}"
        self._health.trouble("datum", fault)


def disagreement(ours: Projection, theirs: Mapping[str, Any], name: str) -> str:
    """Return how the map that navsat_transform makes of its parameters differs from ours, "" where it does not."""
    if not theirs.get("wait_for_datum"):
        return (
            f"{name} takes its origin from its first fix: set its wait_for_datum to true and its datum to "
            f"{_shown(ours)}"
        )
    datum = list(theirs.get(DATUM) or ())
    if len(datum) != 3:
        return f"the datum of {name} has {len(datum)} numbers and counts as 0, 0: set it to {_shown(ours)}"
    yaw_rad = datum[2] + sum(float(theirs.get(term) or 0.0) for term in ("magnetic_declination_radians", "yaw_offset"))
    kind: Kind = "local_enu" if theirs.get("use_local_cartesian") else "utm"
    other = f"{kind} at {datum[0]}, {datum[1]} with yaw {yaw_rad:.6g}"
    try:
        apart_m = metres_apart(ours, Projection(kind, datum[0], datum[1], yaw_rad, gnss_datum=ours.gnss_datum))
    except GeoError as err:
        return f"{name} lies in another map, {other}, than this node, {_shown(ours)}: {err}"
    if apart_m <= LARGEST_M:
        return ""
    return (
        f"{name} lies in another map, {other}, than this node, {ours.kind} at {_shown(ours)}: up to {apart_m:.2f} m "
        "apart within 1 km; give both the same datum, and use_local_cartesian true for local_enu, false for utm"
    )


def _shown(ours: Projection) -> str:
    return f"[{ours.latitude_deg}, {ours.longitude_deg}, {ours.yaw_rad:.6g}]"
