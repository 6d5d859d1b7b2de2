# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the GNSS antennas are on the vehicle, from TF."""

from __future__ import annotations

import numpy as np

from cvloc_ros.geo.transforms import FrameLookupError, TransformTree
from cvloc_ros.types import F64


class Antennas:
    """Lever arms by frame; a frame that TF learns of later becomes right for the fixes before as well."""

    def __init__(self, transforms: TransformTree, base: str) -> None:
        """Look frames up in this tree, relative to the base frame."""
        self._transforms, self._base = transforms, base
        self._levers: dict[str, F64] = {}
        self._sought: set[str] = set()

    @property
    def trouble(self) -> str:
        """Which frames are unknown, with the remedy; "" if none are."""
        frames = ", ".join(sorted(self._sought))
        hint = f"fixes are taken to be at {self._base}; publish {self._base} -> {frames}"
        return f"antenna frame {frames} is not in TF: {hint}" if frames else ""

    def lever(self, frame: str) -> F64:
        """Antenna in base (2,), one array a frame: zero until TF knows the frame, and then right for all its fixes."""
        if not frame or frame == self._base:
            return np.zeros(2)
        if frame not in self._levers:
            self._levers[frame] = np.zeros(2)
            self._sought.add(frame)
        return self._levers[frame]

    def find(self, stamp_ns: int) -> None:
        """Fill in the frames that TF knows by now."""
        for frame in tuple(self._sought):
            try:
                T_base_antenna = self._transforms.lookup(self._base, frame, stamp_ns)
            except FrameLookupError:
                continue
            self._levers[frame][:] = T_base_antenna[:2, 3]
            self._sought.discard(frame)
