# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Features of ground rasters that survive the change of sensor: normalised signed gradients.

Chosen by measurement on a real street drive (docs/classical.md): brightness, at whatever local normalisation, follows
the shadow edge; unsigned orientation is not distinctive; the signed gradient direction is neither.
"""

from __future__ import annotations

import cv2
import numpy as np

from cvloc_ros.types import F32, U8, Mask

_SMOOTH_M = 0.2  # kerbs and lane markings survive, gravel and sensor noise do not
_NEIGHBOURHOOD_M = 1.5  # contrast is measured over about half a lane
_NOISE = 0.006  # gradient per cell of a featureless surface, brightness 0..1


def gradient_direction(rgb: U8, valid: Mask, resolution_m: float) -> tuple[F32, F32]:
    """Compute the gradient, compressed to length 0..1 by the contrast of its surroundings.

    Args:
        rgb: Ground raster (H, W, 3), +x right, +y up.
        valid: (H, W).
        resolution_m: Cell size in metres.

    Returns:
        features (2, H, W): gradient along +x and +y; mask (H, W) f32: 1 where both can be trusted.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    inside = valid.astype(np.float32)
    sigma = _SMOOTH_M / resolution_m
    smooth = np.asarray(_blur(grey * inside, sigma) / np.maximum(_blur(inside, sigma), 1e-6), np.float32)
    smooth[~valid] = 0.0
    trusted = cv2.erode(valid.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=0).astype(np.float32)
    along_x = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=0.125) * trusted
    along_y = -cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=0.125) * trusted
    power = along_x**2 + along_y**2
    around = _NEIGHBOURHOOD_M / resolution_m
    local = _blur(power, around) / np.maximum(_blur(trusted, around), 1e-6)
    gain = 1.0 / np.sqrt(power + 0.1 * local + _NOISE**2)
    return np.stack([along_x * gain, along_y * gain]), trusted


def _blur(image: F32, sigma: float) -> F32:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT), np.float32)
