# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Samples of simulated worlds that are made when they are asked for: many styles, days, vehicles and cameras."""

from __future__ import annotations

import dataclasses
import math
from collections import OrderedDict
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from cvloc_ros.config import Section, Tiles, param
from cvloc_ros.datasets.sample import DatasetError, Sample
from cvloc_ros.errors import ConfigError
from cvloc_ros.imaging.models import Equirectangular, Fisheye
from cvloc_ros.simulation.drive import Trajectory, make_trajectory
from cvloc_ros.simulation.looks import LookSpec, Season
from cvloc_ros.simulation.rigs import rig
from cvloc_ros.simulation.scene import CameraSpec, Scene
from cvloc_ros.simulation.styles import NAMES, STYLES
from cvloc_ros.tiles.opening import bounds_of
from cvloc_ros.types import F32, F64, AerialPatch, CameraModel, GroundView, Pose2

TRAINING_SEEDS = range(400_000)
TUNING_SEEDS = range(500_000, 600_000)
"""Worlds that are held out to watch a training and to calibrate; evaluation takes seeds from 900000 on."""

_SPACING_S = 0.02
_START_M = 15.0  # keyframes lie behind
_DEGREE_M, _EDGE_M = 111_000.0, 15.0
_STREAM = 9_000_000_000  # stamps, so that views of different samples never look alike


class Simulated(Section):
    """Which worlds, vehicles and days are drawn, and how large the pictures are."""

    purpose: Literal["training", "tuning"] = param(
        "training", "training: worlds of seeds below 400000. tuning: held-out worlds of seeds 500000 to 599999."
    )
    first_world: int = param(0, "Worlds are counted from this one on.", ge=0, lt=400_000)
    worlds: int = param(100_000, "Different worlds.", ge=1, le=400_000)
    per_world: int = param(64, "Samples of each world.", ge=1, le=10_000)
    lanes: int = param(2, "Worlds that are open at the same time, so that a batch shows several.", ge=1, le=16)
    styles: list[str] = param(
        ["town", "town", "dense", "suburb", "suburb", "village", "campus", "motorway"],
        "Kinds of places; what stands there twice is drawn twice as often.", min_length=1,
    )  # fmt: skip
    rigs: list[str] = param(["demo", "kitti"], "Sets of cameras.", min_length=1)
    cameras: int = param(8, "Cameras of the set that are used, from its first on.", ge=1, le=8)
    image_scale: float = param(0.5, "Size of the images relative to that of the set.", gt=0.05, le=2)
    size_m: Annotated[list[float], Field(min_length=2, max_length=2)] = param(
        [260.0, 220.0], "Size of a world (not of motorways).", unit="m"
    )
    resolution_m: float = param(0.1, "Fineness of the painted ground.", unit="m", ge=0.02, le=0.5)
    patch_m: float = param(120.0, "Side of the patches.", unit="m", ge=20, le=400)
    metres_per_px: float = param(0.25, "Pixel size of the patches.", unit="m", ge=0.05, le=1)
    patch_offset_m: float = param(12.0, "Largest distance, on each axis, of a patch's centre.", unit="m", ge=0, le=100)
    keyframes: int = param(1, "Places in a row of which a sample has images.", ge=1, le=8)
    spacing_m: float = param(2.0, "Distance between them.", unit="m", gt=0, le=20)
    depth: bool = param(False, "Whether views come with their depth.")
    jitter: float = param(1.0, "How far mounting and lens differ from those of the set; 0 is not at all.", ge=0, le=3)
    hard: float = param(0.25, "Share of days with fog, rain, dirt, low sun, snow or night.", ge=0, le=1)

    imagery: list[str] = param([], "Maps (MBTiles, GeoTIFF) on whose ground worlds are made, too.")
    imagery_share: float = param(0.5, "Share of such worlds, where there are maps.", ge=0, le=1)
    imagery_part: Annotated[list[float], Field(min_length=4, max_length=4)] = param(
        [0.0, 0.0, 1.0, 1.0],
        "Part of each map that is used: west, south, east, north as shares of its sides. Keep evaluations elsewhere.",
    )  # fmt: skip

    @model_validator(mode="after")
    def _check(self) -> Simulated:
        unknown = sorted(set(self.styles) - set(NAMES))
        if unknown:
            msg = f"styles {unknown}: there are {', '.join(NAMES)}"
            raise ValueError(msg)
        if self.purpose == "tuning" and self.first_world + self.worlds > len(TUNING_SEEDS):
            msg = f"first_world + worlds = {self.first_world + self.worlds}: there are {len(TUNING_SEEDS)} for tuning"
            raise ValueError(msg)
        west, south, east, north = self.imagery_part
        if not (0 <= west < east <= 1 and 0 <= south < north <= 1):
            msg = f"imagery_part {self.imagery_part}: west < east and south < north, each 0 to 1"
            raise ValueError(msg)
        if self.first_world + self.worlds > len(TRAINING_SEEDS):
            msg = f"first_world + worlds = {self.first_world + self.worlds}: there are {len(TRAINING_SEEDS)}"
            raise ValueError(msg)
        return self

    def seed(self, world: int) -> int:
        """Return the seed of a world."""
        return (TRAINING_SEEDS if self.purpose == "training" else TUNING_SEEDS)[self.first_world + world]


