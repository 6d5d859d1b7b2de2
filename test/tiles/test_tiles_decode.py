# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Decoding: whole pictures only, and what counts as "no imagery"."""

import cv2
import numpy as np
import pytest

from cvloc_ros.tiles.decode import Tile, decode_tile, fault_of, solid_free


@pytest.mark.parametrize("ext", [".jpg", ".png", ".webp"])
def test_formats_decode_to_rgb(kit, ext):
    rgb = np.zeros((256, 256, 3), np.uint8)
    rgb[..., 0] = np.arange(256)[None, :]
    rgb[..., 2] = 100
    tile = decode_tile(kit.encode(rgb, ext), 256)
    assert isinstance(tile, Tile)
    assert np.abs(tile.rgb.astype(int) - rgb).mean() < 4
    assert tile.valid is None or tile.valid.mean() > 0.9


@pytest.mark.parametrize("ext", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_truncated_picture_is_refused_before_decoding(kit, ext, share):
    data = kit.encode(kit.texture(1, 2, 3), ext)
    cut = data[: int(len(data) * share)]
    assert "truncated" in fault_of(cut)
    assert isinstance(decode_tile(cut), str)


@pytest.mark.parametrize("data", [b"", b"<html>no</html>", b"\xff\xd8" + b"x" * 50 + b"\xff\xd9"])
def test_what_is_no_picture_is_refused(data):
    assert isinstance(decode_tile(data), str)


def test_wrong_size_is_refused(kit):
    assert "512" in decode_tile(kit.encode(kit.texture(1, 1, 1, 512)), 256)
    assert "square" in decode_tile(kit.encode(np.zeros((10, 20, 3), np.uint8)))


def test_16_bit_is_refused():
    ok, data = cv2.imencode(".png", np.zeros((8, 8), np.uint16))
    assert ok
    assert "8 bit" in decode_tile(data.tobytes())


def test_transparent_pixels_are_invalid(kit):
    rgba = np.dstack([kit.texture(3, 3, 3), np.full((256, 256), 255, np.uint8)])
    rgba[:, 100:, 3] = 0
    tile = decode_tile(kit.encode(rgba, ".png"))
    assert tile.valid[:, :100].all()
    assert not tile.valid[:, 100:].any()
    assert not tile.blank


def test_wholly_transparent_tile_is_blank(kit):
    rgba = np.dstack([kit.texture(3, 3, 3), np.zeros((256, 256), np.uint8)])
    assert decode_tile(kit.encode(rgba, ".png")).blank


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (204, 204, 204)])
def test_one_colour_is_blank(kit, colour):
    assert decode_tile(kit.encode(np.full((256, 256, 3), colour, np.uint8))).blank


@pytest.mark.parametrize("colour", [255, 0])
def test_solid_edge_is_invalid_with_the_ringing_beside_it(kit, colour):
    rgb = kit.texture(5, 5, 5)
    rgb[:, 180:] = colour
    tile = decode_tile(kit.encode(rgb))
    assert not tile.valid[:, 180:].any()
    assert tile.valid[:, :170].all()


def test_white_roof_inside_the_picture_stays(kit):
    rgb = kit.texture(5, 5, 5)
    rgb[100:140, 100:140] = 255
    assert solid_free(rgb) is None


def test_thin_white_line_to_the_border_stays(kit):
    rgb = kit.texture(5, 5, 5)
    rgb[120:126] = 255
    assert solid_free(rgb) is None
