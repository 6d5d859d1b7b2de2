# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The map as the pipeline sees it: square, north-up patches in map metres, on a grid, kept while they serve."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cvloc_ros.errors import GeoError
from cvloc_ros.geo.box import Box2
from cvloc_ros.tiles import warp
from cvloc_ros.tiles.prefetch import Prefetcher, PrefetchResult
from cvloc_ros.tiles.warp import Frame
from cvloc_ros.types import F64, AerialPatch

if TYPE_CHECKING:
    from cvloc_ros.config import Tiles
    from cvloc_ros.geo.projection import Projection
    from cvloc_ros.tiles.imagery import Imagery

Progress = Callable[[int, int], bool | None]
"""Called with (tiles done, tiles in all); False stops the work."""

_PATCHES = 6
_RECHECK_S = 600.0
_RETRY_S = 2.0
"""A patch with failed or stale tiles is asked for again this often."""


@dataclass(slots=True, eq=False)
class _Kept:
    patch: AerialPatch
    version: int
    checked_s: float
    settled: bool


class AerialMap:
    """Patches of one map source. All methods may be called from any thread."""

    def __init__(
        self, imagery: Imagery, projection: Projection, config: Tiles, prefetcher: Prefetcher | None = None
    ) -> None:
        """Take over the source; `prefetcher` is None for local sources."""
        self.attribution, self.description = imagery.attribution, imagery.description
        self.is_network = imagery.is_network
        self.bounds_map = _bounds_map(imagery, projection)
        self._imagery, self._projection, self._config = imagery, projection, config
        self._prefetcher = prefetcher
        self._lock = threading.Lock()
        self._patches: OrderedDict[Frame, _Kept] = OrderedDict()

    def configure(self, config: Tiles) -> None:
        """Take over the keys that may change at run time (`wait_s`)."""
        self._config = self._config.model_copy(update={"wait_s": config.wait_s})

    def frame(self, centre: F64, radius_m: float) -> Frame:
        """Return where the patch for `centre` lies; it depends on nothing but the arguments and the configuration.

        Edges lie on the grid (rounded to whole pixels), and the radius is raised to half grid steps, so that
        neighbouring centres and slowly changing radii share a patch that holds centre ± radius for all of them.
        """
        metres = self._config.resolution_m
        grid_px = max(round(self._config.patch_grid_m / metres), 1)
        step_px = (grid_px + 1) // 2
        radius_px = math.ceil(radius_m / metres / step_px - 1e-9) * step_px
        left = math.floor((float(centre[0]) / metres - radius_px) / grid_px) * grid_px
        bottom = math.floor((float(centre[1]) / metres - radius_px) / grid_px) * grid_px
        size = 2 * radius_px + grid_px
        return Frame(left * metres, (bottom + size) * metres, size, metres)

    def patch(self, centre: F64, radius_m: float) -> AerialPatch:
        """Return a patch that contains `centre` (2,) ± `radius_m` in map metres.

        Tiles that are not there yet are waited for up to `tiles.wait_s`; what still lacks is invalid in the patch and
        counted in `tiles.pending`. A later call returns a patch with another key once more has arrived.

        Raises:
            GeoError: the centre is out of reach of the projection or of the CRS of the map.
        """
        frame = self.frame(centre, radius_m)
        with self._lock:
            kept = self._patches.get(frame)
            now_s = time.monotonic()
            if kept is not None and self._still_good(kept, now_s):
                self._patches.move_to_end(frame)
                return kept.patch
            version = self._imagery.version()
            patch = self._cut(frame, now_s + self._config.wait_s)
            if kept is not None and kept.patch.key == patch.key and kept.patch.tiles == patch.tiles:
                patch = kept.patch
            settled = patch.tiles.pending + patch.tiles.failed + patch.tiles.stale == 0
            self._patches[frame] = _Kept(patch, version, now_s, settled)
            self._patches.move_to_end(frame)
            while len(self._patches) > _PATCHES:
                self._patches.popitem(last=False)
            return patch

    def coverage(self, centre: F64, radius_m: float) -> float:
        """Estimate the share of imagery in the patch, 0..1, without network and without decoding."""
        frame = self.frame(centre, radius_m)
        with self._lock:
            level = warp.choose_level(self._imagery, self._projection, frame, self._config.zoom)
            window = warp.window_of(self._imagery, self._projection, frame, level)
            return self._imagery.share(level, window)

    def prefetch_radius(self, centre: F64, radius_m: float, progress: Progress | None = None) -> PrefetchResult:
        """Load and pin all tiles within `radius_m` of a map point; blocks until done.

        Raises:
            TileSourceError: the provider does not allow storing, or the map is set offline.
        """
        return self.prefetch_route(np.asarray(centre, dtype=np.float64)[None, :], radius_m, progress)

    def prefetch_route(self, points: F64, corridor_m: float, progress: Progress | None = None) -> PrefetchResult:
        """Load and pin all tiles within `corridor_m` of the line through map points (N, 2); blocks until done.

        Raises:
            TileSourceError: the provider does not allow storing, or the map is set offline.
        """
        if self._prefetcher is None:
            return PrefetchResult()
        keys = self._prefetcher.plan(self._projection, points, corridor_m, self._config.resolution_m, self._config.zoom)
        return self._prefetcher.run(keys, progress)

    def plan_route(self, points: F64, corridor_m: float) -> int:
        """Return how many tiles `prefetch_route` would load at most; 0 for local sources.

        Raises:
            TileSourceError: as `prefetch_route`.
        """
        if self._prefetcher is None:
            return 0
        self._prefetcher.check()
        zoom, metres = self._config.zoom, self._config.resolution_m
        return len(self._prefetcher.plan(self._projection, points, corridor_m, metres, zoom))

    def close(self) -> None:
        """Release files, threads and connections; the map cannot be used afterwards."""
        if self._prefetcher is not None:
            self._prefetcher.stop()
        with self._lock:
            self._patches.clear()
            self._imagery.close()

    def _still_good(self, kept: _Kept, now_s: float) -> bool:
        if not self.is_network:
            return True
        age_s = now_s - kept.checked_s
        if kept.settled:
            return age_s < _RECHECK_S
        unchanged = kept.version == self._imagery.version() and not kept.patch.tiles.pending
        return unchanged and age_s < _RETRY_S

    def _cut(self, frame: Frame, deadline_s: float) -> AerialPatch:
        imagery = self._imagery
        level = warp.choose_level(imagery, self._projection, frame, self._config.zoom)
        pixels = warp.cut(imagery, self._projection, frame, level, deadline_s)
        pixels.rgb.flags.writeable = False
        pixels.valid.flags.writeable = False
        return AerialPatch(
            rgb=pixels.rgb,
            valid=pixels.valid,
            metres_per_px=frame.resolution_m,
            map_from_px=frame.map_from_px,
            attribution=self.attribution,
            coverage=float(np.count_nonzero(pixels.valid)) / pixels.valid.size,
            key=(imagery.name, level.number, frame, self._projection, pixels.digest),
            tiles=pixels.state,
        )


def _bounds_map(imagery: Imagery, projection: Projection) -> Box2 | None:
    """Box in map metres around the imagery's bounds; None where they are unknown or out of reach of the map."""
    if imagery.bounds is None:
        return None
    west, south, east, north = imagery.bounds
    x, y = np.meshgrid(np.linspace(west, east, 9), np.linspace(south, north, 9))
    try:
        return Box2.bounding(projection.map_from_crs(np.stack([x, y], axis=-1), imagery.crs))
    except GeoError:
        return None
