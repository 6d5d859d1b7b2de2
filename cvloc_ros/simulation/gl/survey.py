# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The map of a world: the view from above on its own day, as a survey delivers it, errors included."""

from __future__ import annotations

import cv2
import numpy as np

from cvloc_ros.simulation.gl.renderer import Renderer
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.registration import warped
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.types import U8

_FINEST_M = 0.1
_BLUR_PX = (0.55, 0.9)
_SHARPENED = (0.0, 0.55)
_QUALITY = (68, 93)
"""Quality of the JPEG that the survey delivers."""


def survey(scene: Scene, renderer: Renderer) -> tuple[Grid, U8]:
    """Render the map of the world: north up, (rows, columns, 3), with the scene's pixel size and registration error."""
    grid = Grid.centred(scene.size_m, max(scene.map_pixel_m, _FINEST_M))
    image = warped(scene, grid, lambda moved: renderer.aerial(moved, scene.lean))
    return grid, develop(image, scene.rng("survey camera"))


def develop(image: U8, rng: np.random.Generator) -> U8:
    """Add what a survey camera and its processing do: blur, sharpening, colour balance, haze, noise, JPEG."""
    blur, sharpened, quality = rng.uniform(*_BLUR_PX), rng.uniform(*_SHARPENED), int(rng.integers(*_QUALITY))
    soft = cv2.GaussianBlur(image, (0, 0), blur).astype(np.float32)
    soft += np.float32(sharpened) * (soft - cv2.GaussianBlur(soft, (0, 0), 1.6))
    tone = rng.uniform(0.95, 1.05, 3).astype(np.float32)
    grade = np.float32(rng.uniform(0.72, 0.94))
    out = np.empty_like(image)
    for top in range(0, len(image), 512):
        part = soft[top : top + 512]
        grey = part.mean(axis=-1, keepdims=True)
        part = (grey + (part - grey) * grade) * tone * 0.9 + np.array([10, 12, 16], np.float32)
        part = part + rng.normal(0, 2.2, (*part.shape[:2], 1)).astype(np.float32)
        out[top : top + 512] = np.clip(part, 0, 255).astype(np.uint8)
    # Imagery has been compressed before it is cut into tiles, whatever these are.
    kept = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(kept, cv2.IMREAD_COLOR), dtype=np.uint8)