class SimulatedSamples:
    """Samples in lanes: neighbours in number come from different worlds, each of which is open for a while.

    Not for use from several threads or processes at once: every process makes its own.
    """

    streamed = True

    def __init__(self, settings: Simulated) -> None:
        self.name = f"simulated {settings.purpose}"
        self._settings = settings
        self._open: OrderedDict[int, _OpenWorld] = OrderedDict()

    def __len__(self) -> int:
        """Count them."""
        return self._settings.worlds * self._settings.per_world

    def __getitem__(self, index: int) -> Sample:
        """Render a sample.

        Raises:
            GlError: there is no OpenGL here.
        """
        if not 0 <= index < len(self):
            msg = f"sample {index} of {len(self)}"
            raise IndexError(msg)
        world, number = place(index, self._settings)
        return self._world(world).sample(number)

    def close(self) -> None:
        """Free what is on the GPU."""
        while self._open:
            self._open.popitem()[1].close()

    def _world(self, world: int) -> _OpenWorld:
        if world not in self._open:
            self._open[world] = _OpenWorld(self._settings, self._settings.seed(world))
            if len(self._open) > self._settings.lanes:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(world)
        return self._open[world]


def place(index: int, settings: Simulated) -> tuple[int, int]:
    """Return the world of a sample and its number there; worlds change one lane after the other."""
    lanes, each = min(settings.lanes, settings.worlds), settings.per_world
    lane, step = index % lanes, index // lanes
    turn = step + lane * each // lanes
    return (lane + lanes * (turn // each)) % settings.worlds, turn % each


def scene_of(seed: int, settings: Simulated) -> Scene:
    """Draw the scene of a world: style, vehicle, the day of the drive and that of the map."""
    rng = np.random.default_rng([seed, *b"training scene"])
    style = settings.styles[int(rng.integers(len(settings.styles)))]
    kind = STYLES[style]
    cameras = rig(settings.rigs[int(rng.integers(len(settings.rigs)))])[: settings.cameras]
    own_size = style == "motorway"
    scene = Scene(
        seed=seed, renderer="gl", style=style, duration_s=120.0,  # type: ignore[arg-type]
        size_m=kind.size_m if own_size else (settings.size_m[0], settings.size_m[1]),
        resolution_m=max(settings.resolution_m, 0.16 if own_size else 0.0), speed_mps=kind.speed_mps,
        cameras=_vary(cameras, settings, rng), look=_drive_look(rng, settings.hard), map_look=_map_look(rng),
        terrain_m=float(rng.uniform(1.0, 8.0)) if rng.random() < 0.4 else 0.0, sway_deg=float(rng.uniform(0.0, 1.0)),
        map_pixel_m=settings.metres_per_px, lean=tuple(rng.normal(0.0, 0.06, 2).tolist()),
    )  # fmt: skip
    if not settings.imagery or rng.random() >= settings.imagery_share:
        return scene
    file = settings.imagery[int(rng.integers(len(settings.imagery)))]
    size = settings.size_m[0], settings.size_m[1]
    resolution_m = max(settings.resolution_m, 0.1)
    return dataclasses.replace(
        scene, style="town", imagery=file, datum=_somewhere(file, settings, rng), size_m=size, resolution_m=resolution_m
    )


def _somewhere(file: str, settings: Simulated, rng: np.random.Generator) -> tuple[float, float]:
    """Draw the middle of a world (latitude, longitude) so that all of it lies in the part of the map that is used.

    Raises:
        ConfigError: the map does not say where it lies, or the part is smaller than a world.
    """
    bounds = bounds_of(Tiles(source=file))
    if bounds is None:
        msg = f"data.simulated.imagery: {file} does not say where it lies"
        raise ConfigError(msg)
    low, high = np.array(bounds[:2]), np.array(bounds[2:])
    used = np.reshape(settings.imagery_part, (2, 2))
    west_south, east_north = (low + part * (high - low) for part in used)
    metres = np.array([math.cos(math.radians(float(low[1]))), 1.0]) * _DEGREE_M
    margin = (np.array(settings.size_m) / 2 + _EDGE_M) / metres
    room = east_north - west_south - 2 * margin
    if (room < 0).any():
        have = (east_north - west_south) * metres
        msg = f"{file}: {have[0]:.0f} x {have[1]:.0f} m are used, a world of {settings.size_m} m and its edge need more"
        raise ConfigError(msg)
    longitude, latitude = (west_south + margin + rng.random(2) * room).tolist()
    return round(latitude, 6), round(longitude, 6)


class _OpenWorld:
    """One world on the GPU, with its map as a picture."""

    def __init__(self, settings: Simulated, seed: int) -> None:
        from cvloc_ros.simulation.gl.build import drive_stage, map_stage
        from cvloc_ros.simulation.gl.renderer import Renderer
        from cvloc_ros.simulation.gl.rig import Rig
        from cvloc_ros.simulation.gl.survey import survey
        from cvloc_ros.simulation.worlds import make_world

        self._settings, self._seed = settings, seed
        scene = scene_of(seed, settings)
        try:
            world = make_world(scene)
        except ConfigError:  # a place of the imagery without anything like a road
            scene = dataclasses.replace(scene, imagery="")
            world = make_world(scene)
        self._route: Trajectory = make_trajectory(scene, world.layout)
        with Renderer(map_stage(world)) as renderer:
            self._grid, self._map = survey(scene, renderer)
        self._rig = Rig(world, drive_stage(world))
        self._style = "imagery" if scene.imagery else scene.style
        self._times_s = np.arange(0.0, scene.duration_s, _SPACING_S)
        self._travelled_m = self._route.travelled(self._times_s)

    def close(self) -> None:
        self._rig.close()

    def sample(self, number: int) -> Sample:
        """Render the sample of a number; the same number gives the same one."""
        settings = self._settings
        time_s, off, rng = self._draw(number)
        poses = self._places(time_s, off)
        stamp = _STREAM + number * 1_000_000_000
        views = [
            view
            for back, pose in enumerate(poses)
            for view in self._look(pose, number + back, stamp - back * 1_000_000, poses[0].inverse() @ pose)
        ]
        offset = rng.uniform(-settings.patch_offset_m, settings.patch_offset_m, 2)
        patch = self._patch(poses[0].xy + offset, number)
        name = f"{self._style} {self._seed} / {number}"
        return Sample(name, "simulated", tuple(views), patch, poses[0], seed=self._seed)

    def _draw(self, number: int) -> tuple[float, Pose2, np.random.Generator]:
        """Draw the time of a sample and how far from the route it is."""
        rng = np.random.default_rng([self._seed, number, *b"sample"])
        # Along the way, not in time: the vehicle waits at junctions and at the end of the route.
        length_m = float(self._travelled_m[-1])
        way_m = float(rng.uniform(min(_START_M, length_m), length_m))
        time_s = float(self._times_s[np.searchsorted(self._travelled_m, way_m).clip(max=len(self._times_s) - 1)])
        aside, turn = rng.normal(0.0, [0.5, math.radians(3.0)])
        return time_s, Pose2(0.0, float(aside), float(turn)), rng

    def _places(self, time_s: float, off: Pose2) -> list[Pose2]:
        """Return the pose at a time and those before it, a spacing apart (fewer where the route begins)."""
        times = np.arange(time_s, 1.0, -_SPACING_S)
        away = float(self._route.travelled(np.array(time_s))) - self._route.travelled(times)
        wanted = np.arange(self._settings.keyframes) * self._settings.spacing_m
        chosen = np.searchsorted(away, wanted)
        return [self._route.pose(float(times[at])) @ off for at in chosen if at < len(times)]

    def _look(self, pose: Pose2, frame: int, stamp_ns: int, T_ref_base: Pose2) -> list[GroundView]:
        views = []
        for camera in self._rig.cameras:
            depth = depth_of(camera.depth(pose, frame), camera.model) if self._settings.depth else None
            views.append(
                GroundView(
                    camera.spec.name, camera.render(pose, frame), camera.model, camera.T_base_camera, stamp_ns,
                    T_ref_base=T_ref_base, valid=~camera.mask, depth=depth,
                )
            )  # fmt: skip
        return views

    def _patch(self, centre: F64, number: int) -> AerialPatch:
        grid, side = self._grid, round(self._settings.patch_m / self._grid.resolution_m)
        left, top = np.rint(grid.px(centre)).astype(int) - side // 2
        rgb, valid = np.zeros((side, side, 3), np.uint8), np.zeros((side, side), np.bool_)
        rows, cols = (_overlap(start, side, count) for start, count in ((top, grid.rows), (left, grid.columns)))
        rgb[rows[0], cols[0]] = self._map[rows[1], cols[1]]
        valid[rows[0], cols[0]] = True
        m = grid.resolution_m
        west, north = grid.west_m + (left + 0.5) * m, grid.north_m - (top + 0.5) * m
        return AerialPatch(
            rgb=rgb, valid=valid, metres_per_px=m, map_from_px=np.array([[m, 0.0, west], [0.0, -m, north]]),
            attribution="Simulated by cvloc_ros", coverage=float(valid.mean()), key=(self._seed, number),
        )  # fmt: skip


def depth_of(distance: F32, camera: CameraModel) -> F32:
    """Turn distances (H, W) along the rays into the depth of a `GroundView`; 0 where nothing is."""
    known = np.where(np.isfinite(distance), distance, 0.0)
    if isinstance(camera, (Equirectangular, Fisheye)):
        return known.astype(np.float32)
    uv = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), -1).astype(np.float64)
    return (known * camera.unproject(uv)[..., 2]).astype(np.float32)


