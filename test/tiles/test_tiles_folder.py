# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tile folders and file templates."""

import pytest

from cvloc_ros.errors import TileSourceError
from cvloc_ros.tiles.folder import FolderStore, find_template


@pytest.fixture
def write(tmp_path, kit):
    def to(pattern, keys):
        for key in keys:
            path = tmp_path / pattern.format(z=key.z, x=key.x, y=key.y, t=key.tms_row)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(kit.encode(kit.texture(*key)))
        return tmp_path

    return to


def test_folder_is_found_by_its_form(write, kit):
    folder = write("{z}/{x}/{y}.jpg", kit.around(19, 1))
    store = FolderStore(find_template(folder))
    assert (store.min_zoom, store.max_zoom, store.tile_size) == (19, 19, 256)
    assert all(answer.data for answer in store.get(kit.around(19, 1), 0.0).values())
    assert store.known(kit.around(19, 2)) == 9


@pytest.mark.parametrize(("text", "shown"), [('{"attribution": "(c) Town"}', "(c) Town"), ("[]", ""), ("{", "")])
def test_attribution_beside_the_tiles_is_shown(write, kit, text, shown):
    folder = write("{z}/{x}/{y}.jpg", kit.around(19, 1))
    (folder / "metadata.json").write_text(text, encoding="utf-8")
    assert FolderStore(find_template(folder)).attribution == shown


def test_braces_in_the_path_are_no_placeholders(write, kit):
    folder = write("{{odd}}/{z}/{x}/{y}.jpg", kit.around(19, 1)) / "{odd}"
    assert FolderStore(find_template(folder)).known(kit.around(19, 1)) == 9


@pytest.mark.parametrize("pattern", ["{z}/{t}/{x}.jpg", "flat_{z}_{x}_{t}.jpg"])
def test_rows_from_the_south_and_other_orders(write, kit, pattern):
    folder = write(pattern, kit.around(19, 1))
    store = FolderStore(f"{folder}/{pattern.replace('{t}', '{-y}')}")
    answers = store.get(kit.around(19, 1), 0.0)
    assert answers[kit.centre].data == kit.encode(kit.texture(*kit.centre))


def test_empty_folder_names_what_is_expected(tmp_path):
    with pytest.raises(TileSourceError, match="gdalbuildvrt"):
        find_template(tmp_path)


@pytest.mark.parametrize("pattern", ["{z}/{x}.jpg", "{z}/{x}/{y}/{-y}.jpg", "{q}.jpg"])
def test_template_without_the_place_is_refused(tmp_path, pattern):
    with pytest.raises(TileSourceError, match="placeholders"):
        FolderStore(f"{tmp_path}/{pattern}")


def test_template_without_tiles_is_refused(tmp_path):
    with pytest.raises(TileSourceError, match="no tile there"):
        FolderStore(f"{tmp_path}/{{z}}/{{x}}/{{y}}.jpg")
