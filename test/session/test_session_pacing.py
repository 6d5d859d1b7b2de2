# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
import threading

import numpy as np

from cvloc_ros.config import merge
from cvloc_ros.types import NOT_ATTEMPTED, CameraImage, Pose2, Status


def test_images_faster_than_the_interval_are_throttled_unseen(driving) -> None:
    for t in (2.05, 2.1, 2.15):
        result = driving.step(t)
        assert result.status is Status.THROTTLED
        assert result.status in NOT_ATTEMPTED
        assert not result.views
    assert driving.step(2.2).status is Status.OK


def test_a_standing_vehicle_attempts_at_the_heartbeat_only(rig, truth) -> None:
    vehicle = rig(output={"heartbeat_s": 4.0})
    vehicle.truth = lambda t: truth(min(t, 2.0))
    vehicle.know_heading()
    assert vehicle.run(1.0, 2.0)[-1].status is Status.OK
    results = vehicle.run(*np.arange(3.0, 11.0))
    assert [r.status for r in results] == [Status.STANDSTILL] * 3 + [Status.OK] + [Status.STANDSTILL] * 3 + [Status.OK]


def test_creeping_adds_up_to_an_attempt(rig, truth) -> None:
    vehicle = rig()
    vehicle.truth = lambda t: truth(min(t, 2.0) + 0.02 * max(t - 2.0, 0.0))  # 8 cm/s
    vehicle.know_heading()
    vehicle.run(1.0, 2.0)
    statuses = [r.status for r in vehicle.run(*np.arange(3.0, 9.0))]
    assert statuses == [Status.STANDSTILL] * 3 + [Status.OK] + [Status.STANDSTILL] * 2


def test_a_result_that_comes_too_late_is_a_candidate_and_teaches_nothing(driving) -> None:
    result = driving.step(3.0, 1.49)
    assert result.status is Status.OK or "limit 1.5" in result.reasons[0]
    late = driving.step(4.0, 1.6)
    assert late.status is Status.TOO_LATE
    assert late.candidate is not None
    assert "limit 1.5" in late.reasons[0]
    assert driving.step(5.0, 0.1).status is Status.OK


def test_what_failed_before_it_was_late_keeps_its_own_reason(rig) -> None:
    vehicle = rig(cameras={"front": {}})
    assert vehicle.step(1.0, 5.0).status is Status.NO_TRANSFORM


def test_many_late_results_do_not_count_against_own_poses(driving) -> None:
    for t in np.arange(3.0, 10.0):
        assert driving.step(t, 9.0).status is Status.TOO_LATE
    assert len(driving.session._history._own) > 0


def test_new_settings_apply_from_the_next_image_on(driving) -> None:
    changes = {"estimation": {"min_score": 0.999}, "output": {"min_interval_s": 0.5}}
    driving.session.apply(merge(driving.config, changes))
    result = driving.step(3.0)
    assert result.status is Status.LOW_SCORE
    assert driving.step(3.4).status is Status.THROTTLED
    driving.session.apply(driving.config)
    assert driving.step(3.45).status is Status.OK


def test_ready_once_odometry_has_reached_the_image(driving) -> None:
    newest = driving.ns(2.1)
    assert driving.session.ready(newest)
    assert not driving.session.ready(newest + 1)


def test_without_odometry_there_is_nothing_to_wait_for(rig) -> None:
    assert rig().session.ready(10**18)


def test_inputs_from_another_thread_while_localizing(rig) -> None:
    vehicle = rig()
    vehicle.know_heading()
    stop, faults = threading.Event(), []

    def feed() -> None:
        try:
            t = 0.0
            while not stop.is_set() and t < 12.0:
                vehicle.feed(t)
                start = vehicle.truth(0.0)
                covariance = np.diag([1e6, 1e6, math.radians(5.0) ** 2])
                vehicle.session.set_initial_pose(vehicle.ns(0.0), start, covariance)
                vehicle.session.set_calibration("front", vehicle.session._cameras._models["front"])
                t += 0.05
        except Exception as err:  # noqa: BLE001
            faults.append(err)

    thread = threading.Thread(target=feed)
    thread.start()
    results = [vehicle.session.localize([vehicle.image(t)]) for t in np.arange(0.5, 8.0, 0.5)]
    stop.set()
    thread.join()
    assert not faults
    assert len(results) == 15
    for t, result in zip(np.arange(0.5, 8.0, 0.5), results, strict=True):
        if result.status is Status.OK:
            assert vehicle.error(result, float(t))[0] < 0.3


def test_an_initial_pose_set_during_an_attempt_is_not_overridden_by_its_result(driving) -> None:
    told = Pose2(40.0, 40.0, 2.0)

    def decode_and_tell():
        driving.session.set_initial_pose(driving.ns(3.0), told, np.diag([1.0, 1.0, 0.01]))
        return image.decode()

    driving.feed(3.6)
    image = driving.image(3.0)
    during = driving.session.localize([CameraImage("front", image.stamp_ns, "cam", decode_and_tell)])
    assert driving.error(during, 3.0)[0] < 0.3
    after = driving.session.localize([driving.image(3.5)])
    assert after.prior.source.endswith("initial")
    assert "own" not in after.prior.source
