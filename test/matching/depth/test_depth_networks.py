# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth networks with small random weights, saved and read as the published ones are."""

from __future__ import annotations

import math
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cvloc_ros.errors import ModelError
from cvloc_ros.matching.depth.depth_anything import DepthAnything, _from_inverse
from cvloc_ros.matching.depth.flat_ground import distance_to_ground
from cvloc_ros.matching.depth.unik3d import UniK3D
from cvloc_ros.types import GroundView

torch.set_num_threads(1)
CPU = torch.device("cpu")
View = Callable[..., GroundView]


def save(folder: Path, kind: str) -> Path:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    backbone = transformers.Dinov2Config(
        hidden_size=24, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14,
        out_indices=[1, 2, 3, 4], reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=24, patch_size=14, neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8, head_hidden_size=4, depth_estimation_type=kind, max_depth=80,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("kind", "metric"), [("metric", True), ("relative", False)])
def test_depth_anything_runs_from_a_local_folder(view: View, tmp_path: Path, kind: str, metric: bool) -> None:
    network = DepthAnything(save(tmp_path, kind), CPU)
    depth = network(view())
    assert (network.metric, depth.metric, depth.along) == (metric, metric, "axis")
    assert depth.values.dtype == np.float32
    assert depth.values.shape[1] / depth.values.shape[0] == pytest.approx(320 / 240, rel=0.03)
    finite = depth.values[np.isfinite(depth.values)]
    assert (finite > 0).all()
    np.testing.assert_array_equal(network(view()).values, depth.values)
    network.close()


def test_another_model_and_a_damaged_file_are_errors(tmp_path: Path) -> None:
    folder = save(tmp_path, "metric")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"not a Depth Anything V2 model.*huggingface"):
        DepthAnything(folder, CPU)
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file({"other": torch.zeros(3)}, file)
    with pytest.raises(ModelError, match=r"weights are missing, such as"):
        DepthAnything(folder, CPU)


def test_shift_of_relative_depth_is_found_on_the_road(view: View) -> None:
    """True inverse depth under an unknown scale and shift, with a wall that is no road: depth comes out up to scale."""
    seen = view()
    rows, cols = 240, 320
    uv = np.stack(np.meshgrid(np.arange(cols), np.arange(rows)), -1).astype(float)
    truth = distance_to_ground(seen, uv, "axis")
    truth = np.where(np.isfinite(truth) & (truth < 60), truth, 60.0)
    truth[100:160, 200:280] = 6.0
    rng = np.random.default_rng(0)
    depth = _from_inverse((3.0 / truth + 0.4 + rng.normal(0, 1e-3, truth.shape)).astype(np.float32), seen)
    ratio = depth[truth < 30] / truth[truth < 30]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.02)
    assert np.quantile(ratio, 0.95) - np.quantile(ratio, 0.05) < 0.1


def test_without_a_road_the_farthest_pixel_is_far(view: View) -> None:
    inverse = np.linspace(1.0, 2.0, 240 * 320, dtype=np.float32).reshape(240, 320)
    depth = _from_inverse(inverse[::-1].copy(), view())  # nearer upwards: no road
    assert np.nanmin(depth) > 0
    assert np.nanmax(depth) / np.nanmin(depth) > 50


def test_unik3d_gets_a_fresh_camera_for_each_image(
    view: View, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package is not on the package index; a stand-in with its interface shows how it is called."""
    seen: list[object] = []

    class Camera:
        def __init__(self, params: torch.Tensor) -> None:
            self.params = params

    class Network(torch.nn.Module):
        @classmethod
        def from_pretrained(cls, _folder: str) -> Network:
            return cls()

        def infer(self, rgb: torch.Tensor, camera: Camera | None) -> dict[str, torch.Tensor]:
            seen.append(camera)
            return {"distance": torch.full((1, 1, *rgb.shape[1:]), 4.0)}

    models, camera = types.ModuleType("unik3d.models"), types.ModuleType("unik3d.utils.camera")
    models.UniK3D, camera.Spherical, camera.Pinhole = Network, Camera, Camera
    for name, module in {"unik3d": types.ModuleType("unik3d"), "unik3d.models": models,
                         "unik3d.utils": types.ModuleType("unik3d.utils"), "unik3d.utils.camera": camera}.items():
        monkeypatch.setitem(sys.modules, name, module)
    (tmp_path / "config.json").write_text("{}")
    network = UniK3D(tmp_path, CPU)
    for kind in ("panorama", "panorama", "pinhole", "fisheye"):
        depth = network(view(kind))
        assert (depth.along, depth.metric, float(depth.values[0, 0])) == ("ray", True, 4.0)
    assert seen[0] is not seen[1]
    assert seen[0].params.tolist() == pytest.approx([1, 1, 1, 1, 360, 180, math.pi, math.pi / 2])
    assert seen[2].params.tolist() == [200.0, 200.0, 159.5, 119.5]
    assert seen[3] is None
