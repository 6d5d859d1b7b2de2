# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`sensor_msgs/CompressedImage` data to RGB; cut-off ones are refused, which decoders do not always do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from cvloc_ros.errors import ImageError
from cvloc_ros.imaging.raw import Buffer, as_bytes, decode_raw

if TYPE_CHECKING:
    from cvloc_ros.types import U8

# As stored: the orientation tag of a JPEG would turn the picture away from its calibration.
_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = b"\xff\xd9"


def decode_compressed(format_name: str, data: Buffer) -> U8:
    """Decode the fields of a `sensor_msgs/CompressedImage` (jpeg, png, webp) to RGB (height, width, 3) u8.

    The content decides, not `format_name`, which drivers fill in as they like. Alpha is dropped, 16 bits keep their
    upper byte, grey becomes three equal channels.

    Raises:
        ImageError: no data, another kind of content, or a picture that is cut off or damaged.
    """
    raw = as_bytes(data)
    kind = _kind(raw[:16].tobytes())
    if raw.size == 0:
        msg = f"compressed image (format {format_name!r}) has 0 bytes of data; look at the publisher"
        raise ImageError(msg)
    if kind is None or "compressedDepth" in format_name:
        msg = (
            f"compressed image of format {format_name!r} starts with {raw[:8].tobytes().hex(' ')}; jpeg, png and webp "
            "are taken; use the transport compressed"
        )
        raise ImageError(msg)
    cause = _cut_off(kind, raw)
    image = None if cause else _decode(raw)
    if image is None:
        msg = f"{kind} image of {raw.size} bytes {cause or 'is damaged'}; it was cut off or spoilt on its way"
        raise ImageError(msg)
    mosaic, _, rest = format_name.partition(";")
    if mosaic.startswith("bayer_") and "compressed bgr" not in rest and (image == image[..., :1]).all():
        # image_transport compresses a colour mosaic as if it were a grey picture.
        rows, columns = image.shape[:2]
        return decode_raw(mosaic.rstrip("168") + "8", columns, rows, columns, 0, image[..., 0].copy())
    return image


def _kind(head: bytes) -> str | None:
    if head.startswith(b"\xff\xd8"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    return "webp" if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else None


def _decode(raw: U8) -> U8 | None:
    try:
        image = cv2.imdecode(raw, _FLAGS)
    except cv2.error:  # more pixels than OpenCV allows, or a broken chunk
        return None
    return None if image is None else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _cut_off(kind: str, raw: U8) -> str:
    """Return what is missing at the end, or "" for a whole picture; bytes after the end are harmless."""
    if kind == "jpeg":
        content = raw.tobytes()
        return "" if content.find(_END_OF_IMAGE, _scan_start(content)) >= 0 else "has no end marker"
    if kind == "png":
        return "" if b"IEND" in raw.tobytes() else "has no end chunk"
    stated = int.from_bytes(raw[4:8].tobytes(), "little") + 8
    return "" if raw.size >= stated else f"should have {stated} bytes"


def _scan_start(content: bytes) -> int:
    """Return where the picture itself begins: a preview before it has an end marker of its own."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        if content[at + 1] == _START_OF_SCAN:
            return at
        fill = content[at + 1] == 0xFF
        at += 1 if fill else 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return min(at, len(content))
