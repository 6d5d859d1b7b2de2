# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cvloc_ros.config import Depth
from cvloc_ros.errors import ImageError, ModelError
from cvloc_ros.matching.depth import SOURCES, DepthMap, create
from cvloc_ros.matching.depth.flat_ground import FlatGround
from cvloc_ros.matching.depth.measured import Files, Measured, read
from cvloc_ros.types import GroundView

CPU = torch.device("cpu")
View = Callable[..., GroundView]


@pytest.mark.parametrize("kind", ["pinhole", "fisheye", "panorama"])
def test_flat_ground_lies_at_z_zero(view: View, kind: str) -> None:
    seen = view(kind)
    depth = FlatGround()(seen)
    rows, cols = depth.values.shape
    u, v = (np.arange(cols) + 0.5) * 4 - 0.5, (np.arange(rows) + 0.5) * 4 - 0.5
    rays = seen.camera.unproject(np.stack(np.meshgrid(u, v), -1))
    z = (rays * depth.values[..., None]) @ seen.T_base_camera[2, :3] + 1.5
    below = np.isfinite(depth.values)
    assert 0.2 < below.mean() < 0.8
    assert np.abs(z[below]).max() < 1e-3 * np.nanmax(depth.values)
    assert not below[: rows // 2 - 1, cols // 2].any()
    assert below[rows // 2 + 2 :, cols // 2].all()


def test_a_camera_under_the_road_is_an_error(view: View) -> None:
    with pytest.raises(ImageError, match="above the ground"):
        FlatGround()(view(height_m=0.0))


def test_measured_depth_counts_along_the_axis_of_a_pinhole_and_along_other_rays(view: View) -> None:
    for kind, along in (("pinhole", "axis"), ("fisheye", "ray"), ("panorama", "ray")):
        seen = view(kind)
        depth = Measured()(view(kind, np.full((seen.camera.height, seen.camera.width), 5.0, np.float32)))
        assert (depth.along, depth.metric) == (along, True)
        assert (depth.values == 5.0).all()


def test_measured_depth_may_be_smaller_but_not_of_another_shape(view: View) -> None:
    assert Measured()(view(depth=np.ones((120, 160), np.float32))).values.shape == (120, 160)
    with pytest.raises(ImageError, match="came without depth"):
        Measured()(view())
    with pytest.raises(ImageError, match="same"):
        Measured()(view(depth=np.ones((120, 120), np.float32)))


def test_files_of_all_kinds_are_found_by_camera_and_stamp(view: View, tmp_path: Path) -> None:
    folder = tmp_path / "front"
    folder.mkdir()
    with pytest.raises(ImageError, match="no depth for camera front at 7"):
        Files(tmp_path, 0.001)(view())
    assert cv2.imwrite(str(folder / "7.png"), np.full((240, 320), 256 * 12, np.uint16))
    assert Files(tmp_path, 1 / 256)(view()).values[3, 4] == pytest.approx(12.0)
    (folder / "7.png").unlink()
    np.save(tmp_path / "7.npy", np.full((240, 320), 3.5, np.float32))
    assert Files(tmp_path, 1 / 256)(view()).values[3, 4] == pytest.approx(3.5)


def test_bad_files_name_their_fault(tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\nxx")
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY\x01")
    np.save(tmp_path / "flat.npy", np.zeros(5))
    np.save(tmp_path / "object.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    for name in ("cut.png", "cut.npy", "flat.npy", "object.npy"):
        with pytest.raises(ImageError, match=name):
            read(tmp_path / name)
    with pytest.raises(ModelError, match="no folder"):
        Files(tmp_path / "absent", 1.0)


def test_cells_take_the_median_of_what_is_known() -> None:
    values = np.full((6, 9), np.nan, np.float32)
    values[0, 0], values[1, 1], values[2, 2] = 1.0, 7.0, 2.0
    cells = DepthMap(values, "axis", metric=True).cells(2, 3)
    assert cells[0, 0] == 2.0
    assert np.isnan(cells).sum() == 5
    assert DepthMap(values, "axis", metric=True).cells(2, 3, nearest=True)[0, 0] == 1.0
    small = DepthMap(np.array([[1.0, 2.0]], np.float32), "axis", metric=True).cells(2, 4)
    np.testing.assert_array_equal(small, [[1, 1, 2, 2]] * 2)


@pytest.mark.parametrize("size", [(26, 88), (51, 102), (7, 3)])
def test_nearest_cells_are_those_of_torch(size: tuple[int, int]) -> None:
    values = np.random.default_rng(1).random((364, 714), np.float32)
    wanted = torch.nn.functional.interpolate(torch.from_numpy(values)[None, None], size, mode="nearest")[0, 0]
    np.testing.assert_array_equal(DepthMap(values, "axis", metric=True).cells(*size, nearest=True), wanted.numpy())


def test_the_configured_source_is_made(tmp_path: Path) -> None:
    assert isinstance(create(Depth(), CPU), FlatGround)
    assert isinstance(create(Depth(source="measured"), CPU), Measured)
    assert isinstance(create(Depth(source="files", folder=str(tmp_path)), CPU), Files)
    assert set(Depth.model_fields["source"].annotation.__args__) == set(SOURCES)


@pytest.mark.parametrize("source", ["depth_anything", "unik3d"])
def test_missing_weights_say_what_to_fetch_from_where_and_the_licence(source: str, tmp_path: Path) -> None:
    for folder in ("", str(tmp_path)):
        with pytest.raises(ModelError, match=r"huggingface\.co.*(Apache-2\.0|NC)"):
            create(Depth(source=source, weights=folder), CPU)
