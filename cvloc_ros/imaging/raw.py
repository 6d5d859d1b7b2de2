# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`sensor_msgs/Image` data to RGB, or to depth.

Encodings are those of `sensor_msgs/image_encodings.hpp`, and nv12. 16-bit images keep their upper byte. YUV is
BT.601 in studio range (16..235), as cameras send it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import cv2
import numpy as np

from cvloc_ros.errors import ImageError
from cvloc_ros.types import F32, U8

if TYPE_CHECKING:
    import array

    from numpy.typing import NDArray

Buffer: TypeAlias = "bytes | bytearray | memoryview | array.array[int] | NDArray[Any]"
"""What the data of a message may be: rclpy gives array.array, rosbags an ndarray."""

_Convert = Callable[[U8], Any]
_MAX_PIXELS = 1 << 28
_SMALLEST_MOSAIC = 4


def _code(number: int) -> _Convert:
    return lambda image: cv2.cvtColor(image, number)


def _same(image: U8) -> U8:
    return image


_COLOURS: Final[dict[str, tuple[int, _Convert]]] = {
    "rgb": (3, _same),
    "rgba": (4, _code(cv2.COLOR_RGBA2RGB)),
    "bgr": (3, _code(cv2.COLOR_BGR2RGB)),
    "bgra": (4, _code(cv2.COLOR_BGRA2RGB)),
    "mono": (1, _code(cv2.COLOR_GRAY2RGB)),
    "bayer_rggb": (1, _code(cv2.COLOR_BayerRGGB2RGB)),
    "bayer_bggr": (1, _code(cv2.COLOR_BayerBGGR2RGB)),
    "bayer_gbrg": (1, _code(cv2.COLOR_BayerGBRG2RGB)),
    "bayer_grbg": (1, _code(cv2.COLOR_BayerGRBG2RGB)),
}
# What cv_bridge writes where the publisher named no meaning: OpenCV's own order of channels.
_GENERIC: Final = {"8UC1": "mono", "8UC3": "bgr", "8UC4": "bgra"}
_YUV422: Final = {
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
}
_YUV420: Final = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}
# BT.601 in studio range; columns Y, U, V, 1.
_BT601: Final = np.array(
    [[1.164, 0.0, 1.596, -222.912], [1.164, -0.392, -0.813, 135.616], [1.164, 2.017, 0.0, -276.8]], np.float32
)

ENCODINGS: Final = tuple(
    sorted([f"{name}{bits}" for name in _COLOURS for bits in (8, 16)] + [*_GENERIC, *_YUV422, *_YUV420, "nv24"])
)
"""Encodings that `decode_raw` takes."""

DEPTH_ENCODINGS: Final = {"16UC1": ("u2", 1e-3), "mono16": ("u2", 1e-3), "32FC1": ("f4", 1.0)}
"""Encodings that `decode_depth` takes: type of a pixel, metres for one unit."""


def decode_raw(encoding: str, width: int, height: int, step: int, is_bigendian: int, data: Buffer) -> U8:
    """Decode the fields of a `sensor_msgs/Image` to RGB (height, width, 3) u8.

    `data` is anything with a buffer of bytes; it is not copied where it is rgb8 already (the result may be read-only).

    Raises:
        ImageError: the encoding is none of `ENCODINGS`, or size, step and length of the data contradict each other.
    """
    if width <= 0 or height <= 0 or width * height > _MAX_PIXELS:
        msg = f"image of {width}x{height} px; 1 to {_MAX_PIXELS} pixels are taken; look at the publisher"
        raise ImageError(msg)
    raw = as_bytes(data)
    name = _GENERIC.get(encoding, encoding[:-2] if encoding.endswith("16") else encoding.removesuffix("8"))
    if encoding in _YUV422:
        _even(encoding, width, 2)
        pairs = _rows(raw, encoding, height, step, 2 * width).reshape(height, width, 2)
        return np.asarray(cv2.cvtColor(pairs, _YUV422[encoding]), np.uint8)
    if encoding in _YUV420 or encoding == "nv24":
        return _decode_planes(raw, encoding, width, height, step)
    if encoding not in ENCODINGS:
        msg = f"encoding {encoding!r} is not a camera picture that can be used; taken are {', '.join(ENCODINGS)}"
        raise ImageError(msg)
    channels, convert = _COLOURS[name]
    size = 2 if encoding.endswith("16") else 1
    pixels = _rows(raw, encoding, height, step, width * channels * size).reshape(height, width, channels * size)
    if size == 2:
        pixels = pixels[:, :, (0 if is_bigendian else 1) :: 2]
    if name.startswith("bayer") and min(width, height) < _SMALLEST_MOSAIC:
        msg = f"{encoding} image of {width}x{height} px; at least {_SMALLEST_MOSAIC} a side are required for colour"
        raise ImageError(msg)
    return np.ascontiguousarray(convert(np.ascontiguousarray(pixels)), np.uint8)


