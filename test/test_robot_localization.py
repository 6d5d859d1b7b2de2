# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""config/dual_ekf_cvloc.yaml and navsat.yaml hold only what robot_localization reads, and fit our poses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from cvloc_ros import messages
from cvloc_ros.config import Config
from cvloc_ros.types import F64

ROOT = Path(__file__).resolve().parents[1]
EKF = yaml.safe_load((ROOT / "config/dual_ekf_cvloc.yaml").read_text(encoding="utf-8"))
NAVSAT = yaml.safe_load((ROOT / "config/navsat.yaml").read_text(encoding="utf-8"))
LOCAL, GLOBAL = (EKF[f"/**/ekf_{world}"]["ros__parameters"] for world in ("odom", "map"))
GNSS = NAVSAT["/**/navsat_transform"]["ros__parameters"]

FILTER_NAMES = {
    "frequency": "Hz of output and prediction",
    "sensor_timeout": "s without data after which it predicts to now",
    "two_d_mode": "z, roll, pitch and their rates are held at 0",
    "print_diagnostics": "publish /diagnostics",
    "map_frame": "frames of REP 105",
    "odom_frame": "",
    "base_link_frame": "frame that the poses are of; a pose message names no child frame",
    "world_frame": "which of the frames the state is in, and so which transform is sent",
    "publish_tf": "send world -> base_link, or with world = map the map -> odom that follows",
    "smooth_lagged_data": "go back to the state before a late measurement and play the rest again",
    "history_length": "s that it can go back; no effect without smooth_lagged_data",
    "process_noise_covariance": "added per second; 225 numbers in Humble, 15 or 225 later",
    "initial_estimate_covariance": "of what no measurement has told yet",
}
SOURCE_NAMES = {
    "": "topic; numbered from 0 without gaps",
    "_config": "which of the 15 states are fused",
    "_queue_size": "depth of the best-effort reader",
    "_differential": "fuse differences of poses: loses what is absolute",
    "_relative": "subtract the first pose: loses the map",
    "_rejection_threshold": "pose sources: Mahalanobis distance in sigma (not squared)",
    "_pose_rejection_threshold": "the same for the pose of odometry and IMU",
    "_remove_gravitational_acceleration": "IMU only",
}
NAVSAT_NAMES = {
    "frequency": "Hz of its loop",
    "delay": "s of sleep in the constructor",
    "wait_for_datum": "take the parameter datum; it is declared only then",
    "magnetic_declination_radians": "added to the yaw of the datum",
    "yaw_offset": "added to the yaw of the datum",
    "use_odometry_yaw": "yaw from odometry instead of an IMU",
    "zero_altitude": "z = 0 in odometry/gps",
    "publish_filtered_gps": "the state as NavSatFix",
    "broadcast_cartesian_transform": "utm or local_enu in /tf",
    "transform_timeout": "s to wait for TF at the stamp of a fix",
    "datum": "from the launch file: latitude, longitude (degrees), yaw (radians)",
    "use_local_cartesian": "from the launch file: tangent plane instead of UTM",
}
"""Names read by version 3.6.0 (and 3.5.2, but where stated), with what they mean there."""

X, Y, Z, ROLL, PITCH, YAW, VX, VY, VZ, VROLL, VPITCH, VYAW = range(12)


def fused(parameters: dict[str, Any], source: str) -> set[int]:
    mask = parameters[f"{source}_config"]
    assert len(mask) == 15
    return {index for index, used in enumerate(mask) if used}


def matrix(parameters: dict[str, Any], name: str) -> F64:
    values = parameters[name]
    assert len(values) == 225, "Humble reads 225 numbers, whatever is there"
    return np.reshape(values, (15, 15))


@pytest.mark.parametrize("parameters", [LOCAL, GLOBAL])
def test_filter_is_given_only_names_that_it_reads(parameters: dict[str, Any]) -> None:
    for name in parameters:
        source = re.fullmatch(r"(?:odom|pose|imu)\d(\w*)", name)
        assert source[1] in SOURCE_NAMES if source else name in FILTER_NAMES, name
    assert "pose0_pose_rejection_threshold" not in parameters
    assert "odom1_rejection_threshold" not in parameters


def test_navsat_is_given_only_names_that_it_reads() -> None:
    assert set(GNSS) < set(NAVSAT_NAMES)


