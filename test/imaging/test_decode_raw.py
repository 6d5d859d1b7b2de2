# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Each encoding of sensor_msgs/Image, with padding and byte order, and what is refused."""

from __future__ import annotations

import array

import cv2
import numpy as np
import pytest

from cvloc_ros.errors import ImageError
from cvloc_ros.imaging.decode import ENCODINGS, decode_raw

H, W = 24, 32


def _picture() -> np.ndarray:
    """Return a smooth RGB picture, so that halved chroma and mosaics lose little."""
    y, x = np.mgrid[0:H, 0:W]
    return np.stack([40 + 4 * x, 200 - 5 * y, 60 + 2 * x + 3 * y], axis=-1).astype(np.uint8)


def _yuv(rgb: np.ndarray) -> np.ndarray:
    r, g, b = np.moveaxis(rgb.astype(float), -1, 0)
    y = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    u = 128 - 0.148 * r - 0.291 * g + 0.439 * b
    v = 128 + 0.439 * r - 0.368 * g - 0.071 * b
    return np.rint(np.stack([y, u, v], axis=-1)).astype(np.uint8)


def _mosaic(rgb: np.ndarray, pattern: str) -> np.ndarray:
    out = np.empty((H, W), np.uint8)
    for i, letter in enumerate(pattern):
        out[i // 2 :: 2, i % 2 :: 2] = rgb[i // 2 :: 2, i % 2 :: 2, "rgb".index(letter)]
    return out


def _encode(rgb: np.ndarray, encoding: str) -> np.ndarray:
    """Write the picture as rows of bytes, little endian."""
    alpha = np.full((H, W, 1), 77, np.uint8)
    name = {"8UC1": "mono8", "8UC3": "bgr8", "8UC4": "bgra8"}.get(encoding, encoding)
    stem = name[:-2] if name.endswith("16") else name.removesuffix("8")
    yuv = _yuv(rgb)
    if name in {"yuv422", "uyvy", "yuv422_yuy2", "yuyv"}:
        out = np.empty((H, W, 2), np.uint8)
        chroma = 0 if name in {"yuv422", "uyvy"} else 1
        out[..., 1 - chroma] = yuv[..., 0]
        out[:, 0::2, chroma], out[:, 1::2, chroma] = yuv[:, 0::2, 1], yuv[:, 0::2, 2]
        return out.reshape(H, -1)
    if name in {"nv12", "nv21"}:
        pair = yuv[0::2, 0::2, 1:] if name == "nv12" else yuv[0::2, 0::2, :0:-1]
        return np.vstack([yuv[..., 0], pair.reshape(H // 2, W)])
    if name == "nv24":
        return np.vstack([yuv[..., 0], yuv[..., 1:].reshape(2 * H, W)])
    if stem.startswith("bayer"):
        pixels = _mosaic(rgb, stem[6:])[..., None]
    else:
        pixels = {
            "rgb": rgb,
            "bgr": rgb[..., ::-1],
            "rgba": np.dstack([rgb, alpha]),
            "bgra": np.dstack([rgb[..., ::-1], alpha]),
            "mono": rgb[..., :1],
        }[stem]
    if name.endswith("16"):
        return (pixels.astype("<u2") * 256 + 99).astype("<u2").reshape(H, -1).view(np.uint8)
    return pixels.reshape(H, -1)


def _expected(rgb: np.ndarray, encoding: str) -> np.ndarray:
    return np.repeat(rgb[..., :1], 3, axis=-1) if encoding.startswith("mono") or encoding == "8UC1" else rgb


def _tolerance(encoding: str) -> int:
    if encoding.startswith("bayer"):
        return 10
    return 9 if encoding in {"nv12", "nv21", "yuv422", "uyvy", "yuv422_yuy2", "yuyv", "nv24"} else 0


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_gives_the_picture(encoding: str, padding: int) -> None:
    rgb = _picture()
    rows = np.pad(_encode(rgb, encoding), ((0, 0), (0, padding)), constant_values=255)
    image = decode_raw(encoding, W, H, rows.shape[1], 0, rows.tobytes())
    assert image.shape == (H, W, 3)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    inner = (slice(2, -2), slice(2, -2))
    difference = np.abs(image.astype(int) - _expected(rgb, encoding))[inner]
    assert difference.max() <= _tolerance(encoding)


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name.endswith("16")])
def test_big_endian_gives_the_same(encoding: str) -> None:
    rows = _encode(_picture(), encoding)
    swapped = rows.view("<u2").byteswap().view(np.uint8)
    little, big = (decode_raw(encoding, W, H, rows.shape[1], e, r.tobytes()) for e, r in ((0, rows), (1, swapped)))
    np.testing.assert_array_equal(little, big)


def test_any_buffer_is_taken_and_rgb_is_not_copied() -> None:
    rows = _encode(_picture(), "rgb8")
    for data in (
        rows.tobytes(),
        bytearray(rows.tobytes()),
        array.array("B", rows.tobytes()),
        memoryview(rows.tobytes()),
        rows,
        rows.ravel(),
    ):
        np.testing.assert_array_equal(decode_raw("rgb8", W, H, 3 * W, 0, data), _picture())
    data = array.array("B", rows.tobytes())
    image = decode_raw("rgb8", W, H, 3 * W, 0, data)
    data[0] = 251
    assert image[0, 0, 0] == 251


def test_last_row_may_come_without_padding() -> None:
    rows = np.pad(_encode(_picture(), "bgr8"), ((0, 0), (0, 10)))
    image = decode_raw("bgr8", W, H, rows.shape[1], 0, rows.tobytes()[:-10])
    np.testing.assert_array_equal(image, _picture())


@pytest.mark.parametrize(("encoding", "factor"), [("nv12", 1.5), ("nv21", 1.5), ("nv24", 3)])
def test_step_that_counts_all_planes_is_understood(encoding: str, factor: float) -> None:
    data = _encode(_picture(), encoding).tobytes()
    np.testing.assert_array_equal(
        decode_raw(encoding, W, H, int(W * factor), 0, data), decode_raw(encoding, W, H, W, 0, data)
    )


@pytest.mark.parametrize(
    ("encoding", "width", "height", "step", "size", "words"),
    [
        ("rgb8", W, H, 3 * W - 1, 3 * W * H, "step of the rgb8 image is 95, a row has 96"),
        ("rgb8", W, H, 0, 3 * W * H, "step of the rgb8 image is 0"),
        ("rgb8", W, H, 3 * W, 3 * W * H - 1, "2303 bytes of data; 24 rows of 96 bytes are 2304"),
        ("rgb8", W, H, 3 * W, 3 * W * H + 1, "2305 bytes"),
        ("rgb8", W, H, 3 * W, 0, "0 bytes of data"),
        ("mono16", W, H, W, W * H, "step of the mono16 image is 32, a row has 64"),
        ("nv12", W, H, W, W * H, "36 rows of 32 bytes"),
        ("nv12", W, H + 1, W, W * H * 2, "side of 25 px"),
        ("yuyv", W - 1, H, 2 * W, 2 * W * H, "side of 31 px"),
        ("bayer_rggb8", 2, H, 2, 2 * H, "at least 4 a side"),
        ("rgb8", 0, H, 0, 0, "image of 0x24 px"),
        ("mono8", 1 << 20, 1 << 20, 1 << 20, 0, "pixels are taken"),
        ("32FC1", W, H, 4 * W, 4 * W * H, "'32FC1' is not a camera picture.*rgb8"),
        ("16UC1", W, H, 2 * W, 2 * W * H, "'16UC1' is not a camera picture"),
        ("", W, H, W, W * H, "'' is not a camera picture"),
        ("rgb", W, H, 3 * W, 3 * W * H, "'rgb' is not a camera picture"),
    ],
)
def test_contradictions_are_refused(encoding: str, width: int, height: int, step: int, size: int, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        decode_raw(encoding, width, height, step, 0, bytes(size))


def test_agrees_with_opencv_on_a_textured_mosaic() -> None:
    mosaic = np.random.default_rng(0).integers(0, 255, (H, W), np.uint8)
    expected = cv2.cvtColor(mosaic, cv2.COLOR_BayerBG2RGB)
    np.testing.assert_array_equal(decode_raw("bayer_rggb8", W, H, W, 0, mosaic), expected)


def test_mosaic_of_odd_size_is_taken() -> None:
    assert decode_raw("bayer_grbg8", 31, 23, 31, 0, bytes(31 * 23)).shape == (23, 31, 3)