def decode_depth(encoding: str, width: int, height: int, step: int, is_bigendian: int, data: Buffer) -> F32:
    """Decode the fields of a depth image (REP 118) to metres (height, width) f32, NaN where unknown.

    16UC1 (and mono16, as some drivers name it) is millimetres with 0 for unknown, 32FC1 metres with 0, NaN or infinity.

    Raises:
        ImageError: another encoding, or size, step and length of the data contradict each other.
    """
    if encoding not in DEPTH_ENCODINGS:
        msg = f"encoding {encoding!r} is no depth; {', '.join(DEPTH_ENCODINGS)} are (REP 118)"
        raise ImageError(msg)
    if width <= 0 or height <= 0 or width * height > _MAX_PIXELS:
        msg = f"depth image of {width}x{height} px; 1 to {_MAX_PIXELS} pixels are taken; look at the publisher"
        raise ImageError(msg)
    kind, unit = DEPTH_ENCODINGS[encoding]
    rows = np.ascontiguousarray(_rows(as_bytes(data), encoding, height, step, width * np.dtype(kind).itemsize))
    values = rows.view(np.dtype(kind).newbyteorder(">" if is_bigendian else "<")).astype(np.float32)
    with np.errstate(invalid="ignore"):
        metres: F32 = np.where(np.isfinite(values) & (values > 0), values * np.float32(unit), np.float32(np.nan))
    return metres


def as_bytes(data: Buffer) -> U8:
    """Return the bytes (n,) of a message's data without copying them."""
    if isinstance(data, np.ndarray):
        return data.reshape(-1).view(np.uint8)
    return np.frombuffer(data, np.uint8)


def _rows(raw: U8, encoding: str, rows: int, step: int, used: int) -> U8:
    """Return (rows, used) bytes without the padding at the end of each row."""
    if step < used:
        msg = f"step of the {encoding} image is {step}, a row has {used} bytes; the publisher must state the full row"
        raise ImageError(msg)
    # The last row may come without its padding.
    if not step * (rows - 1) + used <= raw.size <= step * rows:
        msg = (
            f"{encoding} image has {raw.size} bytes of data; {rows} rows of {step} bytes are {step * rows}; "
            "the image is cut off or its header is wrong: look at the publisher"
        )
        raise ImageError(msg)
    if raw.size == step * rows:
        return raw.reshape(rows, step)[:, :used]
    return np.lib.stride_tricks.as_strided(raw, (rows, used), (step, 1), writeable=False)


def _decode_planes(raw: U8, encoding: str, width: int, height: int, step: int) -> U8:
    """Decode a plane of Y, then one of chroma pairs (half or full size); `height` is that of the picture."""
    if encoding == "nv24":
        rows = _rows(raw, encoding, 3 * height, *_plane_step(step, width, 3))
        chroma = rows[height:].reshape(height, width, 2)
        yuv = np.dstack([rows[:height], chroma])
        return np.asarray(cv2.transform(yuv, _BT601), np.uint8)
    _even(encoding, width, 2)
    _even(encoding, height, 2)
    rows = _rows(raw, encoding, 3 * height // 2, *_plane_step(step, width, 1.5))
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(rows), _YUV420[encoding]), np.uint8)


def _plane_step(step: int, width: int, bytes_per_px: float) -> tuple[int, int]:
    """Return bytes from row to row of the Y plane, and the used ones; some drivers count all planes into the step."""
    return (width if step == width * bytes_per_px else step), width


def _even(encoding: str, size: int, multiple: int) -> None:
    if size % multiple:
        msg = f"{encoding} image has a side of {size} px; whole blocks of {multiple} are required"
        raise ImageError(msg)
