# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All settings of a simulated drive; the same scene gives the same bytes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from cvloc_ros.errors import ConfigError
from cvloc_ros.simulation.looks import DRIVE_LOOK, MAP_LOOK, LookSpec
from cvloc_ros.simulation.styles import NAMES, StyleName

GENERATOR = 3
"""Raised whenever the same settings give other bytes, so that kept drives are made again."""
IMAGE_OFFSET_S = 0.113
"""The first image comes between two odometry messages, as on a vehicle."""


@dataclass(frozen=True, slots=True)
class CameraSpec:
    """A simulated camera: mounting in base (metres; degrees: yaw left positive, pitch down positive) and lens."""

    name: str
    x_m: float
    y_m: float
    z_m: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float = 0.0
    width: int = 640
    height: int = 400
    focal_px: float = 400.0
    distortion: tuple[float, ...] = (-0.17, 0.05, 0.0004, -0.0003, -0.008)
    lens: Literal["pinhole", "fisheye", "panorama"] = "pinhole"
    """pinhole: plumb_bob; fisheye: equidistant, four coefficients; panorama: equirectangular. The last two need gl."""


FRONT = CameraSpec("front", 1.45, 0.02, 1.62, 0.0, 9.0, 0.3)
REAR = CameraSpec(
    "rear", -0.85, -0.05, 1.38, 180.0, 8.0, -0.4, focal_px=390.0, distortion=(-0.18, 0.055, -0.0003, 0.0005, -0.009)
)


@dataclass(frozen=True, slots=True)
class GnssSpec:
    """Error of the simulated receiver: constant bias, first-order Gauss-Markov part, white noise (per axis, metres)."""

    bias_m: float = 1.0
    sigma_m: float = 2.5
    correlation_s: float = 7.0
    white_m: float = 0.2
    rate_hz: float = 1.0
    antenna_m: tuple[float, float, float] = (-0.4, 0.0, 1.75)
    walk_m: float = 0.0
    """Growth of the bias, metres per square root of a second."""
    jump_m: float = 0.0
    """Size of multipath jumps, which last some seconds."""
    jump_every_s: float = 0.0
    """Mean time between jumps; 0 is never."""
    outage_s: float = 0.0
    """Mean length of outages."""
    outage_every_s: float = 0.0
    """Mean time between outages; 0 is never."""
    age_s: float = 0.0
    """How old a position is at its stamp."""
    latency_sigma_s: float = 0.0
    """Spread of the time that a fix takes beyond its delay."""
    covariance_factor: float = 1.0
    """What the reported standard deviation is multiplied by where it is wrong."""
    covariance_wrong_share: float = 0.0
    """Share of the fixes whose reported covariance is wrong."""


@dataclass(frozen=True, slots=True)
class OdomSpec:
    """Error of the simulated wheel odometry and gyro."""

    scale: float = 0.99
    speed_noise_mps: float = 0.03
    gyro_bias_radps: float = 4e-4
    gyro_noise_radps: float = 5e-4
    rate_hz: float = 20.0


@dataclass(frozen=True, slots=True)
class ImuSpec:
    """Simulated inertial sensor: a bias is drawn for each axis; noise is of one sample, the car's shaking included."""

    rate_hz: float = 100.0
    """0 is none."""
    gyro_bias_radps: float = 5e-4
    gyro_noise_radps: float = 3e-3
    force_bias_mps2: float = 0.05
    force_noise_mps2: float = 0.3
    attitude_deg: float = 0.3
    """Standard deviation of roll and pitch as its own filter has them."""
    smooth_s: float = 0.04
    place_m: tuple[float, float, float] = (0.1, 0.0, 0.6)
    """Where it is in base; its axes are those of base."""


@dataclass(frozen=True, slots=True)
class HeadingSpec:
    """Simulated receiver with two antennas, or a compass, that knows where north is."""

    rate_hz: float = 0.0
    """0 is none."""
    sigma_deg: float = 0.7


@dataclass(frozen=True, slots=True)
class Delays:
    """Time from the stamp of a message to its log time, seconds."""

    image_s: float = 0.05
    fix_s: float = 0.12
    odom_s: float = 0.005
    imu_s: float = 0.002
    truth_s: float = 0.001
    stamp_jitter_s: float = 0.0
    """Standard deviation of the error of image stamps."""
    drop_share: float = 0.0
    """Share of images, fixes and odometry messages that are lost."""
    late_share: float = 0.0
    """Share of messages that come late, and so out of order."""
    late_s: float = 0.3


