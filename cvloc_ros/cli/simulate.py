# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc simulate`: write a simulated drive, or a picture that shows what its world looks like."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cvloc_ros.errors import CvlocError

if TYPE_CHECKING:
    from cvloc_ros.simulation.scene import Scene

_ROOM_M, _LARGEST_M = 120.0, 1200.0
_CONDITIONS = Literal["fair", "overcast", "low_sun", "autumn", "winter", "snow", "fog", "rain", "night", "dirty"]


def simulate(  # noqa: PLR0917
    out: Path | None = None,
    seed: int = 7,
    minutes: float = 1.0,
    storage: Literal["mcap", "sqlite3"] = "mcap",
    distro: Literal["jazzy", "humble"] = "jazzy",
    world: str = "town",
    rig: Literal["demo", "kitti", "nuscenes", "fisheye", "panorama"] = "demo",
    condition: _CONDITIONS = "fair",
    renderer: Literal["auto", "flat", "gl"] = "auto",
    sensors: Literal["fair", "hard", "ublox"] = "fair",
    heading: bool = False,
    place: tuple[float, float] | None = None,
    heights: Path | None = None,
    motion: Path | None = None,
    motion_mode: Literal["auto", "path", "speed"] = "auto",
    terrain: float = 0.0,
    sway: float = 0.0,
    map_error: float = 0.0,
    map_error_length: float = 150.0,
    correspondences: int = 0,
    scene: Path | None = None,
    sheet: Path | None = None,
) -> int:
    """Write a simulated drive: ROS 2 bag, MBTiles map, truth and scene file. The same seed gives the same bytes.

    Args:
        out: Folder for bag/, map.mbtiles, truth.tum, scene.yaml and cvloc.yaml (parameters of the node).
        seed: Chooses the world, the route and all errors.
        minutes: Length of the drive.
        storage: Storage of the bag.
        distro: ROS 2 distribution that shall read the bag; humble writes the older metadata.
        world: town, dense, suburb, village, motorway, campus, or imagery:FILE (MBTiles, GeoTIFF) for real ground.
        rig: Cameras of the vehicle.
        condition: Season, light and weather of the drive; the map shows another day in any case.
        renderer: flat needs no OpenGL and shows a fair day in a town; auto is flat for just that, gl for all else.
        sensors: hard adds outages, jumps, drops, jitter and late messages; ublox has a better receiver.
        heading: Add the absolute heading of a receiver with two antennas (/heading).
        place: Latitude and longitude of the middle of the world, degrees; by default in the sea, or in the imagery.
        heights: Height model (GeoTIFF) of an imagery world; of a surface model the roofs and trees are used too.
        motion: Recorded motion (.npz with pose_t, pose_enu, and pose_ypr if it is there).
        motion_mode: path drives its own path, moved onto the roads of an imagery world; speed drives its speeds along
            a route; auto is path for imagery and speed for all else.
        terrain: Height of hills in metres.
        sway: Size of the vehicle's own pitch and roll in degrees.
        map_error: Size of the map's registration error in metres; what was drawn stands in truth.tum.
        map_error_length: How far that error reaches before it is another one, metres.
        correspondences: Write that many pixels of each image with their places in the map (needs OpenGL).
        scene: Scene file of an earlier drive; it is made again, and the options above but --out are not used.
        sheet: Write one PNG of ground views beside the map with the true pose, instead of a drive (needs OpenGL).
    """
    from cvloc_ros.simulation.looks import CONDITIONS
    from cvloc_ros.simulation.rigs import rig as cameras
    from cvloc_ros.simulation.scene import UBLOX, Scene, demanding
    from cvloc_ros.simulation.worlds import in_world
    from cvloc_ros.simulation.writer import write_drive

    if (out is None) == (sheet is None):
        msg = "give either --out FOLDER for a drive or --sheet FILE.png for a picture of its world"
        raise CvlocError(msg)
    if scene is not None:
        chosen = Scene.load(scene)
    else:
        version: Literal[8, 9] = 8 if distro == "humble" else 9
        plain = (world, rig, condition) == ("town", "demo", "fair")
        fair = plain and not (terrain or sway or map_error or correspondences or heights)
        gl = renderer == "gl" or (renderer == "auto" and (not fair or sheet is not None))
        kind: Literal["flat", "gl"] = "gl" if gl else "flat"
        if renderer == "flat" and condition != "fair":
            msg = f"--condition {condition}: the flat renderer shows a fair day only; choose --renderer gl"
            raise CvlocError(msg)
        chosen = Scene(
            seed=seed, duration_s=60.0 * minutes, storage=storage, bag_version=version, renderer=kind,
            cameras=cameras(rig), look=CONDITIONS[condition], terrain_m=terrain, sway_deg=sway, map_error_m=map_error,
            map_error_length_m=map_error_length,
        )  # fmt: skip
        chosen = in_world(chosen, world, place, str(heights or ""))
        chosen = _recorded(chosen, motion, motion_mode) if motion is not None else chosen
        chosen = demanding(chosen) if sensors == "hard" else chosen
        chosen = replace(chosen, gnss=UBLOX) if sensors == "ublox" else chosen
        chosen = replace(chosen, heading=replace(chosen.heading, rate_hz=10.0)) if heading else chosen
    if sheet is not None:
        from cvloc_ros.simulation.gl.sheet import write_sheet

        write_sheet(chosen, sheet)
    elif out is not None:
        write_drive(chosen, out, progress_bar, correspondences)
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
