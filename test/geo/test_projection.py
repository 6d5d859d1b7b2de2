# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Projection: navsat_transform's rule, tangent plane, datums, imagery CRS."""

from __future__ import annotations

import cmath
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyproj import CRS, Geod, Proj, Transformer

from cvloc_ros import config
from cvloc_ros.errors import ConfigError, GeoError
from cvloc_ros.geo.plane import utm_zone
from cvloc_ros.geo.projection import Projection, metres_apart

PLACES = [
    (48.0, 11.9),
    (-38.0, 145.0),
    (60.17, 24.94),
    (0.0, 0.0),
    (-0.001, 32.9),
    (78.2, 15.6),
    (60.4, 5.3),
    (-54.8, -68.3),
]
latitudes = st.floats(-79.0, 83.0)
longitudes = st.floats(-180.0, 180.0)
metres = st.floats(-20_000.0, 20_000.0)


def krueger(lat_deg: float, lon_deg: float, zone: int, *, south: bool) -> tuple[float, float, float]:
    """UTM easting, northing and convergence by Krueger's series in n (Karney 2011, eqs. 7-35), without PROJ."""
    f = 1 / 298.257223563
    n = f / (2 - f)
    e = math.sqrt(f * (2 - f))
    alpha = [
        n / 2 - 2 / 3 * n**2 + 5 / 16 * n**3 + 41 / 180 * n**4,
        13 / 48 * n**2 - 3 / 5 * n**3 + 557 / 1440 * n**4,
        61 / 240 * n**3 - 103 / 140 * n**4,
        49561 / 161280 * n**4,
    ]
    radius = 6378137.0 / (1 + n) * (1 + n**2 / 4 + n**4 / 64)
    phi, lam = math.radians(lat_deg), math.radians(lon_deg - (6 * zone - 183))
    lam = math.remainder(lam, math.tau)
    tau = math.tan(phi)
    sigma = math.sinh(e * math.atanh(e * tau / math.hypot(1, tau)))
    conformal = tau * math.hypot(1, sigma) - sigma * math.hypot(1, tau)
    xi, eta = math.atan2(conformal, math.cos(lam)), math.asinh(math.sin(lam) / math.hypot(conformal, math.cos(lam)))
    zeta = complex(xi, eta)
    series = zeta + sum(a * cmath.sin(2 * j * zeta) for j, a in enumerate(alpha, 1))
    slope = 1 + sum(2 * j * a * cmath.cos(2 * j * zeta) for j, a in enumerate(alpha, 1))
    gamma = math.atan2(conformal * math.tan(lam), math.hypot(1, conformal)) - cmath.phase(slope)
    k0 = 0.9996
    return 500_000 + k0 * radius * series.imag, k0 * radius * series.real + (1e7 if south else 0.0), gamma


@pytest.mark.parametrize(("lat", "lon"), PLACES)
@pytest.mark.parametrize("yaw", [0.0, 0.7, -2.5])
def test_utm_equals_navsat_transform_rule_with_independent_formula(lat: float, lon: float, yaw: float) -> None:
    projection = Projection("utm", lat, lon, yaw)
    zone = utm_zone(lat, lon)
    east0, north0, gamma = krueger(lat, lon, zone, south=lat < 0)
    assert projection.convergence_rad == pytest.approx(gamma, abs=1e-9)
    for d_lat, d_lon in [(0.0, 0.0), (0.05, -0.08), (-0.03, 0.02), (0.0, 0.1)]:
        east, north, _ = krueger(lat + d_lat, lon + d_lon, zone, south=lat < 0)
        turn = -(yaw + gamma)
        expected = [
            math.cos(turn) * (east - east0) - math.sin(turn) * (north - north0),
            math.sin(turn) * (east - east0) + math.cos(turn) * (north - north0),
        ]
        assert projection.to_map(lat + d_lat, lon + d_lon) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("kind", ["utm", "local_enu"])
@pytest.mark.parametrize(("lat", "lon"), PLACES)
def test_y_is_true_north_at_the_datum_when_yaw_is_zero(kind: str, lat: float, lon: float) -> None:
    projection = Projection(kind, lat, lon)
    north = projection.to_map(lat + 1e-4, lon)
    assert math.atan2(north[0], north[1]) == pytest.approx(0.0, abs=2e-6)
    assert projection.yaw_of_east() == pytest.approx(0.0, abs=1e-6)
    assert projection.to_map(lat, lon) == pytest.approx([0.0, 0.0], abs=1e-6)