@dataclass(frozen=True, slots=True)
class Scene:
    """A simulated world and the drive through it. The datum (degrees) lies in the sea: no real place is meant."""

    seed: int = 7
    duration_s: float = 64.0
    datum: tuple[float, float] = (56.0, 5.9)
    altitude_m: float = 40.0
    projection: Literal["utm", "local_enu"] = "utm"
    size_m: tuple[float, float] = (400.0, 300.0)
    resolution_m: float = 0.05
    speed_mps: float = 7.0
    start_s: int = 1780308000
    image_rate_hz: float = 5.0
    jpeg_quality: int = 85
    cameras: tuple[CameraSpec, ...] = (FRONT, REAR)
    gnss: GnssSpec = field(default_factory=GnssSpec)
    odom: OdomSpec = field(default_factory=OdomSpec)
    imu: ImuSpec = field(default_factory=ImuSpec)
    heading: HeadingSpec = field(default_factory=HeadingSpec)
    delays: Delays = field(default_factory=Delays)
    storage: Literal["mcap", "sqlite3"] = "mcap"
    bag_version: Literal[8, 9] = 9
    map_zooms: tuple[int, ...] = (18, 19, 20)
    map_format: Literal["png", "jpg"] = "jpg"
    renderer: Literal["flat", "gl"] = "flat"
    """flat: a plane with upright things, no OpenGL; gl: relief, light, shadow, seasons (looks, styles)."""
    style: StyleName = "town"
    imagery: str = ""
    """Map (MBTiles, GeoTIFF) whose ground the world has, around the datum; needs the renderer gl."""
    heights: str = ""
    """Height model (GeoTIFF) of a world on imagery: its ground, and what stands on it if it is a surface model."""
    motion: str = ""
    """Recorded motion (.npz with pose_t in s and pose_enu in m; pose_ypr in rad if it is there)."""
    motion_mode: Literal["speed", "path"] = "speed"
    """speed: its speeds along a route; path: its own path, moved onto the roads of a world on imagery."""
    look: LookSpec = DRIVE_LOOK
    map_look: LookSpec = MAP_LOOK
    terrain_m: float = 0.0
    """Height of hills; the vehicle pitches and rolls on them."""
    sway_deg: float = 0.0
    """Size of the vehicle's own pitch and roll on its springs."""
    map_error_m: float = 0.0
    """Standard deviation of the map's registration error on each axis; what was drawn is in the truth file."""
    map_error_length_m: float = 150.0
    """How far the registration error reaches before it is another one; a large value makes it one constant."""
    map_pixel_m: float = 0.1
    map_age: float = 0.4
    """How much was repaired and repainted since the map was flown, 0..1."""
    lean: tuple[float, float] = (0.0, 0.0)
    """Displacement in the map, east and north, per metre of height."""

    def __post_init__(self) -> None:
        """Refuse settings that no world can be made of."""
        checks = {
            f"seed = {self.seed}: must be 0 or more": self.seed >= 0,
            f"duration_s = {self.duration_s}: must be 1 to 3600": 1 <= self.duration_s <= 3600,
            f"datum = {self.datum}: latitude within 80 degrees, longitude within 180": (
                abs(self.datum[0]) <= 80 and abs(self.datum[1]) <= 180
            ),
            f"size_m = {self.size_m}: each side must be 60 to 2000": all(60 <= side <= 2000 for side in self.size_m),
            f"resolution_m = {self.resolution_m}: must be 0.02 to 0.5": 0.02 <= self.resolution_m <= 0.5,
            f"speed_mps = {self.speed_mps}: must be 1 to 40": 1 <= self.speed_mps <= 40,
            f"image_rate_hz = {self.image_rate_hz}: must be 0.1 to 30": 0.1 <= self.image_rate_hz <= 30,
            f"jpeg_quality = {self.jpeg_quality}: must be 10 to 100": 10 <= self.jpeg_quality <= 100,
            "cameras: at least one, with different names": len({c.name for c in self.cameras})
            == len(self.cameras)
            > 0,
            f"map_zooms = {self.map_zooms}: each must be 14 to 22, at most 4 apart": bool(self.map_zooms)
            and all(14 <= zoom <= 22 for zoom in self.map_zooms)
            and max(self.map_zooms) - min(self.map_zooms) <= 4,
        }
        checks |= {
            "cameras: lenses other than pinhole need renderer gl": self.renderer == "gl"
            or all(camera.lens == "pinhole" for camera in self.cameras),
            f"style = {self.style}: one of {', '.join(NAMES)}": self.style in NAMES,
            f"renderer = {self.renderer}: flat or gl": self.renderer in ("flat", "gl"),
            f"imagery = {self.imagery}: needs renderer gl": not self.imagery or self.renderer == "gl",
            f"heights = {self.heights}: needs imagery": not self.heights or bool(self.imagery),
            f"terrain_m = {self.terrain_m}: must be 0 to 30, and 0 without renderer gl": 0 <= self.terrain_m
            <= (30 if self.renderer == "gl" else 0),
            f"sway_deg = {self.sway_deg}: must be 0 to 5, and 0 without renderer gl": 0 <= self.sway_deg
            <= (5 if self.renderer == "gl" else 0),
            f"map_error_m = {self.map_error_m}: must be 0 to 20": 0 <= self.map_error_m <= 20,
            f"map_error_length_m = {self.map_error_length_m}: must be 30 or more, and 8 times map_error_m": (
                self.map_error_length_m >= max(30.0, 8 * self.map_error_m)
            ),
            f"map_age = {self.map_age}: must be 0 to 1": 0 <= self.map_age <= 1,
            f"map_pixel_m = {self.map_pixel_m}: must be 0.05 to 1": 0.05 <= self.map_pixel_m <= 1,
            f"motion_mode = {self.motion_mode}: speed or path": self.motion_mode in ("speed", "path"),
            "motion_mode = path: needs motion and imagery": self.motion_mode == "speed"
            or bool(self.motion and self.imagery),
            f"imu.rate_hz = {self.imu.rate_hz}: must be 20 to 400, or 0 for none": 20 <= self.imu.rate_hz <= 400
            or self.imu.rate_hz == 0,
            f"heading.rate_hz = {self.heading.rate_hz}: must be 0 to 100": 0 <= self.heading.rate_hz <= 100,
        }
        cells = [side / max(self.resolution_m, 1e-3) for side in self.size_m]
        text = f"size_m = {self.size_m}: at most 30000 cells of {self.resolution_m} m a side and 150 million in all"
        checks[text] = max(cells) <= 30_000 and cells[0] * cells[1] <= 150e6
        faults = [text for text, good in checks.items() if not good]
        if faults:
            raise ConfigError("\n".join(faults))

    def rng(self, purpose: str) -> np.random.Generator:
        """Return the random stream of one purpose, so that a change of one part leaves the others as they are."""
        return np.random.default_rng([self.seed, *purpose.encode()])

    def to_yaml(self) -> str:
        """Write all settings; `from_yaml` gives the same scene again."""
        tree = {"simulated_by": "cvloc_ros", "generator": GENERATOR, "scene": _plain(asdict(self))}
        return str(yaml.safe_dump(tree, sort_keys=False))

    @classmethod
    def from_yaml(cls, text: str) -> Scene:
        """Read what `to_yaml` wrote.

        Raises:
            ConfigError: the text is no scene, or names settings that do not exist.
        """
        try:
            tree = dict(yaml.safe_load(text)["scene"])
            tree["cameras"] = tuple(_build(CameraSpec, item) for item in tree.get("cameras", ()))
            parts: dict[str, type[Any]] = {
                "gnss": GnssSpec, "odom": OdomSpec, "imu": ImuSpec, "heading": HeadingSpec, "delays": Delays,
                "look": LookSpec,
            }  # fmt: skip
            tree["map_look"] = _build(LookSpec, tree.get("map_look", asdict(MAP_LOOK)))
            for key, kind in parts.items():
                tree[key] = _build(kind, tree.get(key, {}))
            scene: Scene = _build(cls, tree)
            return scene
        except (KeyError, TypeError, ValueError, yaml.YAMLError) as err:
            msg = f"no scene file of cvloc_ros: {err}"
            raise ConfigError(msg) from err

    @classmethod
    def load(cls, path: Path) -> Scene:
        """Read a scene file."""
        try:
            return cls.from_yaml(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as err:
            msg = f"{path}: {err}"
            raise ConfigError(msg) from err


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _build(kind: type[Any], tree: Any) -> Any:
    known = {item.name for item in fields(kind)}
    unknown = sorted(set(tree) - known)
    if unknown:
        msg = f"{kind.__name__}: unknown settings {unknown}; known are {sorted(known)}"
        raise ConfigError(msg)
    return kind(**{key: tuple(item) if isinstance(item, list) else item for key, item in tree.items()})


UBLOX = GnssSpec(bias_m=0.5, sigma_m=0.17, correlation_s=5.0, white_m=0.02, rate_hz=10.0, age_s=0.06)
"""A better receiver, as measured on the one minute of the recorded car drive (docs/simulated-drive.md)."""


def demanding(scene: Scene) -> Scene:
    """Return the scene with sensors as they are on a bad day: outages, jumps, drops, jitter, late messages."""
    gnss = replace(
        scene.gnss, sigma_m=4.0, walk_m=0.05, jump_m=12.0, jump_every_s=30.0, outage_every_s=45.0, outage_s=8.0,
        latency_sigma_s=0.15, covariance_factor=0.5, covariance_wrong_share=0.25,
    )  # fmt: skip
    delays = replace(scene.delays, stamp_jitter_s=0.004, drop_share=0.03, late_share=0.02, late_s=0.4)
    return replace(scene, gnss=gnss, delays=delays)
