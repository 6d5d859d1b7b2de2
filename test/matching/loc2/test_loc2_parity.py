# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers of the original program; the tolerances are those of the README beside them."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from cvloc_ros.evaluation.metrics import along_across
from cvloc_ros.imaging.models import Equirectangular, Pinhole
from cvloc_ros.matching.depth import DepthMap
from cvloc_ros.matching.layers.aerial import grid_axis
from cvloc_ros.matching.layers.views import to_tensor
from cvloc_ros.matching.loc2 import checkpoint, lifting
from cvloc_ros.matching.loc2.network import Loc2Network
from cvloc_ros.types import GroundView

Parity = Callable[[str], Any]
FORWARD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
GRID = {"vigor": (51, 102), "kitti": (26, 88)}
AERIAL = {"vigor": 45, "kitti": 36}
IMAGE = {"vigor": (714, 1428), "kitti": (364, 1232)}
CAP = {"vigor": 35.0, "kitti": 40.0}


def depth_maps(formula: ModuleType, name: str) -> list[DepthMap]:
    offset = {"vigor": 2.0, "kitti": 1.5}[name]
    values = offset + 60 * formula.uniform(f"loc2_{name}/depth", (2, 1, *IMAGE[name]))
    along = "ray" if name == "vigor" else "axis"
    return [DepthMap(item[0].clamp(0, CAP[name]).numpy(), along, metric=True) for item in values]


def level_view(camera: Any) -> GroundView:
    T = np.eye(4)
    T[:3, :3] = FORWARD
    return GroundView("c", np.zeros((1, 1, 3), np.uint8), camera, T, 0)


def lifted(view: GroundView, depth: DepthMap, grid: tuple[int, int], cap: float) -> tuple[np.ndarray, np.ndarray]:
    """Points in the frame of the original (back, right, up) and the mask."""
    rays = lifting.token_rays(view, lifting.token_pixels(view.camera, *grid, published=True), depth.along)
    metres, near = lifting.token_depth(depth, *grid, cap, published=True)
    values = depth.cells(*grid, nearest=True).ravel()
    assert np.array_equal(near, values != cap)
    assert np.array_equal(metres[near], values[near])
    return rays * values[:, None] * [-1.0, -1.0, 1.0], near


@pytest.mark.parametrize("name", ["vigor", "kitti"])
def test_depth_is_that_of_the_original(name: str, formula: ModuleType, parity: Parity) -> None:
    both = np.stack([depth.values for depth in depth_maps(formula, name)])
    recorded = parity("loc2")[f"{name}/depth_fingerprint"]
    raw = {"vigor": 2.0, "kitti": 1.5}[name] + 60 * formula.uniform(f"loc2_{name}/depth", (2, 1, *IMAGE[name]))
    flat = raw.flatten()
    ours = [float(flat.double().sum()), float(flat[0]), float(flat[-1])]
    assert ours == pytest.approx(recorded.tolist(), rel=1e-8)
    assert both.max() == CAP[name]


