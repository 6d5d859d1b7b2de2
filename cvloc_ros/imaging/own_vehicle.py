# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which pixels show the vehicle itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from cvloc_ros.errors import ImageError

if TYPE_CHECKING:
    from cvloc_ros.types import U8, Mask

_VEHICLE = 255


def load_mask(path: Path | str, size: tuple[int, int] | None = None) -> Mask:
    """Read a picture that is white (255) where the vehicle is seen, black (0) elsewhere.

    Args:
        path: picture file with one channel, or three equal ones.
        size: (columns, rows) of the camera's images; None leaves the check to the bird's-eye view.

    Returns:
        (rows, columns), True where the image may be used: what `GroundView.valid` wants.

    Raises:
        ImageError: the file cannot be read, has another size, other values, or leaves no pixel.
    """
    data = _read(path)
    image = (
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
        if data
        else None
    )
    if image is None:
        msg = f"mask {path} is not a picture that can be decoded; give a png file"
        raise ImageError(msg)
    if size is not None and image.shape != (size[1], size[0]):
        msg = (
            f"mask {path} has {image.shape[1]}x{image.shape[0]} px, the camera {size[0]}x{size[1]}; they must be equal"
        )
        raise ImageError(msg)
    valid = mask_of(np.asarray(image, dtype=np.uint8), f"mask {path}")
    if not valid.any():
        msg = f"mask {path} is white throughout and leaves no pixel; white (255) marks the vehicle, black what is used"
        raise ImageError(msg)
    return valid


def mask_of(image: U8, name: str) -> Mask:
    """Turn a picture (rows, columns), 255 where the vehicle is seen and 0 elsewhere, to True where it may be used.

    Raises:
        ImageError: the picture `name` holds other values.
    """
    other = np.setdiff1d(image, (0, _VEHICLE))
    if other.size:
        msg = (
            f"{name} holds {other.size} values besides 0 and 255, such as {int(other[0])}; 255 marks the vehicle; "
            "draw it without smoothing and save it as png"
        )
        raise ImageError(msg)
    return np.asarray(image != _VEHICLE)


def _read(path: Path | str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as err:
        msg = f"mask {path} cannot be read: {err.strerror}; give a file, or leave mask_file empty"
        raise ImageError(msg) from err
