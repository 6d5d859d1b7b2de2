# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""UniK3D, a depth network for all kinds of cameras, where its package is installed."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cvloc_ros.errors import ModelError
from cvloc_ros.matching.depth.depth_map import DepthMap, known
from cvloc_ros.types import GroundView

SOURCE = (
    "https://huggingface.co/lpiccinelli/unik3d-vitl, package https://github.com/lpiccinelli-eth/UniK3D "
    "(CC-BY-NC-4.0: no commercial use; read its licence)"
)
_RESOLUTION_LEVEL = 9


class UniK3D:
    """Metric distance along the rays."""

    metric = True

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Load the model from a local folder.

        Raises:
            ModelError: the folder or the package is missing.
        """
        if not (folder / "config.json").is_file():
            msg = f"no UniK3D in {str(folder)!r}; fetch its files, name their folder in matcher.depth.weights: {SOURCE}"
            raise ModelError(msg)
        try:
            models = importlib.import_module("unik3d.models")
            self._cameras = importlib.import_module("unik3d.utils.camera")
        except ImportError as err:
            msg = f"matcher.depth.source = unik3d needs the package unik3d, which is not installed: {SOURCE}"
            raise ModelError(msg) from err
        self._device = device
        self._model: Any = models.UniK3D.from_pretrained(str(folder)).to(device).eval()
        self._model.resolution_level = _RESOLUTION_LEVEL

    @torch.inference_mode()
    def __call__(self, view: GroundView) -> DepthMap:
        """Run the network on the image of a view."""
        rgb = torch.from_numpy(np.ascontiguousarray(view.rgb)).permute(2, 0, 1).to(self._device)
        # `infer` changes the camera it is given: a fresh one for each image, or depth shows stripes.
        output = self._model.infer(rgb, self._camera(view))
        distance = output["distance"].float().cpu().numpy()
        return DepthMap(known(distance.reshape(distance.shape[-2:])), "ray", metric=True)

    def _camera(self, view: GroundView) -> Any:
        """Describe the camera where the package has its model; otherwise it is estimated from the image."""
        camera: Any = view.camera
        if camera.kind == "equirectangular":
            half_height = math.pi * camera.height / camera.width
            numbers = [1.0, 1.0, 1.0, 1.0, float(camera.width), float(camera.height), math.pi, half_height]
            return self._cameras.Spherical(params=torch.tensor(numbers))
        if camera.kind == "plumb_bob" and not any(getattr(camera, "coefficients", (1.0,))):
            return self._cameras.Pinhole(params=torch.tensor([camera.fx, camera.fy, camera.cx, camera.cy]))
        return None

    def close(self) -> None:
        """Free device memory."""
        self._model = self._model.to("cpu")
