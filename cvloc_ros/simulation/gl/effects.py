# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a real camera adds to an image: exposure, vignetting, noise, own bodywork, rain drops, dirt."""

from __future__ import annotations

import math

import cv2
import numpy as np

from cvloc_ros.simulation.camera import own_vehicle
from cvloc_ros.simulation.looks import LookSpec
from cvloc_ros.simulation.scene import CameraSpec
from cvloc_ros.types import F32, U8, Mask

_NOISES = 6
_WANTED = 118.0
"""Mean level that the exposure control is after."""


class Effects:
    """The imperfections of one camera."""

    def __init__(self, spec: CameraSpec, look: LookSpec, rng: np.random.Generator) -> None:
        self.mask: Mask = own_vehicle(spec)
        shape = (spec.height, spec.width)
        strength = 2.4 if not look.night else 7.0
        # Cameras of one vehicle are never quite alike: each has its own sensitivity and colour balance.
        self._own = rng.normal(1.0, [0.02, 0.012, 0.02], 3) * rng.uniform(0.94, 1.06)
        self._noise = [rng.normal(0, strength, (*shape, 3)).astype(np.int16) for _ in range(_NOISES)]
        gain = _vignette(spec) if spec.lens != "panorama" else np.ones((*shape, 3), np.float32)
        self._gain = np.asarray(gain * self._own, np.float32)
        self._body = _body(spec, look, self.mask)
        self._drops = _drops(shape, look.rain, rng) if look.rain > 0 else None
        self._dirt = _dirt(shape, look.dirt, rng) if look.dirt > 0 else None

    @property
    def clear(self) -> Mask:
        """(H, W) pixels that show what lies along their rays."""
        out = ~self.mask
        if self._drops is not None:
            v, u = np.mgrid[0 : len(out), 0 : out.shape[1]]
            out &= (self._drops[0] == u) & (self._drops[1] == v)
        return out if self._dirt is None else out & (self._dirt[..., 0] > 0.7)

    def apply(self, image: U8, frame: int) -> U8:
        """Return the image (H, W, 3) as the camera delivers it; `frame` chooses exposure and noise."""
        exposure = _automatic(image, self.mask) * (1.0 + 0.03 * math.sin(frame * 0.11) + 0.015 * math.sin(frame * 1.7))
        if self._drops is not None:
            image = np.asarray(cv2.remap(image, *self._drops, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
        if self._dirt is not None:
            image = (image * self._dirt + (1 - self._dirt) * 74).astype(np.uint8)
        lit = np.asarray(cv2.multiply(image, self._gain * np.float32(exposure), dtype=cv2.CV_16S))
        lit[self.mask] = self._body[self.mask]
        lit += np.roll(self._noise[frame % _NOISES], (frame * 37) % len(image), axis=0)
        return np.asarray(np.clip(lit, 0, 255), dtype=np.uint8)


def _automatic(image: U8, mask: Mask) -> float:
    """Gain of an exposure control that answers in part, and within its limits, to how bright the scene is."""
    level = float(np.mean(cv2.mean(image, (~mask).astype(np.uint8))[:3]))
    return float(np.clip((_WANTED / max(level, 1.0)) ** 0.3, 0.8, 1.25))


def _vignette(spec: CameraSpec) -> F32:
    u, v = np.meshgrid(np.linspace(-1, 1, spec.width), np.linspace(-1, 1, spec.height) * spec.height / spec.width)
    return np.repeat((1.03 - 0.14 * (u**2 + v**2))[..., None], 3, axis=2).astype(np.float32)


def _body(spec: CameraSpec, look: LookSpec, mask: Mask) -> U8:
    rows = np.linspace(0, 1, spec.height)[:, None, None]
    columns = np.linspace(-1, 1, spec.width)[None, :, None]
    shine = np.exp(-((columns - 0.25) ** 2) / 0.08) * 42
    image = np.clip(np.array([52.0, 60.0, 72.0]) + shine + (1 - rows) * 300 * (spec.lens == "pinhole"), 20, 235)
    image[mask & ~np.roll(mask, 2, axis=0)] = (28, 30, 34)
    if spec.lens != "pinhole":
        image[:] = 9
    return np.asarray((image * (0.12 if look.night else 1.0)).astype(np.uint8))


def _drops(shape: tuple[int, int], rain: float, rng: np.random.Generator) -> tuple[F32, F32]:
    """Tables (H, W) of a lens with drops on it: each shows the scene small and upside down."""
    v, u = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    from_u, from_v = u.copy(), v.copy()
    for _ in range(round(rain * shape[0] * shape[1] / 5000)):
        x, y = rng.uniform(0, shape[1]), rng.uniform(0, shape[0])
        radius = float(rng.uniform(2.0, 9.0))
        left, top = max(0, int(x - radius)), max(0, int(y - radius))
        part = slice(top, int(y + radius) + 1), slice(left, int(x + radius) + 1)
        away = np.hypot(u[part] - x, v[part] - y)
        inside = away < radius
        from_u[part] = np.where(inside, x - (u[part] - x) * 5, from_u[part])
        from_v[part] = np.where(inside, y - (v[part] - y) * 5, from_v[part])
    return from_u, from_v


def _dirt(shape: tuple[int, int], dirt: float, rng: np.random.Generator) -> F32:
    """Share (H, W, 1) of the light that gets through."""
    spots = np.zeros(shape, np.float32)
    for _ in range(round(40 * dirt)):
        centre = (int(rng.integers(shape[1])), int(rng.integers(shape[0])))
        cv2.circle(spots, centre, int(rng.integers(3, 30)), float(rng.uniform(0.3, 0.9)), -1)
    return np.asarray(1 - cv2.GaussianBlur(spots, (0, 0), 6.0)[..., None], dtype=np.float32)
