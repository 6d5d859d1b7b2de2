# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What `tiles.source` may be, and every refusal with its remedy."""

import pytest

from cvloc_ros.config import Tiles
from cvloc_ros.errors import TileSourceError
from cvloc_ros.geo.projection import Projection
from cvloc_ros.tiles import open_map
from cvloc_ros.tiles.opening_network import cache_folder, resolve
from cvloc_ros.tiles.providers import load_providers

TEMPLATE = "https://tiles.example.org/{z}/{x}/{y}.jpg"


@pytest.fixture
def folder(tmp_path, kit):
    for key in kit.around(19, 1):
        path = tmp_path / "tiles" / str(key.z) / str(key.x) / f"{key.y}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(kit.encode(kit.texture(*key)))
    return tmp_path / "tiles"


def test_every_local_form_opens(folder, town, projection):
    sources = [town, f"file://{town}", folder, f"{folder}/{{z}}/{{x}}/{{y}}.jpg", f"file://{folder}/{{z}}/{{x}}/{{y}}.jpg"]
    for source in sources:
        aerial = open_map(Tiles(source=str(source)), projection)
        assert not aerial.is_network
        assert aerial.bounds_map is not None
        assert aerial.bounds_map.contains([0.0, 0.0])
        aerial.close()


def test_mbtiles_under_another_name_opens(town, projection):
    town = town.rename(town.with_suffix(".db"))
    assert "MBTiles" in open_map(Tiles(source=str(town)), projection).description


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"source": ""}, "tiles.source is empty"),
        ({"source": "/nowhere/map.mbtiles"}, "no such file"),
        ({"source": "provider:swistopo", "contact": "a@b.c"}, "did you mean provider:swisstopo"),
        ({"source": "provider:xyzzy", "contact": "a@b.c"}, "known: .*pdok"),
        ({"source": "provider:pdok"}, "tiles.contact is empty"),
        ({"source": TEMPLATE}, "tiles.contact is empty"),
        ({"source": "https://a.b/{z}/{x}.jpg", "contact": "a@b.c"}, "needs"),
        ({"source": "provider:google", "contact": "a@b.c"}, "exclude analysis by machines"),
        ({"source": "https://mt1.google.com/vt?x={x}&y={y}&z={z}", "contact": "a@b.c"}, "exclude analysis"),
        ({"source": "https://ecn.t3.tiles.virtualearth.net/tiles/a{q}.jpeg", "contact": "a@b.c"}, "exclude analysis"),
        ({"source": "provider:mapbox", "contact": "a@b.c"}, "CVLOC_MAPBOX_KEY"),
        ({"source": "provider:pdok", "contact": "a@b.c", "providers_file": "/nowhere.yaml"}, "providers_file"),
        ({"source": "provider:pdok", "contact": "a@b.c", "crs": "EPSG:28992"}, "tiles are in EPSG:3857"),
    ],
)
def test_refusals_carry_the_remedy(projection, tmp_path, monkeypatch, changes, word):
    monkeypatch.delenv("CVLOC_MAPBOX_KEY", raising=False)
    with pytest.raises(TileSourceError, match=word):
        open_map(Tiles(cache_dir=str(tmp_path), **changes), projection)


def test_mbtiles_that_is_none(tmp_path, projection):
    (tmp_path / "m.mbtiles").write_bytes(b"half a download")
    with pytest.raises(TileSourceError, match="no SQLite file"):
        open_map(Tiles(source=str(tmp_path / "m.mbtiles")), projection)


def test_map_out_of_reach_of_the_datum(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    import numpy as np
    from rasterio.transform import from_origin

    with rasterio.open(tmp_path / "m.tif", "w", width=64, height=64, count=3, dtype="uint8",
                       crs="+proj=gnom +lat_0=0 +lon_0=0", transform=from_origin(0, 0, 0.2, 0.2)) as file:
        file.write(np.full((3, 64, 64), 90, np.uint8))
    with pytest.raises(TileSourceError, match=r"geo\.datum"):
        open_map(Tiles(source=str(tmp_path / "m.tif")), Projection("local_enu", 0.0, 170.0))


def test_terms_follow_the_host_of_a_template(tmp_path):
    config = Tiles(contact="a@b.c", cache_dir=str(tmp_path))
    _, own = resolve(TEMPLATE, config)
    assert own.store == "allowed"
    _, esri = resolve("https://services.arcgisonline.com/x/{z}/{y}/{x}", config)
    assert esri.store == "forbidden"


def test_shipped_catalogue_is_complete():
    providers = load_providers()
    assert {"swisstopo", "pdok", "ign_fr", "basemap_at", "nrw_dop", "usgs", "naip", "esri", "google"} <= set(providers)
    for provider in providers.values():
        assert provider.attribution
        assert provider.licence_url.startswith("https://")
        assert provider.min_zoom <= provider.max_zoom


def test_nothing_is_downloaded_by_default():
    assert Tiles().source == ""


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("providers: [1]", "no mapping"),
        ("providers: {a: {title: t}}", "a?.*Field required"),
        ("providers: {a: {title: t, url: u, max_zoom: 99, attribution: x, licence: l, store: maybe, rate_per_s: 1}}",
         "max_zoom.*store"),
        ("{", "providers_file"),
    ],
)
def test_faulty_catalogue_names_the_fault(tmp_path, text, word):
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(TileSourceError, match=word):
        load_providers(str(tmp_path / "p.yaml"))


def test_cache_folder_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder(Tiles()) == tmp_path / "cvloc_ros"
    assert cache_folder(Tiles(cache_dir="/x")).as_posix() == "/x"