def test_convergence_sign_is_that_of_known_places() -> None:
    assert math.degrees(Projection("utm", 60.17, 24.94).convergence_rad) == pytest.approx(-1.78, abs=0.02)
    assert math.degrees(Projection("utm", 51.2, 6.8).convergence_rad) == pytest.approx(-1.71, abs=0.01)
    assert Projection("utm", 48.0, 11.9).convergence_rad > 0, "east of the central meridian, north of the equator"
    assert Projection("utm", -38.0, 145.0).convergence_rad > 0, "west of it, south of the equator"
    assert Projection("local_enu", 60.17, 24.94).convergence_rad == 0.0


def test_convergence_agrees_with_proj() -> None:
    factors = Proj("EPSG:32635").get_factors(24.94, 60.17)
    assert Projection("utm", 60.17, 24.94).convergence_rad == pytest.approx(
        math.radians(factors.meridian_convergence), abs=1e-7
    )


def test_yaw_turns_the_map_counter_clockwise() -> None:
    projection = Projection("local_enu", 48.0, 11.9, math.pi / 2)
    north = projection.to_map(48.001, 11.9)
    assert north == pytest.approx([111.19, 0.0], abs=0.01), "with the map's x axis north, north is +x"
    assert projection.yaw_of_east() == pytest.approx(-math.pi / 2, abs=1e-9)


def test_yaw_of_east_follows_the_convergence_away_from_the_datum() -> None:
    projection = Projection("utm", 60.0, 24.0)
    point = projection.to_map(60.0, 25.0)
    there = Projection("utm", 60.0, 25.0)
    assert projection.yaw_of_east(point) == pytest.approx(there.convergence_rad - projection.convergence_rad, abs=1e-6)


def test_zone_and_hemisphere_stay_those_of_the_datum() -> None:
    border = Projection("utm", 48.0, 11.999)
    step = border.to_map(48.0, [11.9999, 12.0001])
    assert np.linalg.norm(step[1] - step[0]) == pytest.approx(14.9, abs=0.1)
    equator = Projection("utm", 0.0005, 32.9)
    assert equator.to_map(-0.0005, 32.9)[1] == pytest.approx(-110.5, abs=0.1)


@pytest.mark.parametrize("kind", ["utm", "local_enu"])
def test_the_date_line_is_no_border(kind: str) -> None:
    projection = Projection(kind, -17.0, 179.9999)
    point = projection.to_map(-17.0, -179.9999)
    assert point == pytest.approx([21.3, 0.0], abs=0.1)
    lat, lon = projection.to_geodetic(point)
    assert (float(lat), abs(float(lon))) == pytest.approx((-17.0, 179.9999))


@pytest.mark.parametrize(("crs", "unit_m"), [("EPSG:3857", 1.0), ("EPSG:4326", 111_320.0), ("EPSG:4258", 111_320.0)])
@pytest.mark.parametrize("lon", [179.9999, -179.9999])
def test_imagery_coordinates_run_on_over_the_date_line(crs: str, unit_m: float, lon: float) -> None:
    projection = Projection("local_enu", -17.0, lon)
    affine = projection.local_affine([0.0, 0.0], crs)
    assert affine[0, 0] * unit_m == pytest.approx(1.0 / math.cos(math.radians(17.0)), rel=0.01)
    points = np.array([[-80.0, 10.0], [80.0, 10.0]])
    there = projection.crs_from_map(points, crs)
    assert np.ptp(there[:, 0]) * unit_m == pytest.approx(167.0, abs=1.0)
    assert projection.map_from_crs(there, crs) == pytest.approx(points, abs=1e-4)


