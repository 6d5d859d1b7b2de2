# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Orthophotos in any CRS through rasterio: GeoTIFF, COG, VRT, JPEG with world file, JPEG 2000."""

from __future__ import annotations

import hashlib
import math
import threading
import warnings
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from cvloc_ros.errors import TileSourceError
from cvloc_ros.tiles.decode import solid_free
from cvloc_ros.tiles.imagery import Level, Pixels, Window
from cvloc_ros.types import U8, Mask, TileState

if TYPE_CHECKING:
    from pathlib import Path

_Untyped: TypeAlias = Any
"""Objects of rasterio and affine, which ship no types."""
_MAX_PIXEL_M = 20.0
_MIN_PIXEL_M = 0.001
_COARSE_FACTORS = (1, 8, 32, 128)
"""Planes in between are made by averaging: overviews of odd sizes are up to half a pixel off."""


class RasterMap:
    """One raster file as `Imagery`."""

    is_network = False

    def __init__(self, path: Path, crs: str = "") -> None:
        """Open the file; `crs` replaces the CRS that it names or lacks.

        Raises:
            TileSourceError: rasterio is not installed, the file is unreadable, has no georeference or CRS, its CRS
                puts it off the Earth, or its pixels are no 8-bit colours.
        """
        self._lock = threading.Lock()
        self._file = _open(path)
        try:
            self._bands = _bands(self._file, path)
            self.crs = _crs(self._file, path, crs)
            affine = self._file.transform
            self.bounds = _bounds(self._file)
            _check_place(path, self.crs, self.bounds, math.sqrt(abs(affine.determinant)), given=bool(crs))
        except TileSourceError:
            self._file.close()
            raise
        self.name = str(path.resolve())
        self.levels = tuple(_level(affine, f) for f in _COARSE_FACTORS if f == 1 or min(self._file.shape) >= 64 * f)
        self._alpha = _has_mask(self._file)
        stat = path.stat() if path.exists() else None
        identity = f"{self.name}:{stat.st_size}:{stat.st_mtime_ns}" if stat else self.name
        self._digest = hashlib.blake2b(identity.encode(), digest_size=12).hexdigest()
        height, width = self._file.shape
        tags = self._file.tags()
        self.attribution = str(tags.get("TIFFTAG_COPYRIGHT", "")).strip()
        about = str(tags.get("TIFFTAG_IMAGEDESCRIPTION", "")).strip()
        file = f"{path.name} ({self._file.driver}, {width}x{height} px, {self.crs[:40]})"
        self.description = f"{about}: {file}" if about else file

    def read(self, level: Level, window: Window, deadline_s: float) -> Pixels:  # noqa: ARG002
        """Read a window; see `Imagery.read`."""
        rgb = np.zeros((window.height, window.width, 3), np.uint8)
        valid = np.zeros((window.height, window.width), np.bool_)
        part = self._inside(level, window)
        if part is not None:
            area = np.s_[
                part.row - window.row : part.row - window.row + part.height,
                part.column - window.column : part.column - window.column + part.width,
            ]
            try:
                rgb[area], valid[area] = self._read_inside(_factor(level), part)
            except OSError as err:  # rasterio's errors of reading are OSErrors
                return Pixels(rgb, valid, TileState(tiles=1, failed=1, message=f"{self.name}: {err}"), "unreadable")
        state = TileState(tiles=1, cached=int(part is not None), missing=int(part is None))
        return Pixels(rgb, valid, state, self._digest)

    def share(self, level: Level, window: Window) -> float:
        """Return the share of the window inside the raster."""
        part = self._inside(level, window)
        return 0.0 if part is None else part.width * part.height / (window.width * window.height)

    def version(self) -> int:
        """Return 0: the file does not change."""
        return 0

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def _inside(self, level: Level, window: Window) -> Window | None:
        rows, columns = (size // _factor(level) for size in self._file.shape)
        left, top = max(window.column, 0), max(window.row, 0)
        right, bottom = min(window.column + window.width, columns), min(window.row + window.height, rows)
        return Window(left, top, right - left, bottom - top) if right > left and bottom > top else None

    def _read_inside(self, factor: int, part: Window) -> tuple[U8, Mask]:
        from rasterio.enums import Resampling
        from rasterio.windows import Window as FileWindow

        window = FileWindow(*(factor * value for value in (part.column, part.row, part.width, part.height)))
        size = (part.height, part.width)
        with self._lock:
            bands = self._file.read(
                self._bands, window=window, out_shape=(len(self._bands), *size), resampling=Resampling.average
            )
            mask = self._file.dataset_mask(window=window, out_shape=size) if self._alpha else None
        rgb: U8 = np.ascontiguousarray(np.broadcast_to(np.moveaxis(bands, 0, 2), (*size, 3)))
        if mask is not None:
            return rgb, mask >= 128
        free = solid_free(rgb)
        return rgb, np.ones(size, np.bool_) if free is None else free


def _open(path: Path) -> _Untyped:
    try:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning, RasterioError
    except ImportError as err:
        msg = f"{path}: rasters need the package rasterio; `pip install cvloc_ros[geo]`"
        raise TileSourceError(msg) from err
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            file = rasterio.open(path)
            transform = file.transform
    except RasterioError as err:
        msg = f"{path}: cannot be read as a raster ({err}); give a GeoTIFF, COG, VRT, .mbtiles or a tile folder"
        raise TileSourceError(msg) from err
    if transform.is_identity:
        file.close()
        msg = f"{path}: no georeference (neither in the file nor in a world file beside it); export it with one"
        raise TileSourceError(msg)
    return file


def _bands(file: _Untyped, path: Path) -> list[int]:
    from rasterio.enums import ColorInterp

    kinds = list(file.colorinterp)
    if any(dtype != "uint8" for dtype in file.dtypes):
        msg = (
            f"{path}: {file.dtypes[0]} pixels, so no 8-bit picture (a height model?); "
            "convert pictures with `gdal_translate -ot Byte -scale`"
        )
        raise TileSourceError(msg)
    if ColorInterp.palette in kinds:
        msg = f"{path}: palette colours; convert it with `gdal_translate -expand rgb`"
        raise TileSourceError(msg)
    wanted = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    if all(kind in kinds for kind in wanted):
        return [kinds.index(kind) + 1 for kind in wanted]
    colours = [number for number, kind in enumerate(kinds, 1) if kind != ColorInterp.alpha]
    return colours[:3] if len(colours) >= 3 else colours[:1]


def _crs(file: _Untyped, path: Path, given: str) -> str:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    if given:
        try:
            CRS.from_user_input(given)
        except CRSError as err:
            msg = f"tiles.crs = {given!r}: not known to PROJ; give a code such as EPSG:25832 or a PROJ or WKT text"
            raise TileSourceError(msg) from err
        return given
    if file.crs is None:
        msg = f"{path}: it names no CRS; ask its publisher and set tiles.crs, such as EPSG:25832"
        raise TileSourceError(msg)
    code = file.crs.to_epsg()
    return f"EPSG:{code}" if code else str(file.crs.to_wkt())


def _bounds(file: _Untyped) -> tuple[float, float, float, float]:
    height, width = file.shape
    t = file.transform
    corners = ((0, 0), (width, 0), (0, height), (width, height))
    x = [t.a * column + t.b * row + t.c for column, row in corners]
    y = [t.d * column + t.e * row + t.f for column, row in corners]
    return min(x), min(y), max(x), max(y)


def _check_place(
    path: Path, crs: str, bounds: tuple[float, float, float, float], pixel_crs: float, *, given: bool
) -> None:
    """Refuse a CRS with which the raster would lie off the Earth or have absurd pixels."""
    from pyproj import CRS, Transformer

    system = CRS.from_user_input(crs)
    key = f"tiles.crs = {crs}" if given else f"{path}: its CRS {system.name}"
    remedy = "set tiles.crs to the true CRS" + ("" if given else " (the tag in the file seems wrong)")
    west, south, east, north = bounds
    shown = f"x {west:.3f} to {east:.3f}, y {south:.3f} to {north:.3f}"
    if system.is_geographic and (west < -180 or east > 360 or south < -90 or north > 90):
        msg = f"{key}: {shown} leaves ±180, ±90 degrees; {remedy}"
        raise TileSourceError(msg)
    to_degrees = Transformer.from_crs(system, "EPSG:4326", always_xy=True)
    x, y = np.array([west, east, (west + east) / 2]), np.array([south, north, (south + north) / 2])
    lon, lat = to_degrees.transform(x, y)
    back = to_degrees.transform(lon, lat, direction="INVERSE") if np.isfinite(lon).all() else (np.inf, np.inf)
    error = max(np.abs(back[0] - x).max(), np.abs(back[1] - y).max())
    if not error < max(pixel_crs, 1e-9):
        msg = f"{key}: {shown} is no place on the Earth; {remedy}"
        raise TileSourceError(msg)
    unit_m = math.radians(6371008.8) if system.is_geographic else system.axis_info[0].unit_conversion_factor
    pixel_m = pixel_crs * unit_m
    if not _MIN_PIXEL_M <= pixel_m <= _MAX_PIXEL_M:
        msg = f"{key}: pixels of {pixel_m:.4g} m; {_MIN_PIXEL_M} to {_MAX_PIXEL_M} m are plausible; {remedy}"
        raise TileSourceError(msg)


def _has_mask(file: _Untyped) -> bool:
    from rasterio.enums import MaskFlags

    return any(MaskFlags.all_valid not in flags for flags in file.mask_flag_enums)


def _level(affine: _Untyped, factor: int) -> Level:
    shift = factor / 2
    matrix = np.array([[affine.a, affine.b, affine.c], [affine.d, affine.e, affine.f]], dtype=np.float64)
    to_full = np.array([[factor, 0, shift], [0, factor, shift], [0, 0, 1.0]])
    return Level(-_COARSE_FACTORS.index(factor), matrix @ to_full)


def _factor(level: Level) -> int:
    return _COARSE_FACTORS[-level.number]
