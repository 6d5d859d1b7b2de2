# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From the bytes of a tile to colours and validity; bytes that are not a whole picture are refused."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from cvloc_ros.types import U8, Mask

_PNG = b"\x89PNG\r\n\x1a\n"
_WHITE = 250
_BLACK = 3
_UNIFORM_SPAN = 2
_SOLID_PX = 9
"""A solid area holds a square of this side; smaller ones are roof lights, road markings, deep shadow."""
_RINGING_PX = 8
"""JPEG spoils this many pixels beside the edge of a no-data area."""


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """A decoded tile: rgb (S, S, 3) u8, valid (S, S) or None where all is. `blank`: one colour or all invalid."""

    rgb: U8
    valid: Mask | None
    blank: bool

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.rgb.nbytes + (0 if self.valid is None else self.valid.nbytes)


def tile_id(data: bytes) -> bytes:
    """Content address (16 bytes) of a tile."""
    return hashlib.blake2b(data, digest_size=16).digest()


def fault_of(data: bytes) -> str:
    """Return "" for a whole JPEG, PNG or WebP, else what is wrong; cheap, nothing is decoded.

    OpenCV 4.6 decodes a truncated JPEG to grey without any error, so the end is looked for here.
    """
    if data.startswith(b"\xff\xd8"):
        return "" if b"\xff\xd9" in data[-64:] else "JPEG without its end: truncated"
    if data.startswith(_PNG):
        return "" if b"IEND" in data[-64:] else "PNG without its end: truncated"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "" if len(data) >= 8 + int.from_bytes(data[4:8], "little") else "WebP shorter than it says: truncated"
    return f"not a JPEG, PNG or WebP (starts with {data[:12]!r})" if data else "empty"


def decode_tile(data: bytes, size: int | None = None) -> Tile | str:
    """Decode; a text tells why it cannot be done. `size` is the side that is expected, None for any."""
    fault = fault_of(data)
    if fault:
        return fault
    raw = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if raw is None:
        return "cannot be decoded: damaged"
    if raw.dtype != np.uint8:
        return f"{raw.dtype} pixels; 8 bit are expected"
    if raw.shape[0] != raw.shape[1] or (size is not None and raw.shape[0] != size):
        return f"{raw.shape[1]}x{raw.shape[0]} px; {size or 'a square'} expected"
    valid: Mask | None = None
    if raw.ndim == 2:
        rgb = np.asarray(cv2.cvtColor(raw, cv2.COLOR_GRAY2RGB), np.uint8)
    elif raw.shape[2] == 4:
        rgb = np.asarray(cv2.cvtColor(raw, cv2.COLOR_BGRA2RGB), np.uint8)
        valid = raw[:, :, 3] >= 128
    else:
        rgb = np.asarray(cv2.cvtColor(raw, cv2.COLOR_BGR2RGB), np.uint8)
    if valid is None:
        valid = solid_free(rgb)
    elif valid.all():
        valid = None
    blank = _uniform(rgb) or (valid is not None and not valid.any())
    return Tile(rgb, valid, blank)


def solid_free(rgb: U8) -> Mask | None:
    """Mask of what is not solid white or black reaching the border; None where nothing of the kind is found.

    Imagery without alpha marks what lies outside its sheet this way. Such an area always reaches the border of the
    picture that shows its edge, which a white roof seldom does.
    """
    low, high = _span(rgb)
    solid = (low >= _WHITE) | (high <= _BLACK)
    if np.count_nonzero(solid) < _SOLID_PX * _SOLID_PX:
        return None
    mask = solid.astype(np.uint8)
    core = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((_SOLID_PX, _SOLID_PX), np.uint8))
    count, labels = cv2.connectedComponents(core, connectivity=4, ltype=cv2.CV_32S)
    if count < 2:
        return None
    reaching = np.zeros(count, np.bool_)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        reaching[edge] = True
    reaching[0] = False
    if not reaching.any():
        return None
    side = 2 * _RINGING_PX + 1
    invalid: Mask = cv2.dilate(reaching[labels].astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    return ~invalid


def _span(rgb: U8) -> tuple[U8, U8]:
    red, green, blue = cv2.split(rgb)
    low, high = cv2.min(cv2.min(red, green), blue), cv2.max(cv2.max(red, green), blue)
    return np.asarray(low, np.uint8), np.asarray(high, np.uint8)


def _uniform(rgb: U8) -> bool:
    thin = rgb[::8, ::8].reshape(-1, 3)
    if int((thin.max(axis=0) - thin.min(axis=0)).max()) > _UNIFORM_SPAN:
        return False
    flat = rgb.reshape(-1, 3)
    return int((flat.max(axis=0) - flat.min(axis=0)).max()) <= _UNIFORM_SPAN