@settings(max_examples=60, deadline=None)
@example(0.0, 180.0, 0.0, "utm", 0.0, 0.0)
@given(latitudes, longitudes, st.floats(-3.2, 3.2), st.sampled_from(["utm", "local_enu"]), metres, metres)
def test_round_trip(lat: float, lon: float, yaw: float, kind: str, x: float, y: float) -> None:
    projection = Projection(kind, lat, lon, yaw)
    points = np.array([[x, y], [0.0, 0.0]])
    assert projection.to_map(*projection.to_geodetic(points)) == pytest.approx(points, abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(latitudes, longitudes, st.floats(0.0, 360.0), st.floats(1.0, 2000.0))
def test_distances_are_ground_distances_times_the_scale(
    lat: float, lon: float, azimuth: float, distance: float
) -> None:
    other_lon, other_lat, _ = Geod(ellps="WGS84").fwd(lon, lat, azimuth, distance)
    bearing = math.radians(azimuth)
    expected = distance * np.array([math.sin(bearing), math.cos(bearing)])
    enu = Projection("local_enu", lat, lon).to_map(other_lat, other_lon)
    assert enu == pytest.approx(expected, abs=1e-3 + distance * 1e-6)
    utm = Projection("utm", lat, lon).to_map(other_lat, other_lon)
    assert utm == pytest.approx(expected, abs=1e-3 + distance * 1.5e-3)


@settings(max_examples=40, deadline=None)
@given(st.floats(-90.0, 90.0), longitudes, metres, metres)
def test_local_enu_equals_the_topocentric_pipeline(lat: float, lon: float, x: float, y: float) -> None:
    pipeline = Transformer.from_pipeline(
        "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad +step +proj=cart +ellps=WGS84 "
        f"+step +proj=topocentric +ellps=WGS84 +lat_0={lat!r} +lon_0={lon!r} +h_0=0"
    )
    projection = Projection("local_enu", lat, lon)
    point_lat, point_lon = projection.to_geodetic([x, y])
    east, north, _ = pipeline.transform(float(point_lon), float(point_lat), 0.0)
    assert [east, north] == pytest.approx([x, y], abs=1e-6)
    assert projection.to_map(point_lat, point_lon) == pytest.approx([east, north], abs=1e-6)


def test_two_maps_are_compared_one_kilometre_from_the_datum() -> None:
    utm = Projection("utm", 48.0, 9.0)
    assert metres_apart(utm, utm) < 1e-6
    assert metres_apart(utm, Projection("local_enu", 48.0, 9.0)) == pytest.approx(0.4, abs=0.01)
    assert metres_apart(utm, Projection("utm", 48.0, 9.0, 0.01)) == pytest.approx(10.0, abs=0.1)


@pytest.mark.parametrize(
    ("place", "datum", "metres_off", "azimuth"),
    [
        ((47.38, 8.54), "ETRS89", 0.98, -133),
        ((60.17, 24.94), "ETRS89", 0.94, None),
        ((52.37, 4.9), "ETRF2000", 0.93, None),
        ((39.74, -104.99), "NAD83(2011)", 1.44, None),
    ],
)
def test_datum_shift_has_the_known_size(
    place: tuple[float, float], datum: str, metres_off: float, azimuth: float | None
) -> None:
    projection = Projection("local_enu", *place, map_datum=datum, epoch_year=2026.9)
    lon, lat = projection.map_to_imagery([0.0, 0.0])
    bearing, _, distance = Geod(ellps="GRS80").inv(place[1], place[0], float(lon), float(lat))
    assert distance == pytest.approx(metres_off, abs=0.01)
    assert azimuth is None or bearing == pytest.approx(azimuth, abs=1)
    assert projection.imagery_to_map(lon, lat) == pytest.approx([0.0, 0.0], abs=1e-4)


def test_datums_are_shifted_over_their_hub_not_by_ballpark() -> None:
    direct = Projection("local_enu", 47.38, 8.54, gnss_datum="ETRS89", map_datum="ITRF2014")
    back = Projection("local_enu", 47.38, 8.54, gnss_datum="WGS84", map_datum="ETRS89")
    assert direct.imagery_to_map(8.54, 47.38) == pytest.approx(-back.imagery_to_map(8.54, 47.38), abs=1e-3)
    crossed = Projection("local_enu", 47.38, 8.54, gnss_datum="ETRS89", map_datum="NAD83(2011)")
    assert np.linalg.norm(crossed.imagery_to_map(8.54, 47.38)) > 0.5


@pytest.mark.parametrize(
    ("gnss", "imagery"), [("ITRF2014", ""), ("ITRF2014", "wgs 84"), ("etrs89", "ETRF2000"), ("ETRS89", "")]
)
def test_equal_datums_shift_nothing(gnss: str, imagery: str) -> None:
    projection = Projection("utm", 47.38, 8.54, gnss_datum=gnss, map_datum=imagery)
    assert np.array_equal(projection.imagery_to_map(8.55, 47.4), projection.to_map(47.4, 8.55))


def test_map_offset_is_true_minus_mapped_in_east_and_north() -> None:
    plain, offset = Projection("utm", 47.0, 8.0), Projection("utm", 47.0, 8.0, map_offset_m=(2.0, -1.0))
    assert offset.imagery_to_map(8.01, 47.01) - plain.imagery_to_map(8.01, 47.01) == pytest.approx([2.0, -1.0])
    turned = Projection("utm", 47.0, 8.0, math.pi / 2, map_offset_m=(2.0, -1.0))
    point = turned.imagery_to_map(8.0, 47.0)
    assert point == pytest.approx([-1.0, -2.0], abs=1e-6), "map x is north: 1 m south is -x, 2 m east is -y"
    lon, lat = turned.map_to_imagery(point)
    assert (float(lon), float(lat)) == pytest.approx((8.0, 47.0), abs=1e-9)


@pytest.mark.parametrize(
    ("crs", "lat", "lon"),
    [
        ("EPSG:31256", 48.18, 16.31),
        ("EPSG:2994", 44.06, -123.07),
        ("EPSG:2992", 44.06, -123.07),
        ("EPSG:32755", -37.9, 145.0),
        ("EPSG:25832", 48.1, 11.6),
        ("EPSG:2056", 46.3, 8.0),
        ("EPSG:3857", 46.3, 8.0),
        ("EPSG:4326", 46.3, 8.0),
        ("EPSG:28992", 52.1, 5.1),
    ],
)
@pytest.mark.parametrize("kind", ["utm", "local_enu"])
def test_imagery_crs_agrees_with_pyproj(crs: str, lat: float, lon: float, kind: str) -> None:
    projection = Projection(kind, lat, lon, 0.3)
    expected = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon + 0.005, lat + 0.002)
    point = projection.to_map(lat + 0.002, lon + 0.005)
    assert projection.crs_from_map(point, crs) == pytest.approx(expected, rel=1e-11, abs=1e-4)
    points = np.array([[100.0, -50.0], [-300.0, 2000.0]])
    there = projection.crs_from_map(points, crs)
    assert projection.map_from_crs(there, crs) == pytest.approx(points, abs=0.01)
    assert projection.crs_from_map(points, CRS.from_user_input(crs)) == pytest.approx(there)