@pytest.mark.parametrize("name", ["vigor", "kitti"])
def test_lifted_points_and_masks(name: str, formula: ModuleType, parity: Parity) -> None:
    wanted, grid = parity("loc2"), GRID[name]
    for item, depth in enumerate(depth_maps(formula, name)):
        if name == "vigor":
            camera: Any = Equirectangular(1428, 714)
        else:
            k = wanted["kitti/camera_k"][item].astype(float)
            camera = Pinhole(1232, 364, k[0, 0], k[1, 1], k[0, 2], k[1, 2])
        points, near = lifted(level_view(camera), depth, grid, CAP[name])
        packed = np.unpackbits(wanted[f"{name}/mask"][item])[: near.size].astype(bool)
        np.testing.assert_array_equal(near, packed)
        assert near.sum() == wanted[f"{name}/mask_count"][item]
        if name == "kitti":
            np.testing.assert_allclose(points[:, :2], wanted["kitti/ground_points"][item], atol=1e-4)
            uv = lifting.token_pixels(camera, *grid, published=True).reshape(*grid, 2) / 14
            np.testing.assert_allclose(uv[0, :, 0], wanted["kitti/u_grid_row"], atol=1e-5)
            np.testing.assert_allclose(uv[:, 0, 1], wanted["kitti/v_grid_col"], atol=1e-5)
        else:
            row = depth.cells(*grid, nearest=True)[25]
            np.testing.assert_allclose(row, wanted["vigor/depth_at_tokens_row25"][item], atol=1e-4)
            if item == 0:
                row_25 = points.reshape(*grid, 3)[25]
                np.testing.assert_allclose(row_25, wanted["vigor/ground_xyz_row25_b0"], atol=1e-4)
            flat = points.reshape(-1)
            index = wanted["vigor/ground_xyz/idx"] - item * flat.size
            mine = (index >= 0) & (index < flat.size)
            np.testing.assert_allclose(flat[index[mine]], wanted["vigor/ground_xyz/val"][mine], atol=1e-4)


def test_ten_metres_around(parity: Parity) -> None:
    depth = DepthMap(np.full((51, 102), 10.0, np.float32), "ray", metric=True)
    points, _ = lifted(level_view(Equirectangular(1428, 714)), depth, (51, 102), 35.0)
    columns = [0, 25, 26, 50, 51, 75, 76, 101]
    np.testing.assert_allclose(
        points.reshape(51, 102, 3)[25, columns], parity("loc2")["vigor/unit10_columns"], atol=1e-4
    )


@pytest.mark.parametrize(
    ("name", "extent_m"),
    [("vigor/metric_grid_NewYork", 640 * 0.113248), ("vigor/metric_grid_Seattle", 640 * 0.100817),
     ("vigor/metric_grid_SanFrancisco", 640 * 0.118141), ("vigor/metric_grid_Chicago", 640 * 0.111262),
     ("kitti/metric_grid", 100.26)],
)  # fmt: skip
def test_aerial_grid(name: str, extent_m: float, parity: Parity) -> None:
    axis = grid_axis(extent_m, 41, ends=True)
    down_right = torch.cartesian_prod(axis, axis)[[0, 1, 40, 41, 840, 1680]]
    np.testing.assert_allclose(down_right, parity("loc2")[name], atol=2e-3 if "kitti" in name else 1e-4)


def test_formula_weights_are_those_of_the_original(formula: ModuleType, parity: Parity) -> None:
    prints, shapes = parity("weights_fingerprint"), checkpoint.published_shapes()
    assert list(prints["loc2/keys"]) == sorted(shapes) or set(prints["loc2/keys"]) == set(shapes)
    assert len(shapes) == checkpoint.PUBLISHED_KEYS
    for index, key in enumerate(prints["loc2/keys"]):
        assert shapes[str(key)] == tuple(int(n) for n in prints["loc2/shapes"][index] if n >= 0)
        value = formula.weight(str(key), shapes[str(key)]).flatten()
        assert (float(value[0]), float(value[-1])) == (prints["loc2/first"][index], prints["loc2/last"][index])


