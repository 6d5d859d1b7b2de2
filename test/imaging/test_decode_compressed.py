# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Compressed pictures: whole ones come back, cut ones are refused with the reason."""

from __future__ import annotations

import array
import struct
import zlib

import cv2
import numpy as np
import pytest

from cvloc_ros.errors import ImageError
from cvloc_ros.imaging.decode import decode_compressed


def _picture() -> np.ndarray:
    y, x = np.mgrid[0:120, 0:160]
    return np.stack([40 + x, 200 - y, 60 + (x + y) // 2], axis=-1).astype(np.uint8)


def _encode(suffix: str, image: np.ndarray, *options: int) -> bytes:
    done, data = cv2.imencode(suffix, image, options)
    assert done
    return data.tobytes()


@pytest.mark.parametrize(
    ("suffix", "format_name", "tolerance"),
    [
        (".jpg", "jpeg", 8),
        (".jpg", "rgb8; jpeg compressed bgr8", 8),
        (".jpg", "", 8),
        (".png", "png", 0),
        (".png", "bgr8; png compressed bgr8", 0),
        (".webp", "webp", 16),
        (".png", "jpeg", 0),
    ],
)
def test_picture_comes_back_in_rgb(suffix: str, format_name: str, tolerance: int) -> None:
    data = _encode(suffix, _picture()[..., ::-1])
    for buffer in (data, array.array("B", data), np.frombuffer(data, np.uint8)):
        image = decode_compressed(format_name, buffer)
        assert image.dtype == np.uint8
        assert np.abs(image.astype(int) - _picture()).max() <= tolerance


def test_grey_alpha_and_16_bit_become_rgb() -> None:
    rgb = _picture()
    grey = decode_compressed("mono8; jpeg compressed ", _encode(".jpg", rgb[..., 0]))
    assert np.abs(grey.astype(int) - rgb[..., :1]).max() <= 8
    rgba = np.dstack([rgb[..., ::-1], np.full(rgb.shape[:2], 3, np.uint8)])
    np.testing.assert_array_equal(decode_compressed("png", _encode(".png", rgba)), rgb)
    deep = rgb[..., ::-1].astype(np.uint16) * 256 + 77
    np.testing.assert_array_equal(decode_compressed("png", _encode(".png", deep)), rgb)
    deep_grey = rgb[..., 0].astype(np.uint16) * 256
    np.testing.assert_array_equal(
        decode_compressed("mono16; png compressed ", _encode(".png", deep_grey)), np.repeat(rgb[..., :1], 3, axis=-1)
    )


def test_progressive_jpeg_is_taken() -> None:
    data = _encode(".jpg", _picture(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert decode_compressed("jpeg", data).shape == (120, 160, 3)


def test_mosaic_compressed_as_grey_becomes_colour() -> None:
    rgb = np.broadcast_to(np.array([200, 100, 30], np.uint8), (120, 160, 3))
    mosaic = rgb[..., 1].copy()
    mosaic[0::2, 0::2], mosaic[1::2, 1::2] = 200, 30
    image = decode_compressed("bayer_rggb8; png compressed ", _encode(".png", mosaic))
    np.testing.assert_array_equal(image[4:-4, 4:-4], rgb[4:-4, 4:-4])


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.99])
def test_truncated_picture_is_refused(suffix: str, share: float) -> None:
    data = _encode(suffix, cv2.randu(np.empty((120, 160, 3), np.uint8), 0, 255))
    with pytest.raises(ImageError, match="cut off or spoilt"):
        decode_compressed("jpeg", data[: max(16, int(len(data) * share))])


def test_truncated_jpeg_is_refused_where_only_the_end_marker_is_gone() -> None:
    data = _encode(".jpg", _picture())
    assert data.endswith(b"\xff\xd9")
    with pytest.raises(ImageError, match="no end marker"):
        decode_compressed("jpeg", data[:-2])
    with pytest.raises(ImageError, match="no end marker"):
        decode_compressed("jpeg", data[:-2] + bytes(64))


@pytest.mark.parametrize("padding", [bytes(500), b"\xff" * 500, b"\r\n", b"more data"])
def test_bytes_after_the_end_are_harmless(padding: bytes) -> None:
    data = _encode(".jpg", _picture())
    np.testing.assert_array_equal(decode_compressed("jpeg", data + padding), decode_compressed("jpeg", data))


def test_end_marker_of_a_preview_is_not_the_end_of_the_picture() -> None:
    data, preview = _encode(".jpg", _picture()), _encode(".jpg", _picture()[::4, ::4])
    block = b"\xff\xe2" + struct.pack(">H", len(preview) + 2) + preview
    whole = data[:2] + block + data[2:]
    np.testing.assert_array_equal(decode_compressed("jpeg", whole), decode_compressed("jpeg", data))
    with pytest.raises(ImageError, match="no end marker"):
        decode_compressed("jpeg", whole[:-2])


def test_orientation_tag_does_not_turn_the_picture() -> None:
    exif = (
        b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
    )
    data = _encode(".jpg", _picture())
    tagged = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    assert cv2.imdecode(np.frombuffer(tagged, np.uint8), cv2.IMREAD_COLOR).shape == (160, 120, 3)
    np.testing.assert_array_equal(decode_compressed("jpeg", tagged), decode_compressed("jpeg", data))


def test_picture_of_absurd_size_is_refused() -> None:
    header = struct.pack(">IIBBBBB", 1 << 20, 1 << 20, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    with pytest.raises(ImageError, match="damaged"):
        decode_compressed("png", data)


@pytest.mark.parametrize(
    ("format_name", "data", "words"),
    [
        ("jpeg", b"", "0 bytes of data"),
        ("h264", b"\x00\x00\x00\x01gabc", "'h264' starts with 00 00 00 01.*jpeg, png and webp"),
        ("jpeg", b"<html>no image</html>", "starts with 3c 68"),
        ("16UC1; compressedDepth png", b"\x89PNG\r\n\x1a\nIEND", "compressedDepth"),
        ("jpeg", b"\xff\xd8\xff", "no end marker"),
        ("jpeg", b"\xff\xd8", "no end marker"),
        ("webp", b"RIFF\xff\x00\x00\x00WEBP", "should have 263 bytes"),
    ],
)
def test_what_is_no_picture_is_refused(format_name: str, data: bytes, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        decode_compressed(format_name, data)