def _overlap(start: int, length: int, count: int) -> tuple[slice, slice]:
    """Slices into a piece of `length` from `start` on, and into the `count` that there are."""
    first, last = max(start, 0), min(start + length, count)
    last = max(first, last)
    return slice(first - start, last - start), slice(first, last)


def _vary(cameras: tuple[CameraSpec, ...], settings: Simulated, rng: np.random.Generator) -> tuple[CameraSpec, ...]:
    """Move, turn and zoom the cameras of a vehicle a little, all by the same, and each a little more."""
    size = settings.jitter
    lift, zoom = size * rng.uniform(-0.25, 0.35), math.exp(size * rng.uniform(-0.18, 0.18))
    varied = []
    for camera in cameras:
        x, y, z = rng.normal(0.0, [0.25, 0.05, 0.05]) * size
        yaw, pitch, roll = rng.normal(0.0, [2.0, 2.5, 0.7]) * size
        lens = zoom if camera.lens == "pinhole" else 1.0
        varied.append(
            dataclasses.replace(
                camera, x_m=camera.x_m + x, y_m=camera.y_m + y, z_m=max(camera.z_m + lift + z, 0.4),
                yaw_deg=camera.yaw_deg + yaw, pitch_deg=camera.pitch_deg + pitch, roll_deg=camera.roll_deg + roll,
                width=round(camera.width * settings.image_scale), height=round(camera.height * settings.image_scale),
                focal_px=camera.focal_px * settings.image_scale * lens,
            )
        )  # fmt: skip
    return tuple(varied)


