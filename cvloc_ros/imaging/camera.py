# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera models from the numbers of a `sensor_msgs/CameraInfo`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cvloc_ros.errors import ImageError
from cvloc_ros.imaging.models import Equirectangular, Fisheye, Pinhole, Rotated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from cvloc_ros.types import F64

__all__ = ["KINDS", "Camera", "Equirectangular", "Fisheye", "Pinhole", "Rotated", "from_camera_info"]

Camera = Pinhole | Fisheye | Equirectangular | Rotated

KINDS = ("plumb_bob", "rational_polynomial", "equidistant", "equirectangular")
_ALIASES = {"": "plumb_bob", "fisheye": "equidistant", "panorama": "equirectangular"}
# D may be longer than the model reads, as OpenCV writes it, if what is left is zero.
_LENGTHS = {"plumb_bob": (0, 4, 5), "rational_polynomial": (0, 5, 8), "equidistant": (0, 4)}
_SKEW_LIMIT_PX = 1e-3


def from_camera_info(
    kind: str,
    width: int,
    height: int,
    K: ArrayLike,
    D: ArrayLike,
    *,
    R: ArrayLike | None = None,
    P: ArrayLike | None = None,
    binning: Sequence[int] = (0, 0),
    roi: Sequence[int] | None = None,
    image_size: tuple[int, int] | None = None,
    rectified: bool = False,
) -> Camera:
    """Make the model that fits the images of one camera.

    Args:
        kind: `distortion_model` of the CameraInfo, or the model from the configuration. "" is accepted where D is
            zero. An equirectangular panorama needs no K, D, R, P, but its size.
        width: columns of the full sensor, as calibrated.
        height: rows of the full sensor, as calibrated.
        K: 9 numbers by rows. All zero means uncalibrated and is refused.
        D: distortion coefficients in the order of OpenCV.
        R: 9 numbers; the rotation to the rectified image. Used with `rectified` only.
        P: 12 numbers. Used with `rectified` only; its last column (stereo baseline) is not, as the mounting is that of
            this camera's own optical centre.
        binning: `binning_x`, `binning_y`; 0 means 1.
        roi: x_offset, y_offset, width, height in pixels of the full sensor; width = height = 0 means all.
        image_size: (columns, rows) of the images that arrive. Images made smaller by one whole number for both axes
            are taken; any other size is refused.
        rectified: the images are rectified already (topic `image_rect`): P and R hold, D is ignored.

    Raises:
        ImageError: uncalibrated, unknown model, wrong number of coefficients, or sizes that contradict each other.
    """
    name = _ALIASES.get(kind.strip().lower(), kind.strip().lower())
    if name not in KINDS:
        msg = f"distortion model {kind!r} is not known; known are {', '.join(KINDS)}; set cameras.<name>.model"
        raise ImageError(msg)
    if name == "equirectangular":
        columns, rows = image_size or (width, height)
        return panorama(columns, rows)
    if width <= 0 or height <= 0:
        msg = f"camera_info has size {width}x{height}; it must state the size of the calibrated image; calibrate again"
        raise ImageError(msg)
    fx, fy, cx, cy = _intrinsics(P if rectified else K, 4 if rectified else 3, "P" if rectified else "K")
    fx, fy, cx, cy, columns, rows = _crop((fx, fy, cx, cy), (width, height), binning, roi)
    fx, fy, cx, cy, columns, rows = _shrink((fx, fy, cx, cy), (columns, rows), image_size)
    if rectified:
        return _turned(Pinhole(columns, rows, fx, fy, cx, cy), R)
    coefficients = _coefficients(kind, name, D)
    if name == "equidistant":
        return Fisheye(columns, rows, fx, fy, cx, cy, coefficients)
    return Pinhole(columns, rows, fx, fy, cx, cy, coefficients)


def panorama(width: int, height: int, *, top_rad: float | None = None, bottom_rad: float | None = None) -> Camera:
    """Make an equirectangular camera over 360 degrees whose pixels are square.

    Without `top_rad` and `bottom_rad` the rows are centred on the horizon; with one of them the other follows.

    Raises:
        ImageError: the rows would reach beyond straight up or down.
    """
    if width <= 0 or height <= 0:
        msg = f"panorama of {width}x{height} px has no pixels; the size of the image is required"
        raise ImageError(msg)
    span = math.tau * height / width
    if top_rad is None:
        top_rad = bottom_rad + span if bottom_rad is not None else span / 2
    bottom_rad = top_rad - span if bottom_rad is None else bottom_rad
    if top_rad > math.pi / 2 + 1e-6 or bottom_rad < -math.pi / 2 - 1e-6 or top_rad <= bottom_rad:
        msg = (
            f"panorama of {width}x{height} px spans {math.degrees(bottom_rad):.1f} to {math.degrees(top_rad):.1f} deg "
            "of elevation; -90 to 90 is the limit; a panorama over 360 deg is at most half as high as it is wide"
        )
        raise ImageError(msg)
    return Equirectangular(width, height, top_rad, bottom_rad)


