# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of the datum, and of the imagery along the GNSS track."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cvloc_ros.config import Config
from cvloc_ros.errors import CvlocError
from cvloc_ros.evaluation.doctor.check import Check, fail, ok, warn
from cvloc_ros.evaluation.doctor.survey import Survey
from cvloc_ros.geo.projection import Projection
from cvloc_ros.tiles import AerialMap, open_map
from cvloc_ros.types import F64

SPACING_M = 20.0
AROUND_M = 5.0
MAX_PLACES = 400
FAR_KM = 50.0


def check_datum(survey: Survey) -> Iterator[Check]:
    """Check that the map has an origin, near the drive."""
    config, track = survey.wiring.config, _usable(survey)
    if not config.geo.datum:
        if survey.wiring.datum:
            yield ok("datum", f"taken from {survey.wiring.datum}")
        else:
            hint = f"; the first fix is {track[0][0]:.6f}, {track[0][1]:.6f}" if len(track) else ""
            yield warn(
                "datum", "none is set" + hint, "set geo.datum (the same as navsat_transform's), or geo.datum_source: "
                "first_fix for trials",
            )
        return
    if not len(track):
        return
    start = Projection.from_config(config.geo).to_map(track[0][0], track[0][1])
    distance_km = float(np.hypot(*start)) / 1e3
    if distance_km > FAR_KM:
        yield warn("datum", f"the drive starts {distance_km:.0f} km from it", "is it the datum of another place?")
    else:
        yield ok("datum", f"{config.geo.datum[:2]}, {distance_km:.2f} km from the start, {config.geo.projection}")


def check_imagery(survey: Survey) -> Iterator[Check]:
    """Check that the map covers the GNSS track."""
    config, track = survey.wiring.config, _usable(survey)
    if not config.tiles.source:
        yield warn("imagery", "no map given", "give --map (or tiles.source) to check the coverage of the drive")
        return
    if not len(track):
        yield warn("imagery", "no GNSS track to compare with", "see GNSS")
        return
    try:
        covered, places, opened = _cover(config, track)
    except CvlocError as err:
        yield fail("imagery", str(err), "see tiles.source, tiles.crs and tiles.contact")
        return
    share = float(covered.mean())
    text = f"{opened}: imagery at {share:.0%} of {len(places)} places along the GNSS track"
    if share == 0.0:
        yield fail("imagery", text, "the map is of another place, or not fetched: `cvloc tiles fetch`; check the datum")
    elif share < 1.0:
        first = places[int(np.argmin(covered))]
        gap = f"{text}; first gap at x {first[0]:.0f} m, y {first[1]:.0f} m"
        yield warn("imagery", gap, "nothing is published there")
    else:
        yield ok("imagery", text)


def _cover(config: Config, track: F64) -> tuple[F64, F64, str]:
    geo = config.geo
    projection = Projection.from_config(geo) if geo.datum else Projection.at_fix(geo, *map(float, track[0]))
    points = np.asarray(projection.to_map(track[:, 0], track[:, 1])).reshape(-1, 2)
    kept = [points[0]]
    for point in points[1:]:
        if np.hypot(*(point - kept[-1])) >= SPACING_M:
            kept.append(point)
    places = np.array(kept[:: max(1, -(-len(kept) // MAX_PLACES))])
    opened = open_map(config.tiles, projection)
    try:
        covered = np.array([_there(opened, place) for place in places])
    finally:
        opened.close()
    return covered, places, opened.description


def _there(opened: AerialMap, place: F64) -> bool:
    patch = opened.patch(place, AROUND_M)
    grid = np.linspace(-AROUND_M, AROUND_M, 11)
    points = place + np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    column, row = np.rint(patch.px_from_map(points)).astype(int).T
    height, width = patch.valid.shape
    inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
    return bool(patch.valid[row[inside], column[inside]].sum() >= 0.5 * len(points))


def _usable(survey: Survey) -> F64:
    rows = [(f.latitude_deg, f.longitude_deg) for f in survey.fixes if f.quality >= 0]
    track = np.array(rows, dtype=np.float64).reshape(-1, 2)
    return track[np.isfinite(track).all(axis=1)]
