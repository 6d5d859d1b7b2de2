# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is stored comes back; files are whole or not there."""

from __future__ import annotations

import itertools
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cvloc_ros.datasets.codec import decode, encode
from cvloc_ros.datasets.sample import DatasetError, Sample, SampleError
from cvloc_ros.datasets.shards import ShardSamples, write_shard
from cvloc_ros.imaging.models import Equirectangular, Fisheye, Pinhole, Rotated
from cvloc_ros.types import AerialPatch, CameraModel, Correspondences, GroundView, Pose2

TURN = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
CAMERAS: list[CameraModel] = [
    Pinhole(64, 48, 50.0, 51.0, 31.0, 24.0, (0.1, 0.0, 0.001, 0.0, 0.0, 0.0, 0.0, 0.0)),
    Fisheye(64, 48, 20.0, 20.0, 32.0, 24.0, (0.01, 0.0, 0.0, 0.0)),
    Equirectangular(64, 32),
    Rotated(Pinhole(64, 48, 50.0, 50.0, 32.0, 24.0), TURN),
]


def make(number: int = 0) -> Sample:
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    views = []
    for index, camera in enumerate(CAMERAS):
        rgb = np.repeat(np.tile(ramp, (camera.height, 1))[..., None], 3, 2)
        valid = None if index else np.arange(64 * 48).reshape(48, 64) % 7 > 0
        depth = np.full((camera.height, camera.width), 3.256, np.float32) if index == 2 else None
        T = np.eye(4)
        T[:3, 3] = index
        views.append(GroundView(f"c{index}", rgb, camera, T, 10 + number, Pose2(1.0, 2.0, 0.1), valid, depth))
    patch = AerialPatch(
        np.full((30, 40, 3), 90, np.uint8), np.ones((30, 40), bool), 0.5, np.arange(6.0).reshape(2, 3), "who", 1.0,
        ("k", 1),
    )
    matches = Correspondences(np.ones((2, 2)), np.ones((2, 2)) * 2, np.ones(2), np.zeros((2, 2)), np.zeros(2, np.int64))
    return Sample(f"n{number}", "test", tuple(views), patch, Pose2(3.0, 4.0, 0.5), matches, seed=number)


def test_a_sample_survives() -> None:
    sample = make()
    read = decode(encode(sample), "here")
    assert (read.name, read.source, read.pose, read.seed) == ("n0", "test", sample.pose, 0)
    np.testing.assert_array_equal(read.patch.map_from_px, sample.patch.map_from_px)
    assert read.patch.key == ("k", 1) and read.patch.valid.all() and read.matches is not None
    for one, other in zip(read.views, sample.views, strict=True):
        assert one.camera == other.camera and one.T_ref_base == other.T_ref_base and one.stamp_ns == other.stamp_ns
        np.testing.assert_array_equal(one.T_base_camera, other.T_base_camera)
        assert np.abs(one.rgb.astype(int) - other.rgb).max() <= 6
    first, other = read.views[0].valid, sample.views[0].valid
    assert first is not None and other is not None and read.views[1].valid is None
    np.testing.assert_array_equal(first, other)
    assert read.views[2].depth is not None and np.abs(read.views[2].depth - 3.256).max() < 0.006


def test_shards_are_read_by_number_and_are_plain_webdataset_files(tmp_path: Path) -> None:
    for shard in range(2):
        list(write_shard(tmp_path / f"shard-{shard:06d}.tar", (make(3 * shard + number) for number in range(3))))
    samples = ShardSamples(tmp_path)
    assert len(samples) == 6 and [samples[number].name for number in (5, 0, 3)] == ["n5", "n0", "n3"]
    with tarfile.open(tmp_path / "shard-000000.tar") as tar:
        names = tar.getnames()
    keys = [key for key, _ in itertools.groupby(name.partition(".")[0] for name in names)]
    assert keys == ["000000", "000001", "000002"] and "000001.json" in names


def test_a_shard_that_was_cut_off_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[Sample]:
        yield make()
        raise OSError(28, "No space left on device")

    with pytest.raises(DatasetError, match="No space left"):
        list(write_shard(tmp_path / "shard-000000.tar", broken()))
    assert list(tmp_path.iterdir()) == []


def test_missing_and_damaged_shards_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cvloc data make"):
        ShardSamples(tmp_path)
    (tmp_path / "shard-000000.tar").write_bytes(b"no tar" * 200)
    with pytest.raises(DatasetError, match=r"shard-000000\.tar is damaged"):
        ShardSamples(tmp_path)
    pieces = encode(make())
    del pieces["patch.jpg"]
    with pytest.raises(SampleError, match=r"there: damaged or incomplete .*patch.jpg"):
        decode(pieces, "there")
