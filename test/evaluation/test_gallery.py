# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The gallery keeps what a person should see, in bounded memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cvloc_ros.evaluation import gallery as module
from cvloc_ros.evaluation.gallery import Gallery
from cvloc_ros.types import Correspondences, GroundView, LocalizationResult, Pose2, PoseEstimate, Status


def result(number: int, error: float, status: Status = Status.OK) -> LocalizationResult:
    estimate = PoseEstimate(Pose2(error, 0.0, 0.0), np.eye(3), 0.5, 0.1)
    view = GroundView("front", np.zeros((2, 2, 3), np.uint8), None, np.eye(4), number)
    good = status is Status.OK
    return LocalizationResult(
        status, number, estimate=estimate if good else None, candidate=None if good else estimate, views=(view,)
    )


@pytest.fixture
def gallery(monkeypatch: pytest.MonkeyPatch) -> Gallery:
    monkeypatch.setattr(module, "_drawn", lambda exhibit: exhibit)
    return Gallery()


def test_best_median_worst_and_one_of_each_refusal(gallery: Gallery) -> None:
    rng = np.random.default_rng(3)
    errors = rng.permutation(np.arange(1, 402) / 100.0)
    for number, error in enumerate(errors):
        gallery.offer(number, result(number, float(error)), Pose2(0.0, 0.0, 0.0))
        if number in (50, 60):
            gallery.offer(1000 + number, result(number, 9.0, Status.AMBIGUOUS), Pose2(0.0, 0.0, 0.0))
        assert len(gallery._kept) <= module.KEPT
    chosen = dict(gallery.choose())
    assert chosen["published, best error"].error_m == pytest.approx(0.01)
    assert chosen["published, worst error"].error_m == pytest.approx(4.01)
    assert chosen["published, median error"].error_m == pytest.approx(2.01, abs=1.0)
    assert chosen["refused: ambiguous"].number == 1050


def test_without_truth_the_score_decides_and_nothing_is_kept_when_off(gallery: Gallery) -> None:
    gallery.offer(1, result(1, 0.5), None)
    assert [title for title, _ in gallery.choose()] == ["published, best score"]
    off = Gallery(enabled=False)
    off.offer(1, result(1, 0.5), None)
    assert off.choose() == []


def test_matches_of_an_older_keyframe_do_not_break_the_report(gallery: Gallery) -> None:
    """Its image is not kept; a picture that asked for it ended the replay after all poses were there."""
    old, new = (GroundView("front", np.zeros((2, 2, 3), np.uint8), None, np.eye(4), stamp) for stamp in (6, 7))
    found = Correspondences(
        np.arange(8.0).reshape(4, 2), np.zeros((4, 2)), np.ones(4), np.zeros((4, 2)), np.array([0, 1, 0, 1]),
        height_m=np.arange(4.0),
    )  # fmt: skip
    gallery.offer(7, replace(result(7, 0.5), views=(old, new), matches=found), None)
    (_, exhibit), = gallery.choose()
    kept = exhibit.result
    assert kept.views == (new,)
    assert kept.matches.view.tolist() == [0, 0] and kept.matches.height_m.tolist() == [1.0, 3.0]
    assert kept.matches.ground.tolist() == [[2.0, 3.0], [6.0, 7.0]]