def _drive_look(rng: np.random.Generator, hard: float) -> LookSpec:
    seasons: tuple[Season, ...] = ("spring", "summer", "summer", "autumn", "winter")
    look = LookSpec(
        season=seasons[int(rng.integers(len(seasons)))], sun_azimuth_deg=float(rng.uniform(-180, 180)),
        sun_elevation_deg=float(rng.uniform(15, 65)), overcast=float(rng.beta(0.6, 0.8)),
        fog_m=float(rng.uniform(300, 2000)), wear=float(rng.uniform(0.05, 0.8)),
    )  # fmt: skip
    if rng.random() >= hard:
        return look
    kinds: tuple[dict[str, object], ...] = (
        {"fog_m": float(rng.uniform(40, 150)), "overcast": 1.0},
        {"rain": float(rng.uniform(0.2, 0.9)), "overcast": 1.0, "fog_m": 250.0},
        {"dirt": float(rng.uniform(0.1, 0.6))},
        {"sun_elevation_deg": float(rng.uniform(4, 12)), "overcast": 0.1},
        {"season": "snow", "overcast": float(rng.uniform(0.3, 1.0))},
        {"night": True},
    )
    return dataclasses.replace(look, **kinds[int(rng.integers(len(kinds)))])  # type: ignore[arg-type]


def _map_look(rng: np.random.Generator) -> LookSpec:
    seasons: tuple[Season, ...] = ("spring", "spring", "summer", "autumn", "winter")
    return LookSpec(
        season=seasons[int(rng.integers(len(seasons)))], sun_azimuth_deg=float(rng.uniform(-160, -20)),
        sun_elevation_deg=float(rng.uniform(25, 62)), overcast=float(rng.uniform(0.0, 0.3)), fog_m=9000.0,
        wear=float(rng.uniform(0.1, 0.9)),
    )  # fmt: skip


def open_simulated(settings: Simulated) -> SimulatedSamples:
    """Open the stream, and check that this machine can render.

    Raises:
        DatasetError: it cannot.
    """
    try:
        import moderngl  # noqa: F401
    except ImportError as err:
        msg = "simulated samples need moderngl: pip install cvloc_ros[sim], apt-get install libegl1 libgl1-mesa-dri"
        raise DatasetError(msg) from err
    return SimulatedSamples(settings)


