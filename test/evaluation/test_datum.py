# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cvloc_ros.config import Config
from cvloc_ros.evaluation import truth
from cvloc_ros.evaluation.bag import Bag
from cvloc_ros.evaluation.datum import Guess, guess_datum
from cvloc_ros.evaluation.topics import wire
from cvloc_ros.geo.projection import Projection

KIND = "geometry_msgs/msg/PoseWithCovarianceStamped"
SECOND = 10**9


def drive(maker, datum: tuple[float, float], truth_every: int = 1) -> list[tuple[str, str, int, object]]:
    """30 s at 2 m/s eastwards; GNSS two metres off at random, truth in a map at `datum`."""
    projection = Projection("local_enu", *datum)
    rng = np.random.default_rng(4)
    rows = []
    for second in range(30):
        stamp, x = (1_700_000_000 + second) * SECOND, 2.0 * second
        lat, lon = projection.to_geodetic(np.array([x, 0.0]) + rng.normal(0.0, 1.5, 2))
        fix = maker.fix(stamp, 0.0, 0.0)
        fix.latitude, fix.longitude = float(lat), float(lon)
        rows.append(("/fix", "sensor_msgs/msg/NavSatFix", stamp, fix))
        for part in range(10):
            at = stamp + part * SECOND // 10
            rows.append(("/odom", "nav_msgs/msg/Odometry", at, maker.odom(at, x + 0.2 * part)))
        if second % truth_every == 0:
            rows.append(("/ground_truth/pose", KIND, stamp, maker.truth(stamp, x)))
    return rows


def guess(path: Path) -> Guess | None:
    with Bag.open(path) as bag:
        wiring = wire(bag, Config(), "", {}, strict=False)
        return guess_datum(bag, wiring, truth.from_bag(bag, wiring.truth))


@pytest.mark.parametrize("truth_every", [1, 7])
def test_a_round_datum_is_found_and_told_as_a_guess(
    make_bag: Callable[..., Path], maker: object, truth_every: int
) -> None:
    found = guess(make_bag(rows=drive(maker, (47.0123, 8.0456), truth_every)))
    assert found is not None
    assert (found.latitude_deg, found.longitude_deg) == (47.0123, 8.0456)
    assert "is a guess" in str(found)
    assert "--datum" in str(found)


def test_nothing_is_guessed_where_no_round_position_is_near(make_bag: Callable[..., Path], maker: object) -> None:
    assert guess(make_bag(rows=drive(maker, (47.01235, 8.04565)))) is None


def test_too_few_fixes_are_no_ground_for_a_guess(make_bag: Callable[..., Path], maker: object) -> None:
    rows = [row for row in drive(maker, (47.0123, 8.0456)) if row[0] != "/fix" or row[2] % (5 * SECOND) == 0]
    assert guess(make_bag(rows=rows)) is None
