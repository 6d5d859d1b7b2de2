# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Order, priors, changes of the pictures with exact geometry, damaged samples, settings."""

from __future__ import annotations

import dataclasses
import math
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvloc_ros.config import Config
from cvloc_ros.datasets.sample import DatasetError, Sample
from cvloc_ros.errors import ConfigError
from cvloc_ros.ground import GroundGrid
from cvloc_ros.imaging.ground import BirdsEye
from cvloc_ros.imaging.models import Pinhole
from cvloc_ros.training.augment import augment, recolour, reframe, turn_map
from cvloc_ros.training.config import Augment, PriorDraw, Training, load, parse
from cvloc_ros.training.loader import Examples
from cvloc_ros.training.loop import train
from cvloc_ros.training.methods.method import create
from cvloc_ros.training.order import Draw, Order, Share
from cvloc_ros.training.priors import draw_prior
from cvloc_ros.types import Pose2

SampleOf = Callable[..., Sample]
CONFIGS = sorted((Path(__file__).resolve().parents[2] / "config" / "train").glob("*.yaml"))


@given(count=st.integers(1, 40), batch=st.integers(1, 9), seed=st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_every_epoch_has_every_sample_once(count: int, batch: int, seed: int) -> None:
    order = Order(count, batch, seed)
    seen = [draw.index for step in range(-(-3 * count // batch)) for draw in order.at(step)]
    for epoch in range(3):
        assert sorted(seen[epoch * count : (epoch + 1) * count]) == list(range(count))


@given(processes=st.integers(1, 4), each=st.integers(1, 4), streamed=st.booleans())
@settings(max_examples=20, deadline=None)
def test_processes_share_the_samples_of_every_step(processes: int, each: int, streamed: bool) -> None:
    order = Order(100, processes * each, 3, streamed, workers=2)
    shares = [list(Share(order, 4, 9, number, processes)) for number in range(processes)]
    for step in range(5):
        together = {draw for share in shares for draw in share[step]}
        assert together == set(order.at(4 + step)) and all(len(share[step]) == each for share in shares)


def test_workers_of_a_stream_take_ranges_of_their_own() -> None:
    order = Order(1000, 4, 0, streamed=True, workers=2)
    first = [draw.index for step in range(0, 20, 2) for draw in order.at(step)]
    second = [draw.index for step in range(1, 20, 2) for draw in order.at(step)]
    assert first == list(range(40)) and second == list(range(500, 540))


def test_priors_are_as_wrong_as_they_say() -> None:
    rng = np.random.default_rng(0)
    truth = Pose2(10.0, -5.0, 3.0)
    for shape in ("normal", "uniform"):
        drawn = [draw_prior(PriorDraw(shape=shape), truth, rng) for _ in range(3000)]
        errors = np.array([[p.pose.x_m - 10, p.pose.y_m + 5, math.remainder(p.pose.yaw_rad - 3, math.tau)]
                           for p in drawn])  # fmt: skip
        spread = np.sqrt(np.diag(drawn[0].covariance))
        np.testing.assert_allclose(errors.std(0), spread, rtol=0.06)
        assert np.abs(errors.mean(0) / spread).max() < 0.08
    start = Pose2(1.0, 2.0, 0.5)
    assert draw_prior(PriorDraw(shape="given"), truth, rng, start=start).pose == start
    turned = draw_prior(PriorDraw(shape="given", yaw_known=False), truth, rng, start=start).pose
    assert (turned.x_m, turned.y_m) == (1.0, 2.0) and turned.yaw_rad != 0.5
    assert draw_prior(PriorDraw(shape="given"), truth, rng).pose != start
    blind = draw_prior(PriorDraw(yaw_known=False), truth, rng)
    assert not blind.yaw_known and blind.covariance[2, 2] > 3.0


@pytest.mark.parametrize("name", ["front", "roof"])
def test_a_camera_that_is_turned_and_zoomed_sees_the_same_ground(name: str, sample_of: SampleOf) -> None:
    view = sample_of(1, (name,)).views[0]
    changed = reframe(view, np.array([0.04, -0.05, 0.06]), 1.15)
    grid = GroundGrid(2.0, 12.0, -5.0, 5.0, 0.5)
    before, after = (BirdsEye()([one], grid) for one in (view, changed))
    both = before.valid & after.valid
    assert both.mean() > 0.4
    assert np.abs(before.rgb[both].astype(float) - after.rgb[both]).mean() < 8.0
    if isinstance(view.camera, Pinhole) and isinstance(changed.camera, Pinhole):
        assert changed.camera.fx == pytest.approx(1.15 * view.camera.fx)
    wrong = dataclasses.replace(changed, T_base_camera=view.T_base_camera)
    assert np.abs(BirdsEye()([wrong], grid).rgb[both].astype(float) - before.rgb[both]).mean() > 12.0


@given(angle=st.floats(-4.0, 4.0))
@settings(max_examples=15, deadline=None)
def test_a_turned_map_shows_the_same_around_the_vehicle(angle: float, sample_of: SampleOf) -> None:
    sample = sample_of(2)
    patch, pose = turn_map(sample.patch, sample.pose, angle)
    around = np.random.default_rng(1).uniform(-20, 20, (50, 2))
    start = Pose2(5e5, 5e6, 1.0)
    moved = augment(dataclasses.replace(sample, start=start), Augment(), np.random.default_rng(0))
    assert moved.start is not None
    before, after = sample.pose.inverse() @ start, moved.pose.inverse() @ moved.start
    np.testing.assert_allclose(dataclasses.astuple(after), dataclasses.astuple(before), atol=1e-6)
    np.testing.assert_allclose(
        patch.px_from_map(pose.apply(around)), sample.patch.px_from_map(sample.pose.apply(around)), atol=1e-6
    )


def test_changes_are_repeated_by_their_seed_and_touch_no_original(sample_of: SampleOf) -> None:
    sample = sample_of(3, ("front", "roof"))
    before = sample.patch.rgb.copy(), sample.views[0].rgb.copy()
    one, same, other = (augment(sample, Augment(occlusion=1.0), np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.views[0].rgb, same.views[0].rgb)
    assert one.pose == same.pose and one.pose != other.pose
    assert not np.array_equal(one.patch.rgb, sample.patch.rgb)
    np.testing.assert_array_equal(before[0], sample.patch.rgb)
    np.testing.assert_array_equal(before[1], sample.views[0].rgb)
    none = Augment(photometric=0, occlusion=0, tilt_deg=0, focal=0, mounting=0, turn=False, drop_views=0, odometry=0)
    still = augment(sample, none, np.random.default_rng(1))
    assert still.pose == sample.pose
    np.testing.assert_array_equal(still.views[1].rgb, sample.views[1].rgb)
    np.testing.assert_allclose(still.views[0].T_base_camera, sample.views[0].T_base_camera)


def test_recoloured_pictures_stay_pictures() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 70, 3), np.uint8)
    for _ in range(20):
        changed = recolour(image, 2.0, rng)
        assert changed.shape == image.shape and changed.dtype == np.uint8 and changed.std() > 5


def test_a_damaged_sample_is_replaced_counted_and_named(
    shards: Path, small: Callable[..., Training], tmp_path: Path
) -> None:
    root = tmp_path / "data"
    shutil.copytree(shards, root)
    file = root / "shard-000001.tar"
    with tarfile.open(file) as tar:
        piece = next(item for item in tar if item.name == "000002.0.jpg")
    with file.open("r+b") as opened:
        opened.seek(piece.offset_data)
        opened.write(bytes(piece.size))
    config = small(steps=6, over={"data": {"source": "shards", "root": str(root)}})
    outcome = train(config, tmp_path / "out", cpu=True)
    assert outcome.step == 6
    assert list(outcome.skipped) == [
        "shard-000001.tar:000002: damaged or incomplete (ValueError: 0.jpg is no picture)"
    ]
    assert sum(outcome.skipped.values()) == 2  # two epochs


def test_data_that_cannot_be_used_at_all_ends_the_training(small: Callable[..., Training]) -> None:
    config = small()
    examples = Examples(config.data, config.prior, None, Config(), create(config).inputs, 0)
    blind = dataclasses.replace(examples.samples[0], views=())
    examples._samples = _Only(blind)
    with pytest.raises(DatasetError, match="20 samples in a row cannot be used; the last: sample 0: nothing to match"):
        examples[Draw(0, 0, 0)]


class _Only:
    """The same sample again and again."""

    name, streamed = "only", False

    def __init__(self, sample: Sample) -> None:
        self._sample = sample

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Sample:
        return self._sample

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_settings_make_a_method(path: Path) -> None:
    assert create(load(path)).inputs is not None


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run\.step: unknown key; did you mean run\.steps\?"):
        parse({"run": {"step": 3}})
    with pytest.raises(ConfigError, match=r"run\.batch = 0"):
        parse({"run": {"batch": 0}})
    file = tmp_path / "x.yaml"
    file.write_text("method: fg2\nrun: {steps: 5}\n")
    assert load(file, {"run": {"batch": 3}}).run.batch == 3 and load(file).run.steps == 5
    with pytest.raises(ConfigError, match=r"nothing\.yaml"):
        load(tmp_path / "nothing.yaml")