def _numbers(values: ArrayLike | None, count: int, name: str) -> F64:
    array: F64 = np.asarray([] if values is None else values, dtype=np.float64).ravel()
    if array.size != count or not np.isfinite(array).all():
        msg = f"{name} of camera_info has {array.size} numbers, {count} finite ones are required; calibrate again"
        raise ImageError(msg)
    return array


def _intrinsics(values: ArrayLike | None, columns: int, name: str) -> tuple[float, float, float, float]:
    matrix = _numbers(values, 3 * columns, name).reshape(3, columns)
    fx, skew, cx, fy, cy = (float(matrix[i]) for i in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2)))
    if fx <= 0.0 or fy <= 0.0:
        msg = (
            f"{name} of camera_info has focal lengths {fx:g}, {fy:g}; they must be positive. All zero means that the "
            "camera is not calibrated: calibrate it (camera_calibration) and let the driver publish the result"
        )
        raise ImageError(msg)
    if abs(skew) > _SKEW_LIMIT_PX:
        msg = f"{name} of camera_info has skew {skew:g} px; at most {_SKEW_LIMIT_PX:g} is taken; calibrate without skew"
        raise ImageError(msg)
    return fx, fy, cx, cy


def _coefficients(kind: str, name: str, D: ArrayLike) -> tuple[float, ...]:
    given = [float(value) for value in np.asarray(D, dtype=np.float64).ravel()]
    if not np.isfinite(given).all():
        msg = f"D of camera_info is {given}; finite numbers are required; calibrate again"
        raise ImageError(msg)
    if not kind.strip() and any(given):
        msg = f"camera_info names no distortion_model for D = {given}; set cameras.<name>.model to one of {KINDS[:3]}"
        raise ImageError(msg)
    longest = _LENGTHS[name][-1]
    if (len(given) not in _LENGTHS[name] and len(given) < longest) or any(given[longest:]):
        msg = (
            f"D of camera_info has {len(given)} numbers {given}; {name} takes {longest} "
            "(prism and tilt terms are not supported); calibrate with this model or set cameras.<name>.model"
        )
        raise ImageError(msg)
    size = 4 if name == "equidistant" else 8
    return tuple((given[:longest] + [0.0] * size)[:size])


_Inner = tuple[float, float, float, float]
_Sized = tuple[float, float, float, float, int, int]


def _crop(inner: _Inner, size: tuple[int, int], binning: Sequence[int], roi: Sequence[int] | None) -> _Sized:
    fx, fy, cx, cy = inner
    bx, by = max(1, int(binning[0])), max(1, int(binning[1]))
    x, y, columns, rows = (int(value) for value in roi) if roi is not None else (0, 0, 0, 0)
    if columns == 0 or rows == 0:
        x, y, columns, rows = 0, 0, *size
    if x < 0 or y < 0 or x + columns > size[0] or y + rows > size[1]:
        msg = (
            f"roi {columns}x{rows} at ({x}, {y}) of camera_info leaves the sensor of {size[0]}x{size[1]}; "
            "width, height and roi are in pixels of the full sensor: mend the driver"
        )
        raise ImageError(msg)
    # A binned pixel covers whole pixels from edge to edge, so it is edges, not centres, that divide evenly.
    return fx / bx, fy / by, (cx - x + 0.5) / bx - 0.5, (cy - y + 0.5) / by - 0.5, columns // bx, rows // by


def _shrink(inner: _Inner, size: tuple[int, int], image_size: tuple[int, int] | None) -> _Sized:
    fx, fy, cx, cy = inner
    if image_size is None or image_size == size:
        return (*inner, *size)
    columns, rows = image_size
    factor = size[0] // columns if columns > 0 else 0
    if factor < 2 or (columns * factor, rows * factor) != size:
        msg = (
            f"image of {columns}x{rows} px, but camera_info is for {size[0]}x{size[1]}; equal sizes, or a reduction of "
            "both axes by the same whole number, are required; let the resizing node publish its own camera_info"
        )
        raise ImageError(msg)
    return fx / factor, fy / factor, (cx + 0.5) / factor - 0.5, (cy + 0.5) / factor - 0.5, columns, rows


def _turned(camera: Pinhole, R: ArrayLike | None) -> Camera:
    if R is None:
        return camera
    rotation = _numbers(R, 9, "R").reshape(3, 3)
    if not rotation.any() or np.allclose(rotation, np.eye(3), atol=1e-12):
        return camera
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3):
        msg = f"R of camera_info is {rotation.tolist()}; a rotation matrix is required; calibrate again"
        raise ImageError(msg)
    return Rotated(camera, tuple(rotation.ravel().tolist()))
