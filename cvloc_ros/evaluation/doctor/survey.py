# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Looks at every message once and keeps what the checks need; the same for a bag and for live topics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvloc_ros import messages
from cvloc_ros.errors import ImageError
from cvloc_ros.evaluation.topics import Wiring
from cvloc_ros.geo.transforms import TransformTree
from cvloc_ros.types import CameraModel, GeoFix, HeadingSample, OdomSample

ALL_HISTORY_S = 1e6


@dataclass(slots=True)
class Stream:
    """Header stamps and arrival times (ns) of one topic, and the frames it uses."""

    stamps_ns: list[int] = field(default_factory=list)
    arrivals_ns: list[int] = field(default_factory=list)
    frames: set[str] = field(default_factory=set)

    def delays_s(self) -> NDArray[np.float64]:
        """Return arrival minus stamp in seconds."""
        late = np.array(self.arrivals_ns, dtype=np.int64) - np.array(self.stamps_ns, dtype=np.int64)
        return np.asarray(late * 1e-9, dtype=np.float64)

    def rate_hz(self) -> float:
        """Return the median rate of the stamps; 0 where it is unknown."""
        steps = np.diff(np.sort(np.array(self.stamps_ns, dtype=np.int64))).astype(np.float64)
        steps = steps[steps > 0]
        return 1e9 / float(np.median(steps)) if len(steps) else 0.0


@dataclass(slots=True)
class CameraSurvey:
    """Size of the first image, or why it cannot be decoded; the model, or why the calibration is refused."""

    image_size: tuple[int, int] | None = None
    image_fault: str = ""
    model: CameraModel | None = None
    info_fault: str = ""
    info: Any = None
    frame_id: str = ""


@dataclass(slots=True)
class Survey:
    """What was seen. `wiring` tells which topic is what."""

    wiring: Wiring
    streams: dict[str, Stream] = field(default_factory=dict)
    cameras: dict[str, CameraSurvey] = field(default_factory=dict)
    tree: TransformTree = field(default_factory=lambda: TransformTree(ALL_HISTORY_S))
    tf_faults: dict[str, int] = field(default_factory=dict)
    fixes: list[GeoFix] = field(default_factory=list)
    datum: GeoFix | None = None
    """Origin of the map of a localizer that ran, or runs."""

    unknown_covariances: int = 0
    odom_children: set[str] = field(default_factory=set)
    track: list[OdomSample] = field(default_factory=list)
    headings: list[HeadingSample] = field(default_factory=list)

    def see(self, topic: str, arrival_ns: int, message: Any) -> None:
        """Look at one message."""
        wiring = self.wiring
        if topic in ("/tf", "/tf_static"):
            self._transforms(message, static=topic == "/tf_static")
            return
        if topic == wiring.datum:
            self.datum = messages.fix(message)
            return
        stream = self.streams.setdefault(topic, Stream())
        stream.stamps_ns.append(messages.stamp_ns(message))
        stream.arrivals_ns.append(arrival_ns)
        stream.frames.add(message.header.frame_id)
        if topic in wiring.images:
            self._image(wiring.images[topic], message)
        elif topic in wiring.infos:
            self._info(wiring.infos[topic], message)
        elif topic == wiring.fix:
            self.fixes.append(messages.fix(message))
            self.unknown_covariances += int(message.position_covariance_type) == 0
        elif topic == wiring.odom:
            self.odom_children.add(messages.frame(message.child_frame_id))
            self.track.append(messages.odometry(message))
        elif topic == wiring.heading and (heading := messages.heading(message, 1.0)) is not None:
            self.headings.append(heading)

    def _transforms(self, message: Any, *, static: bool) -> None:
        for edge in messages.transforms(message):
            fault = self.tree.add(edge.parent, edge.child, edge.stamp_ns, edge.matrix, static=static)
            if fault:
                key = f"{edge.parent} -> {edge.child}: {fault}"
                self.tf_faults[key] = self.tf_faults.get(key, 0) + 1

    def _image(self, camera: str, message: Any) -> None:
        seen = self.cameras.setdefault(camera, CameraSurvey())
        if seen.image_size or seen.image_fault:
            return
        seen.frame_id = messages.frame(message.header.frame_id)
        try:
            rgb = messages.image(message, camera).decode()
            seen.image_size = (rgb.shape[1], rgb.shape[0])
        except ImageError as err:
            seen.image_fault = str(err)

    def _info(self, camera: str, message: Any) -> None:
        seen = self.cameras.setdefault(camera, CameraSurvey())
        if seen.info is not None:
            return
        seen.info = message
        try:
            seen.model = messages.camera_model(message, self.wiring.config.cameras[camera])
        except ImageError as err:
            seen.info_fault = str(err)
