# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One refinement from bag to verdict: what was found, how sure that is, and what of it is worth writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from cvloc_ros.config import Config
from cvloc_ros.errors import BagError, ConfigError
from cvloc_ros.evaluation import truth as truth_module
from cvloc_ros.evaluation.bag import Bag
from cvloc_ros.evaluation.extrinsics.fit import Model
from cvloc_ros.evaluation.extrinsics.frames import Circumstances, Frame, circumstances, frames, gnss_poses
from cvloc_ros.evaluation.extrinsics.picture import draw
from cvloc_ros.evaluation.extrinsics.sights import Mounting, SightMaker
from cvloc_ros.evaluation.extrinsics.verdict import Judge, Part, too_few
from cvloc_ros.evaluation.run import with_datum
from cvloc_ros.evaluation.topics import Wiring, wire
from cvloc_ros.evaluation.truth import Trajectory
from cvloc_ros.geo.projection import Projection
from cvloc_ros.tiles import open_map
from cvloc_ros.types import U8, Pose2


@dataclass(frozen=True, slots=True)
class Options:
    """What to refine from; `truth` is "" (the bag's, else GNSS), "none" (GNSS) or a TUM file."""

    bag: Path
    truth: str = ""
    truth_topic: str = ""
    camera: str = ""
    keep_map: bool = False
    progress: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Refined:
    """A whole refinement: the settings as found in bag and files, and what changes.

    `before` and `after` are mountings; where nothing is written, both are the same. `offset` (east, north in m) is
    geo.map_offset_* before and after.
    """

    config: Config
    cameras: Mapping[str, Part]
    map: Part
    before: Mapping[str, Mounting]
    after: Mapping[str, Mounting]
    offset: tuple[tuple[float, float], tuple[float, float]]
    poses: str
    picture: U8 | None


def refine(config: Config, options: Options, cameras: Mapping[str, Any] | None = None) -> Refined:
    """Refine mountings and the offset of the map; nothing is written.

    Raises:
        CvlocError: bag, map or settings cannot be used, or nothing is known about the poses.
    """
    with Bag.open(options.bag) as bag:
        wiring = wire(bag, config, options.truth_topic, cameras or {})
        names = _names(wiring, options.camera)
        truth = truth_module.find(bag, options.truth, wiring.truth)
        used, _ = with_datum(wiring.config, bag, wiring, truth)
        found = circumstances(bag, wiring)
        projection = _projection(used, found)
        poses = truth or gnss_poses(found, projection)
        if not used.tiles.source:
            msg = "no map: give --map, or tiles.source in --config"
            raise ConfigError(msg)
        aerial = open_map(used.tiles, projection)
        try:
            chosen = frames(bag, wiring, found, poses, aerial, names, progress=options.progress)
            return _refined(found, chosen, SightMaker(found, aerial), projection, poses, options)
        finally:
            aerial.close()


def _names(wiring: Wiring, camera: str) -> list[str]:
    names = [name for name in wiring.config.camera_names if name in wiring.images.values()]
    if camera and camera not in names:
        msg = f"--camera {camera}: no such camera; the bag has {', '.join(names)}"
        raise ConfigError(msg)
    return [camera] if camera else names


def _projection(config: Config, found: Circumstances) -> Projection:
    if config.geo.datum:
        return Projection.from_config(config.geo)
    fix = next((fix for fix in found.fixes if fix.quality >= 0), None)
    if fix is None:
        msg = "neither truth nor a usable fix says where the vehicle was; give --truth FILE.tum and --datum LAT,LON"
        raise BagError(msg)
    return Projection.at_fix(config.geo, fix.latitude_deg, fix.longitude_deg)


def _refined(
    found: Circumstances, chosen: Mapping[str, Sequence[Frame]], maker: SightMaker, projection: Projection,
    poses: Trajectory, options: Options,
) -> Refined:  # fmt: skip
    """Fit the cameras with enough pictures, and put the verdicts together."""
    before: dict[str, Mounting] = {
        name: found.mounting(name, seen[0].image.frame_id, seen[0].image.stamp_ns) for name, seen in chosen.items()
    }
    with tqdm(desc="refinement", unit="step", disable=None if options.progress else True) as bar:
        plain = {name: maker.make(seen, before[name]) for name, seen in chosen.items()}
        parts = {name: Part(len(seen), refused=why) for name, seen in plain.items() if (why := too_few(seen))}
        used = {name: seen for name, seen in plain.items() if name not in parts}
        after, change, picture = dict(before), np.zeros(2), None
        whole = Part(0, refused="no camera has enough pictures")
        if used:
            bar.reset(4 * len(used) + 12)
            model = Model({name: before[name] for name in used})
            judge = Judge(model, used, maker.make, options.keep_map, bar.update)
            x, verdicts, whole = judge.run()
            parts |= verdicts
            after |= {name: model.mounting(name, x) for name in used}
            change = x[-2:]
            picture = draw(maker, judge.frames, before, after, change)
    geo = found.config.geo
    old = (geo.map_offset_east_m, geo.map_offset_north_m)
    east, north = map(float, Pose2(*old, projection.yaw_rad).apply(change))
    return Refined(
        found.config, {name: parts[name] for name in chosen}, whole, before, after, (old, (east, north)), poses.source,
        picture,
    )  # fmt: skip