@pytest.mark.parametrize(
    ("name", "dtype"), [("vigor", torch.float32), ("kitti", torch.float32), ("kitti", torch.float64)]
)
def test_descriptors_scores_and_probabilities(
    name: str, dtype: torch.dtype, formula: ModuleType, parity: Parity, formula_network: Callable[[], Loc2Network]
) -> None:
    """In double precision what is left is the rounding of the record."""
    wanted, network = parity("loc2"), formula_network().to(dtype)
    part = 1e-3 if dtype == torch.float64 else 1.0
    taps: dict[str, torch.Tensor] = {}
    for side, prefix in (("ground", "grd"), ("aerial", "sat")):
        projector = getattr(network, side)
        key = f"{name}/{prefix}_projector"
        projector.blocks[2].register_forward_hook(
            lambda _m, _i, out, k=f"{key}/after_resblocks": taps.__setitem__(k, out)
        )
        projector.blocks[3].register_forward_pre_hook(
            lambda _m, args, k=f"{key}/after_attention": taps.__setitem__(k, args[0])
        )
    side = AERIAL[name]
    with torch.inference_mode():
        ground = network.describe_ground(formula.normal(f"loc2_{name}/grd", (2, 1024, *GRID[name])).to(dtype))
        aerial = network.describe_aerial(formula.normal(f"loc2_{name}/sat", (2, 1024, side, side)).to(dtype))
        masks = [lifting.token_depth(d, *GRID[name], CAP[name], published=True)[1] for d in depth_maps(formula, name)]
        scores, probability = network.compare(aerial, ground, torch.from_numpy(np.stack(masks)))
    for key, tensor in taps.items():
        wanted.agree(key, tensor, 4e-3 * part, 5e-4 * part)
    wanted.agree(f"{name}/grd_desc", ground, 7e-5 * part, 1e-5 * part)
    wanted.agree(f"{name}/sat_desc", aerial, 7e-5 * part, 1e-5 * part)
    wanted.agree(f"{name}/S", scores, 1e-3 * part, 1e-4 * part)
    wanted.agree(f"{name}/P", probability, 2e-3 * part, 2e-4 * part, relative=True)
    np.testing.assert_allclose(probability.double().sum((1, 2)), wanted[f"{name}/P_sum"], rtol=2e-4)
    np.testing.assert_allclose(probability.amax((1, 2)), wanted[f"{name}/P_max"], rtol=2e-3)
    sure = wanted[f"{name}/S_row_gap"] > 0.005
    assert np.array_equal(scores.argmax(2).numpy()[sure], wanted[f"{name}/S_row_argmax"][sure])


@pytest.mark.parametrize("case", ["kitti/test0", "kitti/test1"])
def test_images_are_resized_as_the_original_loader_does(case: str, formula: ModuleType, parity: Parity) -> None:
    """Ground images; 8-bit picture of 375 x 1242 or 370 x 1226."""
    wanted = parity("geometry_loc2")
    size = (375, 1242) if case.endswith("0") else (370, 1226)
    rgb = np.floor(255 * formula.image("geom/ground", *size)[0].permute(1, 2, 0).numpy() + 0.5).astype(np.uint8)
    image = to_tensor(rgb, (364, 1232), torch.device("cpu"))
    difference = image.flatten()[torch.from_numpy(wanted[f"{case}/grd/idx"]).long()].numpy() - wanted[f"{case}/grd/val"]
    assert np.quantile(np.abs(difference), 0.99) <= 2 / 255


def test_errors_as_the_original_reports_them(parity: Parity) -> None:
    """Its script exchanges the names of the axes: what it calls lateral is along the heading."""
    inputs = parity("loc2")["kitti/metric_case/inputs"]
    R, t = inputs[:8].reshape(2, 2, 2), inputs[8:12].reshape(2, 2)
    t_true, R_true = inputs[12:16].reshape(2, 2), inputs[16:24].reshape(2, 2, 2)
    heading, truth = (-np.arctan2(turn[:, 1, 0], turn[:, 0, 0]) for turn in (R, R_true))
    per_px, extent_m, side_px = inputs[24:]
    off = (t * side_px / extent_m - t_true) * per_px  # down, right
    along, across = along_across(np.stack([off[:, 1], -off[:, 0]], -1), np.pi / 2 - truth)
    yaw_deg = np.degrees(np.abs(np.remainder(heading - truth + np.pi, 2 * np.pi) - np.pi))
    recalls = [(np.abs(part) < limit).mean() for part in (along, across) for limit in (1.0, 5.0)]
    found = [np.hypot(*off.T).mean(), yaw_deg.mean(), *recalls]
    np.testing.assert_allclose(found, parity("loc2")["kitti/metric_case/outputs"], atol=1e-5)