def test_numbers_are_doubles_where_doubles_are_read() -> None:
    for parameters in (LOCAL, GLOBAL, GNSS):
        for name, value in parameters.items():
            if isinstance(value, int) and not isinstance(value, bool):
                assert name.endswith("_queue_size"), name
            if isinstance(value, list) and not name.endswith("_config"):
                assert {type(item) for item in value} == {float}, name


def test_absolute_sources_are_fused_in_the_filter_of_the_map_alone() -> None:
    for parameters, sources in ((LOCAL, {"odom0", "imu0"}), (GLOBAL, {"odom0", "imu0", "pose0", "odom1"})):
        assert {name for name in parameters if re.fullmatch(r"[a-z]+\d", name)} == sources
        assert fused(parameters, "odom0") == {VX, VY, VYAW}
        assert fused(parameters, "imu0") == {VYAW}
    assert fused(GLOBAL, "pose0") == {X, Y, YAW}
    assert fused(GLOBAL, "odom1") == {X, Y}
    for name, value in {**LOCAL, **GLOBAL}.items():
        if name.endswith(("_differential", "_relative")):
            assert value is False


def test_each_transform_has_one_sender() -> None:
    assert (LOCAL["world_frame"], GLOBAL["world_frame"]) == ("odom", "map")
    assert LOCAL["publish_tf"]
    assert GLOBAL["publish_tf"]
    assert Config().output.tf_mode == "none"


def test_history_reaches_twice_as_far_back_as_the_latest_pose() -> None:
    assert GLOBAL["smooth_lagged_data"]
    assert GLOBAL["history_length"] >= 2.0 * Config().estimation.max_latency_s
    assert "history_length" not in LOCAL


@pytest.mark.parametrize("parameters", [LOCAL, GLOBAL])
def test_matrices_are_symmetric_and_positive_definite(parameters: dict[str, Any]) -> None:
    for name in ("process_noise_covariance", "initial_estimate_covariance"):
        value = matrix(parameters, name)
        assert (value == value.T).all()
        assert np.linalg.eigvalsh(value)[0] > 0


def test_first_pose_kilometres_from_the_datum_passes_the_rejection_threshold() -> None:
    sigma = np.sqrt(np.diag(matrix(GLOBAL, "initial_estimate_covariance")))
    assert GLOBAL["pose0_rejection_threshold"] * sigma[X] > 4000.0
    assert GLOBAL["odom1_pose_rejection_threshold"] * sigma[Y] > 4000.0
    assert GLOBAL["pose0_rejection_threshold"] * sigma[YAW] > np.pi


def test_threshold_lets_an_honest_pose_pass() -> None:
    """Three dimensions: 99.9 % lie within 4.03 sigma, 99.99 % within 4.59."""
    draws = np.random.default_rng(0).standard_normal((20000, 3))
    assert (np.linalg.norm(draws, axis=1) < GLOBAL["pose0_rejection_threshold"]).mean() > 0.9995


def test_datum_rule_is_that_of_the_default_projection() -> None:
    assert Config().geo.projection == "utm"
    assert GNSS["wait_for_datum"]
    assert "datum" not in GNSS, "a place that is nobody's would be taken in silence"
    assert GNSS["yaw_offset"] == GNSS["magnetic_declination_radians"] == 0.0


def test_covariance_of_a_pose_stays_positive_definite_in_two_d_mode() -> None:
    """The filter replaces the variances of z, roll and pitch and leaves their cross terms as they are."""
    root = np.array([[0.5, 0.4, 0.02], [0.0, 0.3, -0.05], [0.1, 0.0, 0.08]])
    published = np.reshape(messages.covariance_36(root @ root.T), (6, 6))
    assert np.linalg.eigvalsh(published)[0] > 0
    assert [published[index, index] for index in (Z, ROLL, PITCH)] == [1e6] * 3
    forced = published.copy()
    for index in (Z, ROLL, PITCH):
        forced[index, index] = 1e-6
    assert np.linalg.eigvalsh(forced)[0] > 0


def test_filter_has_no_reason_to_warn_of_a_pose() -> None:
    """It warns where an entry that touches a fused state exceeds 1e3, or a fused variance is not positive."""
    published = np.reshape(messages.covariance_36(np.diag([0.1, 0.2, 0.01])), (6, 6))
    for index in sorted(fused(GLOBAL, "pose0")):
        assert np.abs(published[index]).max() <= 1e3
        assert published[index, index] > 0