def test_datum_shift_is_not_applied_twice_for_grids_of_an_older_realisation() -> None:
    tied = Projection("local_enu", 44.06, -123.07, map_datum="NAD83(2011)")
    harn, newer = (tied.crs_from_map([0.0, 0.0], crs) for crs in ("EPSG:2994", "EPSG:6557"))
    assert harn == pytest.approx(newer, abs=0.01), "feet; 3.7 and 1.7 apart when PROJ goes by way of WGS 84"
    plain = Projection("local_enu", 44.06, -123.07)
    for crs in ("EPSG:6557", "EPSG:26910", "EPSG:3857"):
        shift = tied.map_from_crs(plain.crs_from_map([0.0, 0.0], crs), crs)
        assert shift == pytest.approx([-1.575, 0.206], abs=0.002)


@pytest.mark.parametrize("crs", ["EPSG:31256", "EPSG:25833", "EPSG:3857"])
def test_datum_shift_is_the_same_for_every_kind_of_imagery(crs: str) -> None:
    plain, tied = Projection("utm", 48.18, 16.31), Projection("utm", 48.18, 16.31, map_datum="ETRS89")
    assert tied.map_from_crs(plain.crs_from_map([0.0, 0.0], crs), crs) == pytest.approx([0.752, 0.632], abs=0.003)


def test_feet_stay_feet() -> None:
    projection = Projection("local_enu", 44.06, -123.07)
    affine = projection.local_affine((0.0, 0.0), "EPSG:2992")
    assert math.sqrt(np.linalg.det(affine[:, :2])) == pytest.approx(1 / 0.3048, rel=1e-3)


