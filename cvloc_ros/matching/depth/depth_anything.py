# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth Anything V2, relative or metric, from a local folder in the layout of `transformers`."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from cvloc_ros.errors import ModelError
from cvloc_ros.matching.depth.depth_map import DepthMap, along, known
from cvloc_ros.matching.depth.flat_ground import distance_to_ground
from cvloc_ros.types import F32, F64, GroundView

SOURCES = (
    "https://huggingface.co/depth-anything/Depth-Anything-V2-Metric-Outdoor-Small-hf (metric, Apache-2.0)",
    "https://huggingface.co/depth-anything/Depth-Anything-V2-Small-hf (relative, Apache-2.0)",
    "the Base and Large sizes beside them (CC-BY-NC-4.0: no commercial use)",
)
_SIDE_PX = 518
_PATCH_PX = 14
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_FAR_M = 200.0
_FIT_STEP_PX = 8
_FIT_WITHIN_M = 40.0


class DepthAnything:
    """Depth from one image. Relative models give inverse depth up to scale and shift: the shift is found on the road.

    A panorama is treated as an image like any other, its values as distances along the rays: a model for panoramas
    (UniK3D) is the better choice there.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Load the model.

        Raises:
            ModelError: the folder or the package is missing, or it holds another model.
        """
        self._model, self.metric = _load(folder)
        self._device = device
        self._half = device.type == "cuda"
        self._model = self._model.to(device, torch.float16 if self._half else torch.float32).eval()

    def __call__(self, view: GroundView) -> DepthMap:
        """Run the network on the image of a view."""
        output = self._infer(view.rgb)
        values = known(output) if self.metric else _from_inverse(output, view)
        return DepthMap(values, along(view), self.metric)

    @torch.inference_mode()
    def _infer(self, rgb: np.ndarray[Any, np.dtype[np.uint8]]) -> F32:
        scale = _SIDE_PX / min(rgb.shape[:2])
        height, width = (max(round(size * scale / _PATCH_PX), 1) * _PATCH_PX for size in rgb.shape[:2])
        resized = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        pixels = torch.from_numpy(np.ascontiguousarray(resized)).to(self._device).permute(2, 0, 1).float() / 255
        mean, std = (torch.tensor(values, device=self._device).view(3, 1, 1) for values in (_MEAN, _STD))
        pixels = ((pixels - mean) / std)[None]
        predicted = self._model(pixel_values=pixels.half() if self._half else pixels).predicted_depth
        result: F32 = predicted[0].float().cpu().numpy()
        return result

    def close(self) -> None:
        """Free device memory."""
        self._model = self._model.to("cpu")


def _load(folder: Path) -> tuple[Any, bool]:
    """Return the model and whether it is metric."""
    remedy = "fetch config.json and model.safetensors into a folder and name it in matcher.depth.weights: "
    if not (folder / "config.json").is_file():
        msg = f"no Depth Anything V2 in {str(folder)!r}; {remedy}{'; '.join(SOURCES)}"
        raise ModelError(msg)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        transformers: Any = importlib.import_module("transformers")
    except ImportError as err:
        msg = "matcher.depth.source = depth_anything needs transformers: pip install cvloc_ros[gpu]"
        raise ModelError(msg) from err
    try:
        model, notes = transformers.DepthAnythingForDepthEstimation.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except Exception as err:  # transformers raises whatever the reader of the file raises
        msg = f"{folder}: not a Depth Anything V2 model: {err}; {remedy}{'; '.join(SOURCES)}"
        raise ModelError(msg) from err
    if notes["missing_keys"]:
        missing = sorted(notes["missing_keys"])
        msg = f"{folder}: {len(missing)} weights are missing, such as {missing[0]}; {remedy}{'; '.join(SOURCES)}"
        raise ModelError(msg)
    return model, model.config.depth_estimation_type == "metric"


def _from_inverse(inverse: F32, view: GroundView) -> F32:
    """Turn inverse depth with unknown scale and shift into depth with unknown scale.

    A robust line through (output, inverse depth of the flat road) over the pixels of the road fixes the shift. Where no
    road is seen, the farthest pixel is taken to be very far.
    """
    rows, cols = inverse.shape
    at = np.stack(np.meshgrid(np.arange(0, cols, _FIT_STEP_PX), np.arange(0, rows, _FIT_STEP_PX)), axis=-1)
    scale = np.array([view.camera.width / cols, view.camera.height / rows])
    uv: F64 = (at + 0.5) * scale - 0.5
    road = distance_to_ground(view, uv, along(view))
    seen = np.isfinite(road) & (road < _FIT_WITHIN_M) & (road > 0)
    line = _robust_line(inverse[at[..., 1], at[..., 0]][seen].astype(np.float64), 1 / road[seen].astype(np.float64))
    if line is None:
        low, high = float(inverse.min()), float(inverse.max())
        line = (1.0, 1e-2 * (high - low) - low)
    nearness = line[0] * inverse + line[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(nearness > 1 / _FAR_M, 1 / nearness, np.nan).astype(np.float32)


def _robust_line(x: F64, y: F64, rounds: int = 8) -> tuple[float, float] | None:
    """Fit y = a x + b by least trimmed squares (the better half); None if there is no rising line."""
    keep = np.ones(len(x), bool)
    a = b = 0.0
    for _ in range(rounds):
        if np.count_nonzero(keep) < 8 or np.ptp(x[keep]) < 1e-9:
            return None
        a, b = (float(value) for value in np.polyfit(x[keep], y[keep], 1))
        error = np.abs(a * x + b - y)
        keep = error <= np.quantile(error, 0.5)
    return (a, b) if a > 0 else None
