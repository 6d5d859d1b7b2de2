# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Places that look alike: what was seen some metres ago tells them apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from cvloc_ros.types import ScoreVolume, Status

SEEN = tuple(0.6 * n for n in range(16))
ALIKE = (9.6, 10.2, 10.8)


@pytest.fixture
def echoing(rig: Callable[..., Any]) -> Callable[[float], Any]:
    """A vehicle whose matcher, from 9.5 s on, finds every place as likely again 4 m further east."""

    def make(earlier_m: float) -> Any:
        made = rig(estimation={"earlier_m": earlier_m})
        made.know_heading()
        matcher = made.session._localizer._matcher
        match = matcher.match

        def twice(views: Any, aerial: Any, window: Any) -> ScoreVolume:
            volume = match(views, aerial, window)
            if max(view.stamp_ns for view in views) < made.ns(9.5):
                return volume
            shift = round(4.0 / abs(volume.x_m[1] - volume.x_m[0]))
            echo = torch.full_like(volume.log_likelihood, -torch.inf)
            echo[:, :, shift:] = volume.log_likelihood[:, :, :-shift]
            return dataclasses.replace(volume, log_likelihood=torch.maximum(volume.log_likelihood, echo))

        matcher.match = twice
        return made

    return make


def test_alone_two_places_that_are_alike_are_refused(echoing: Callable[[float], Any]) -> None:
    made = echoing(0.0)
    made.run(*SEEN)
    assert {result.status for result in made.run(*ALIKE)} == {Status.AMBIGUOUS}


def test_attempts_before_tell_two_places_apart_that_are_alike(echoing: Callable[[float], Any]) -> None:
    made = echoing(60.0)
    assert made.run(*SEEN)[-1].status is Status.OK
    results = made.run(*ALIKE)
    for result, t in zip(results, ALIKE, strict=True):
        assert made.error(result, t)[0] < 0.3


def test_reset_forgets_what_attempts_before_have_told(echoing: Callable[[float], Any]) -> None:
    made = echoing(60.0)
    made.run(*SEEN)
    made.session.reset()
    made.rewind(2000.0)
    made.know_heading()
    assert Status.OK not in {result.status for result in made.run(*ALIKE)}
