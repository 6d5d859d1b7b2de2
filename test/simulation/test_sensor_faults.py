# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sensors on a bad day; without being asked for, none of it happens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cvloc_ros.simulation import sensors
from cvloc_ros.simulation.drive import Trajectory, make_trajectory
from cvloc_ros.simulation.scene import Delays, GnssSpec, Scene, demanding
from cvloc_ros.simulation.town import make_layout

LONG = Scene(seed=4, duration_s=300.0, size_m=(190.0, 120.0), resolution_m=0.2)


@pytest.fixture(scope="module")
def trajectory() -> Trajectory:
    return make_trajectory(LONG, make_layout(LONG))


def test_fair_sensors_have_no_faults(trajectory: Trajectory) -> None:
    track = sensors.drive_gnss(LONG, trajectory)
    assert len(track.time_s) == 300
    assert not track.latency_s.any()
    assert len(set(track.variance_m2.tolist())) == 1
    fate = sensors.deliver(LONG, "odom", 100)
    assert fate.arrives.all() and not fate.late_s.any() and not fate.stamp_error_s.any()


def test_outages_remove_fixes_and_leave_the_others_as_they_are(trajectory: Trajectory) -> None:
    whole = sensors.drive_gnss(LONG, trajectory)
    scene = replace(LONG, gnss=replace(LONG.gnss, outage_s=10.0, outage_every_s=60.0))
    some = sensors.drive_gnss(scene, trajectory)
    assert 0.5 * len(whole.time_s) < len(some.time_s) < len(whole.time_s)
    kept = np.isin(whole.time_s, some.time_s)
    assert np.allclose(whole.positions[kept], some.positions)
    assert np.diff(some.time_s).max() > 4.0


def test_jumps_are_as_large_as_asked_for(trajectory: Trajectory) -> None:
    scene = replace(LONG, gnss=replace(LONG.gnss, jump_m=40.0, jump_every_s=40.0))
    more, usual = sensors.drive_gnss(scene, trajectory), sensors.drive_gnss(LONG, trajectory)
    extra = np.linalg.norm(more.errors - usual.errors, axis=1)
    assert extra.max() >= 39.9
    assert (extra < 1e-9).mean() > 0.5


def test_bias_walks(trajectory: Trajectory) -> None:
    scene = replace(LONG, gnss=replace(LONG.gnss, walk_m=0.5))
    extra = sensors.drive_gnss(scene, trajectory).errors - sensors.drive_gnss(LONG, trajectory).errors
    assert np.std(np.diff(extra, axis=0)) == pytest.approx(0.5, rel=0.15)


def test_some_covariances_are_wrong_on_request(trajectory: Trajectory) -> None:
    gnss = GnssSpec(covariance_factor=0.5, covariance_wrong_share=0.3)
    variance = sensors.drive_gnss(replace(LONG, gnss=gnss), trajectory).variance_m2
    assert sorted({round(float(v / variance.max()), 6) for v in variance}) == [0.25, 1.0]
    assert np.mean(variance < variance.max()) == pytest.approx(0.3, abs=0.1)


def test_messages_are_lost_late_and_stamped_wrongly() -> None:
    scene = replace(LONG, delays=Delays(drop_share=0.1, late_share=0.2, late_s=0.5, stamp_jitter_s=0.01))
    fate = sensors.deliver(scene, "camera front", 2000)
    assert np.mean(~fate.arrives) == pytest.approx(0.1, abs=0.03)
    assert np.mean(fate.late_s > 0) == pytest.approx(0.2, abs=0.04)
    assert fate.late_s.max() <= 0.5
    assert np.std(fate.stamp_error_s) == pytest.approx(0.01, rel=0.1)


def test_a_bad_day_is_kept_in_the_scene_file() -> None:
    scene = demanding(LONG)
    assert Scene.from_yaml(scene.to_yaml()) == scene
    assert scene.gnss.outage_s > 0 and scene.delays.drop_share > 0
