# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Geodetic datums."""

from __future__ import annotations

import pytest

from cvloc_ros.errors import GeoError
from cvloc_ros.geo.datum import DatumShift, canonical, grid_base


@pytest.mark.parametrize(
    ("name", "own"),
    [("WGS 84", "ITRF2014"), ("etrs89", "ETRF2000"), ("nad83(2011)", "NAD83(2011)"), ("GDA2020", "GDA2020")],
)
def test_spellings_of_a_datum(name: str, own: str) -> None:
    assert canonical(name) == own


def test_unknown_datum_lists_the_known_ones() -> None:
    with pytest.raises(GeoError, match="'ED50' is unknown; known: WGS84, ETRS89"):
        grid_base("ED50")


def test_shift_follows_the_plate_with_the_epoch() -> None:
    early, late = (DatumShift.between("ITRF2014", "ETRS89", year).forward(8.54, 47.38)[1] for year in (2016.0, 2026.0))
    assert (early - late) * 111_000 == pytest.approx(0.16, abs=0.04)


@pytest.mark.parametrize("target", ["ITRF2008", "ITRF2020"])
def test_realisations_of_itrf_agree_within_centimetres(target: str) -> None:
    lon, lat = DatumShift.between("ITRF2014", target, 2026.0).forward(8.54, 47.38)
    assert (float(lon), float(lat)) == pytest.approx((8.54, 47.38), abs=1e-6)


def test_shift_goes_back() -> None:
    shift = DatumShift.between("ETRS89", "GDA2020", 2026.0)
    assert shift.backward(*shift.forward(145.0, -38.0)) == pytest.approx((145.0, -38.0), abs=1e-10)