@pytest.mark.parametrize(
    ("crs", "lat", "lon"), [("EPSG:3857", 60.0, 25.0), ("EPSG:3857", 47.4, 8.5), ("EPSG:31256", 48.18, 16.31)]
)
def test_affine_is_millimetres_off_within_100_m(crs: str, lat: float, lon: float) -> None:
    projection = Projection("local_enu", lat, lon, 0.4)
    centre = np.array([400.0, -200.0])
    affine = projection.local_affine(centre, crs)
    offsets = np.array([[x, y] for x in (-100, 0, 100) for y in (-100, 0, 100)], dtype=np.float64)
    points = centre + offsets
    exact = projection.crs_from_map(points, crs)
    off_m = (exact - points @ affine[:, :2].T - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T
    assert np.abs(off_m).max() < 0.004


@pytest.mark.parametrize("shape", [(), (3,), (2, 5), (0,)])
def test_shapes_are_kept(shape: tuple[int, ...]) -> None:
    projection = Projection("utm", 48.0, 11.9, map_datum="ETRS89")
    lat = np.full(shape, 48.001)
    points = projection.to_map(lat, 11.9)
    assert points.shape == (*shape, 2)
    assert projection.to_geodetic(points)[0].shape == shape
    assert projection.imagery_to_map(11.9, lat).shape == (*shape, 2)
    assert projection.crs_from_map(points, "EPSG:25832").shape == (*shape, 2)
    assert projection.map_from_crs(projection.crs_from_map(points, "EPSG:25832"), "EPSG:25832").shape == (*shape, 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("utm", 91.0, 8.0), "latitude 91"),
        (("utm", 47.0, 181.0), "longitude 181"),
        (("utm", math.nan, 8.0), "finite"),
        (("utm", 85.0, 8.0), "local_enu"),
        (("utm", -80.5, 8.0), "local_enu"),
        (("mercator", 47.0, 8.0), "local_enu"),
        (("utm", 47.0, 8.0, math.inf), "finite"),
        (("utm", 47.0, 8.0, 0.0, "ED50"), "ITRF2014"),
        (("utm", 47.0, 8.0, 0.0, "ITRF2014", "typo"), "NAD83(2011)"),
        (("utm", 47.0, 8.0, 0.0, "ITRF2014", "", (math.nan, 0.0)), "finite"),
    ],
)
def test_bad_settings_are_refused_with_the_remedy(arguments: tuple[object, ...], words: str) -> None:
    with pytest.raises(GeoError) as caught:
        Projection(*arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize("kind", ["utm", "local_enu"])
def test_bad_positions_are_refused(kind: str) -> None:
    projection = Projection(kind, 48.0, 11.9)
    for lat, lon in [(math.nan, 11.9), (48.0, math.inf), (90.1, 0.0), ([48.0, 91.0], [11.9, 11.9])]:
        with pytest.raises(GeoError, match="latitude"):
            projection.to_map(lat, lon)
    with pytest.raises(GeoError, match="not finite"):
        projection.to_geodetic([math.nan, 0.0])
    with pytest.raises(GeoError, match="datum"):
        projection.to_geodetic([1e9, 0.0])


@pytest.mark.parametrize("crs", ["EPSG:999999", "nonsense", "EPSG:5703", ""])
def test_unknown_crs_is_refused(crs: str) -> None:
    with pytest.raises(GeoError, match=r"tiles\.crs"):
        Projection("utm", 48.0, 11.9).crs_from_map([0.0, 0.0], crs)


def test_points_outside_the_crs_or_plane_are_refused() -> None:
    with pytest.raises(GeoError, match=r"tiles\.crs"):
        Projection("local_enu", 48.0, 11.9).crs_from_map([0.0, 0.0], "+proj=gnom +lat_0=-80 +ellps=WGS84 +type=crs")
    with pytest.raises(GeoError, match="too far"):
        Projection("local_enu", 48.0, 11.9).to_map(-48.0, -168.1)


def test_config_without_datum_names_the_key() -> None:
    with pytest.raises(ConfigError, match=r"geo\.datum.*navsat_transform"):
        Projection.from_config(config.Geo())
    with pytest.raises(ConfigError, match="first fix"):
        Projection.from_config(config.Geo(datum_source="first_fix"))


def test_config_fills_all_settings() -> None:
    tree = {"projection": "local_enu", "datum": [47.0, 8.0, 0.5], "map_datum": "ETRS89", "epoch_year": 2014.5}
    geo = config.Geo.model_validate(tree | {"map_offset_east_m": 1.0, "map_offset_north_m": 2.0})
    rest = ("ITRF2014", "ETRS89", (1.0, 2.0), 2014.5)
    made = Projection.from_config(geo)
    assert made == Projection("local_enu", 47.0, 8.0, 0.5, *rest)
    assert hash(made) == hash(Projection("local_enu", 47.0, 8.0, 0.5, *rest))
    assert Projection.at_fix(geo, 46.0, 7.0) == Projection("local_enu", 46.0, 7.0, 0.0, *rest)


def test_threads_get_the_same_answers() -> None:
    projection = Projection("utm", 48.18, 16.31, map_datum="ETRS89")
    points = np.random.default_rng(0).uniform(-500, 500, (200, 2))

    def work(_: int) -> float:
        there = projection.crs_from_map(points, "EPSG:31256")
        return float(there.sum())

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(work, range(40)))) == 1
