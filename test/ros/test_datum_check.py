# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""navsat_transform with another datum is told in diagnostics, by its parameters over DDS."""

from __future__ import annotations

import math

import pytest
import rclpy
from rclpy.parameter import Parameter
from rig import DATUM, wait_for

from cvloc_ros.geo.projection import Projection
from cvloc_ros.ros import datum_check
from cvloc_ros.ros.datum_check import disagreement

GOOD = {"wait_for_datum": True, "datum": DATUM, "use_local_cartesian": False, "magnetic_declination_radians": 0.0,
        "yaw_offset": 0.0}  # fmt: skip
OURS = Projection("utm", *DATUM)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, ""),
        ({"datum": [47.0, 8.0, -0.3], "yaw_offset": 0.2, "magnetic_declination_radians": 0.1}, ""),
        ({"datum": [47.0, 8.0, math.tau]}, ""),
        ({"datum": [47.0, 8.000001, 0.0]}, ""),
        ({"datum": [47.0, 8.00001, 0.0]}, "0.7"),
        ({"yaw_offset": math.pi / 2}, "1414"),
        ({"use_local_cartesian": True}, "use_local_cartesian"),
        ({"datum": [0.0, 0.0, 0.0]}, "another map"),
        ({"datum": []}, "0 numbers"),
        ({"datum": None}, "0 numbers"),
        ({"wait_for_datum": False}, "first fix"),
    ],
)
def test_every_way_to_another_map_is_named(changed, words):
    text = disagreement(OURS, {**GOOD, **changed}, "/navsat_transform")
    assert (words in text) if words else not text


@pytest.fixture
def navsat():
    """Make navsat_transform as far as its parameters go."""
    made = []

    def make(namespace: str, **parameters) -> rclpy.node.Node:
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        made.append(rclpy.create_node(
            "navsat_transform", namespace=namespace, parameter_overrides=overrides,
            automatically_declare_parameters_from_overrides=True,
        ))  # fmt: skip
        return made[-1]

    yield make
    for node in made:
        node.destroy_node()


def state(made) -> str:
    return made.node._situation(made.node.parameters.current).datum_check


def test_same_datum_is_found_and_a_changed_one_is_told(rig, navsat, monkeypatch):
    monkeypatch.setattr(datum_check, "LOOK_S", 0.05)
    monkeypatch.setattr(datum_check, "AGAIN_S", 0.2)
    made = rig()
    assert state(made) == f"no /{made.namespace}/navsat_transform"
    theirs = navsat(made.namespace, **GOOD)
    made._executor.add_node(theirs)
    wait_for(lambda: state(made).startswith("same map"), what="comparison")
    assert "datum" not in made.node.health.snapshot().troubles
    theirs.set_parameters([Parameter("datum", value=[47.1, 8.0, 0.0])])
    assert "another map" in wait_for(lambda: made.node.health.snapshot().troubles.get("datum"))
    assert "another map" in state(made)
    made._executor.remove_node(theirs)
    theirs.destroy_node()
    wait_for(lambda: "datum" not in made.node.health.snapshot().troubles)


def test_parameters_that_are_not_declared_count_as_the_default(rig, navsat, monkeypatch):
    monkeypatch.setattr(datum_check, "LOOK_S", 0.05)
    made = rig()
    made._executor.add_node(navsat(made.namespace, wait_for_datum=True, datum=DATUM))
    wait_for(lambda: state(made).startswith("same map"), what="comparison")


def test_no_comparison_where_none_is_wanted(rig):
    made = rig(geo__navsat_node="")
    assert state(made) == "off"
    assert not [client for client in made.node.clients if "navsat" in client.srv_name]


def test_lifecycle_leaves_no_client_behind(rig):
    made = rig()
    before = len(list(made.node.clients))
    for _ in range(3):
        made.transition("deactivate")
        made.transition("activate")
    assert len(list(made.node.clients)) == before
