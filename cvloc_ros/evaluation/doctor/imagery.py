# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of the datum, and of the imagery along the GNSS track."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cvloc_ros.errors import CvlocError
from cvloc_ros.evaluation.doctor.check import Check, fail, ok, warn
from cvloc_ros.evaluation.doctor.survey import Survey
from cvloc_ros.geo.projection import Projection
from cvloc_ros.status_fields import without_secrets
from cvloc_ros.tiles import AerialMap, open_map
from cvloc_ros.types import F64

SPACING_M = 20.0
AROUND_M = 5.0
STREET_M = 25.0
"""What the cameras see beyond the search window."""

MAX_PLACES = 400
FAR_KM = 50.0
OTHER_MAP_M = 0.2
PATIENCE_S = 10.0
"""Longest wait for tiles of one place: here, unlike while driving, there is time."""


def check_datum(survey: Survey) -> Iterator[Check]:
    """Check that the map has an origin, near the drive, and the same as that of a localizer that runs."""
    config, track, theirs = survey.wiring.config, _usable(survey), survey.datum
    if not config.geo.datum:
        if theirs is not None:
            place = f"{theirs.latitude_deg:.7f}, {theirs.longitude_deg:.7f}"
            yield ok("datum", f"{place}, taken from {survey.wiring.datum}")
        else:
            hint = f"; the first fix is {track[0][0]:.6f}, {track[0][1]:.6f}" if len(track) else ""
            yield warn(
                "datum", "none is set" + hint, "set geo.datum (the same as navsat_transform's), or geo.datum_source: "
                "first_fix for trials",
            )
        return
    projection = Projection.from_config(config.geo)
    if theirs is not None:
        off_m = float(np.hypot(*projection.to_map(theirs.latitude_deg, theirs.longitude_deg)))
        if off_m > OTHER_MAP_M:
            yield warn(
                "datum", f"{survey.wiring.datum} lies {off_m:.1f} m from geo.datum: that localizer has another map",
                "run it and this check with the same settings",
            )
    if not len(track):
        yield ok("datum", f"{config.geo.datum[:2]}, {config.geo.projection}; no fix to compare it with")
        return
    distance_km = float(np.hypot(*projection.to_map(track[0][0], track[0][1]))) / 1e3
    if distance_km > FAR_KM:
        yield warn("datum", f"the drive starts {distance_km:.0f} km from it", "is it the datum of another place?")
    else:
        yield ok("datum", f"{config.geo.datum[:2]}, {distance_km:.2f} km from the start, {config.geo.projection}")


def check_imagery(survey: Survey) -> Iterator[Check]:
    """Check that the map covers the GNSS track, and all that is searched around its end, where the vehicle is."""
    config, track = survey.wiring.config, _usable(survey)
    if not config.tiles.source:
        yield warn("imagery", "no map given", "give --map (or tiles.source) to check the coverage of the drive")
        return
    if not len(track):
        yield warn("imagery", "no GNSS track to compare with", "see GNSS")
        return
    geo = config.geo
    try:
        projection = Projection.from_config(geo) if geo.datum else Projection.at_fix(geo, *map(float, track[0]))
        opened = open_map(config.tiles.model_copy(update={"wait_s": PATIENCE_S}), projection)
    except CvlocError as err:
        yield fail("imagery", str(err), "see tiles.source, tiles.crs and tiles.contact")
        return
    try:
        points = np.asarray(projection.to_map(track[:, 0], track[:, 1])).reshape(-1, 2)
        yield from _along(opened, points)
        yield from _around(opened, points[-1], config.search.radius_min_m + STREET_M)
    except CvlocError as err:
        yield fail("imagery", str(err), "is the datum that of another place?")
    finally:
        opened.close()


def _along(opened: AerialMap, points: F64) -> Iterator[Check]:
    kept = [points[0]]
    for point in points[1:]:
        if np.hypot(*(point - kept[-1])) >= SPACING_M:
            kept.append(point)
    places = np.array(kept[:: max(1, -(-len(kept) // MAX_PLACES))])
    covered = np.array([_there(opened, place) for place in places])
    share = float(covered.mean())
    text = f"{opened.description}: imagery at {share:.0%} of {len(places)} places along the GNSS track"
    if share == 0.0:
        yield fail("imagery", text, "the map is of another place, or not fetched: `cvloc tiles fetch`; check the datum")
    elif share < 1.0:
        first = places[int(np.argmin(covered))]
        gap = f"{text}; first gap at x {first[0]:.0f} m, y {first[1]:.0f} m"
        yield warn("imagery", gap, "take a larger map: nothing is published in the gaps")
    else:
        yield ok("imagery", text)


def _around(opened: AerialMap, place: F64, half_m: float) -> Iterator[Check]:
    """Check the square that a search from the last fix looks at."""
    share, tiles = _share(opened, place, half_m), opened.patch(place, half_m).tiles
    text = f"{share:.0%} of the {2 * half_m:.0f} m around the last fix"
    if tiles.failed or tiles.pending:
        fault = without_secrets(tiles.message) or f"no answer within {PATIENCE_S:.0f} s"
        lacking = f"{text}; {tiles.failed + tiles.pending} of {tiles.tiles} tiles could not be had: {fault}"
        yield warn("imagery", lacking, "check network, key and tiles.contact, or fetch ahead: `cvloc tiles fetch`")
    elif share < 1.0:
        yield warn("imagery", text, "take a larger map: where a search reaches beyond it, poses are refused")
    else:
        yield ok("imagery", text)


def _there(opened: AerialMap, place: F64) -> bool:
    return _share(opened, place, AROUND_M) >= 0.5


def _share(opened: AerialMap, place: F64, half_m: float) -> float:
    """Return the share of a square that has imagery."""
    patch = opened.patch(place, half_m)
    grid = np.linspace(-half_m, half_m, 11)
    points = place + np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    column, row = np.rint(patch.px_from_map(points)).astype(int).T
    height, width = patch.valid.shape
    inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
    return float(patch.valid[row[inside], column[inside]].sum() / len(points))


def _usable(survey: Survey) -> F64:
    rows = [(f.latitude_deg, f.longitude_deg) for f in survey.fixes if f.quality >= 0]
    track = np.array(rows, dtype=np.float64).reshape(-1, 2)
    return track[np.isfinite(track).all(axis=1)]
