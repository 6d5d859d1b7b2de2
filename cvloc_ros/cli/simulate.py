# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc simulate`: write a simulated drive, or a picture that shows what its world looks like."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cvloc_ros.errors import CvlocError

if TYPE_CHECKING:
    from cvloc_ros.simulation.scene import Scene

_ROOM_M, _LARGEST_M = 120.0, 1200.0
_CONDITIONS = Literal["fair", "overcast", "low_sun", "autumn", "winter", "snow", "fog", "rain", "night", "dirty"]


@dataclass(frozen=True, slots=True)
class DriveOptions:
    """What is simulated, in the words of the command; `scene` turns them into settings."""

    seed: int = 7
    """Chooses the world, the route and all errors."""
    minutes: float = 1.0
    """Length of the drive."""
    storage: Literal["mcap", "sqlite3"] = "mcap"
    """Storage of the bag."""
    distro: Literal["jazzy", "humble"] = "jazzy"
    """ROS 2 distribution that shall read the bag; humble writes the older metadata."""
    world: str = "town"
    """town, dense, suburb, village, motorway, campus, or imagery:FILE (MBTiles, GeoTIFF) for real ground."""
    rig: Literal["demo", "kitti", "nuscenes", "fisheye", "panorama"] = "demo"
    """Cameras of the vehicle."""
    condition: _CONDITIONS = "fair"
    """Season, light and weather of the drive; the map shows another day in any case."""
    renderer: Literal["auto", "flat", "gl"] = "auto"
    """flat needs no OpenGL and shows a fair day in a town; auto is flat for just that, gl for all else."""
    sensors: Literal["fair", "hard", "ublox"] = "fair"
    """hard adds outages, jumps, drops, jitter and late messages; ublox has a better receiver."""
    heading: bool = False
    """Add the absolute heading of a receiver with two antennas (/heading)."""
    place: tuple[float, float] | None = None
    """Latitude and longitude of the middle of the world, degrees; by default in the sea, or in the imagery."""
    heights: Path | None = None
    """Height model (GeoTIFF) of an imagery world; of a surface model the roofs and trees are used too."""
    motion: Path | None = None
    """Recorded motion (.npz with pose_t, pose_enu, and pose_ypr if it is there)."""
    motion_mode: Literal["auto", "path", "speed"] = "auto"
    """path: its own path, moved onto the roads of imagery; speed: its speeds on a route; auto: path with imagery."""
    terrain: float = 0.0
    """Height of hills in metres."""
    sway: float = 0.0
    """Size of the vehicle's own pitch and roll in degrees."""
    map_error: float = 0.0
    """Size of the map's registration error in metres; what was drawn stands in truth.tum."""
    map_error_length: float = 150.0
    """How far that error reaches before it is another one, metres."""
    correspondences: int = 0
    """Write that many pixels of each image with their places in the map (needs OpenGL)."""

    def scene(self, *, picture: bool) -> Scene:
        """Return the settings of the drive, or of a picture of its world.

        Raises:
            CvlocError: an option is out of range, a file cannot be read, or the renderer cannot show what is wanted.
        """
        from cvloc_ros.simulation.looks import CONDITIONS
        from cvloc_ros.simulation.rigs import rig as cameras
        from cvloc_ros.simulation.scene import UBLOX, Scene, demanding
        from cvloc_ros.simulation.worlds import in_world

        version: Literal[8, 9] = 8 if self.distro == "humble" else 9
        made = Scene(
            seed=self.seed, duration_s=60.0 * self.minutes, storage=self.storage, bag_version=version,
            renderer=self._kind(picture=picture), cameras=cameras(self.rig), look=CONDITIONS[self.condition],
            terrain_m=self.terrain, sway_deg=self.sway, map_error_m=self.map_error,
            map_error_length_m=self.map_error_length,
        )  # fmt: skip
        made = in_world(made, self.world, self.place, str(self.heights or ""))
        made = _recorded(made, self.motion, self.motion_mode) if self.motion is not None else made
        made = demanding(made) if self.sensors == "hard" else made
        made = replace(made, gnss=UBLOX) if self.sensors == "ublox" else made
        return replace(made, heading=replace(made.heading, rate_hz=10.0)) if self.heading else made

    def _kind(self, *, picture: bool) -> Literal["flat", "gl"]:
        """Choose the renderer: flat shows a fair day in a town and nothing else."""
        if self.renderer == "flat" and self.condition != "fair":
            msg = f"--condition {self.condition}: the flat renderer shows a fair day only; choose --renderer gl"
            raise CvlocError(msg)
        if self.renderer != "auto":
            return self.renderer
        plain = (self.world, self.rig, self.condition) == ("town", "demo", "fair")
        more = self.terrain or self.sway or self.map_error or self.correspondences or self.heights or picture
        return "flat" if plain and not more else "gl"


DRIVE = DriveOptions()


def simulate(
    out: Path | None = None, sheet: Path | None = None, scene: Path | None = None, drive: DriveOptions = DRIVE
) -> int:
    """Write a simulated drive: ROS 2 bag, MBTiles map, truth and scene file. The same seed gives the same bytes.

    Args:
        out: Folder for bag/, map.mbtiles, truth.tum, scene.yaml and cvloc.yaml (parameters of the node).
        sheet: Write one PNG of ground views beside the map with the true pose, instead of a drive (needs OpenGL).
        scene: Scene file of an earlier drive; it is made again, and of the options of the drive --correspondences
            alone is used.
        drive: What is simulated.
    """
    from cvloc_ros.simulation.scene import Scene
    from cvloc_ros.simulation.writer import write_drive

    if (out is None) == (sheet is None):
        msg = "give either --out FOLDER for a drive or --sheet FILE.png for a picture of its world"
        raise CvlocError(msg)
    chosen = drive.scene(picture=sheet is not None) if scene is None else Scene.load(scene)
    if sheet is not None:
        from cvloc_ros.simulation.gl.sheet import write_sheet

        write_sheet(chosen, sheet)
    elif out is not None:
        write_drive(chosen, out, progress_bar, drive.correspondences)
    return 0


def _recorded(scene: Scene, motion: Path, mode: Literal["auto", "path", "speed"]) -> Scene:
    """Drive a recorded motion; for its own path the world becomes large enough, and the drive no longer than it."""
    from cvloc_ros.simulation.motion import read_recording

    scene = replace(scene, motion=str(motion))
    if mode == "speed" or (mode == "auto" and not scene.imagery):
        return scene
    recording = read_recording(scene.motion)
    seconds = min(scene.duration_s, float(recording.time_s[-1]))
    reach = float(recording.part(0.0, seconds).travelled_m[-1]) + _ROOM_M
    side = min(max(scene.size_m[0], reach), _LARGEST_M)
    return replace(
        scene, motion_mode="path", duration_s=seconds, size_m=(side, side), resolution_m=0.2, map_pixel_m=0.2
    )


def progress_bar(total: int, title: str) -> AbstractContextManager[Any]:
    """Return a tqdm bar; in a log file it writes a line now and then only."""
    from tqdm import tqdm

    return tqdm(total=total, desc=title, unit="", mininterval=0.2 if sys.stderr.isatty() else 10.0)
