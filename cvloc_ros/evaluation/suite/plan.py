# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a suite to its runs: one drive, one condition, one matcher each, with everything that determines the result."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from cvloc_ros import config as configuration
from cvloc_ros.errors import ConfigError
from cvloc_ros.evaluation.suite.axes import AXES, NotApplicable, Setup
from cvloc_ros.evaluation.suite.record import RunName
from cvloc_ros.evaluation.suite.spec import Condition, Recorded, Simulated, Suite, axis_values
from cvloc_ros.matching import shipped
from cvloc_ros.matching.registry import MATCHERS
from cvloc_ros.simulation.rigs import rig
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.worlds import in_world
from cvloc_ros.simulation.writer import node_parameters

Tree = Mapping[str, Any]
_PATHS = ("weights", "_file", "folder")
"""Ends of the keys whose values are paths; in a suite file they are relative to it."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run. `scene` is None for a recorded drive, `yaw_sigma_deg` None where no yaw is given at the start.

    `yaw_deg` counts from the true yaw where `yaw_of_truth`, else from east. Of the settings in `layers` the last wins.
    """

    name: RunName
    scene: Scene | None
    recorded: Recorded | None
    layers: tuple[Tree, ...]
    yaw_sigma_deg: float | None
    yaw_deg: float = 0.0
    yaw_of_truth: bool = True
    outages: tuple[tuple[float, float], ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Skipped:
    """What a suite asks for and a drive cannot give."""

    name: RunName
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The runs of a suite, first runs of all drives first, and what is left out."""

    jobs: tuple[Job, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which part of a suite is run: patterns of drives and conditions, names of matchers, settings on top of all."""

    matchers: Sequence[str] = ()
    drives: str = "*"
    conditions: str = "*"
    settings: Tree = field(default_factory=dict)


def make_plan(suite: Suite, choice: Choice | None = None) -> Plan:
    """Return all runs.

    Raises:
        ConfigError: a setting is refused, or nothing is left of the suite.
    """
    choice = choice or Choice()
    unknown = sorted(set(choice.matchers) - set(suite.matchers))
    if unknown:
        msg = f"--matcher {unknown[0]}: {suite.path} has {', '.join(suite.matchers)}"
        raise ConfigError(msg)
    jobs: list[tuple[int, Job]] = []
    skipped: list[Skipped] = []
    for drive, settings in suite.drives.items():
        if not fnmatch(drive, choice.drives):
            continue
        made: dict[Any, int] = {}
        for condition, changes, facts in _conditions(suite):
            for matcher in suite.matchers:
                if not fnmatch(condition, choice.conditions) or (choice.matchers and matcher not in choice.matchers):
                    continue
                name = RunName(drive, condition, matcher)
                try:
                    job = _job(suite, name, settings, changes, choice.settings)
                except NotApplicable as err:
                    skipped.append(Skipped(name, str(err)))
                    continue
                source = job.scene or drive
                made[source] = made.get(source, -1) + 1
                jobs.append((made[source], replace(job, facts=facts)))
    if not jobs and not skipped:
        msg = f"nothing of {suite.path} is chosen: drives are {', '.join(suite.drives)}; conditions are " + (
            ", ".join(condition for condition, _, _ in _conditions(suite))
        )
        raise ConfigError(msg)
    return Plan(tuple(job for _, job in sorted(jobs, key=lambda item: item[0])), tuple(skipped))


def _conditions(suite: Suite) -> Iterator[tuple[str, Condition, Tree]]:
    for name, condition in suite.conditions.items():
        yield name, condition, {}
    for axis, values in suite.sweeps.items():
        for value in values:
            facts = {"sweep": {"axis": axis, "value": value, "unit": AXES[axis].unit}}
            yield f"{axis}={value}", Condition.model_validate({axis: value}), facts


def _told(settings: Simulated | Recorded, changes: Condition) -> Tree:
    """Return the axes that are set, in the order in which they are."""
    values = {**axis_values(settings), **axis_values(changes)}
    return {name: values[name] for name in AXES if name in values}


def _job(suite: Suite, name: RunName, drive: Simulated | Recorded, changes: Condition, last: Tree) -> Job:
    try:
        scene = scene_of(drive) if isinstance(drive, Simulated) else None
        setup, values = Setup(scene), _told(drive, changes)
        for axis, value in values.items():
            setup = AXES[axis].set(setup, value)
        recorded = drive if isinstance(drive, Recorded) else None
        named = {"matcher": {"name": name.matcher}} if name.matcher in MATCHERS else {}
        written = (suite.config, drive.config, named, suite.matchers[name.matcher], changes.config, setup.config)
        layers = (*(_anchored(layer, suite.path.parent) for layer in written), _anchored(last, Path.cwd()))
        job = Job(
            name, setup.scene, recorded, tuple(layer for layer in layers if layer), setup.yaw_deg,
            outages=(*drive.outages, *changes.outages),
        )  # fmt: skip
        resolve(job, Path("drive"))
    except ConfigError as err:
        msg = f"{suite.path}: drive {name.drive}, condition {name.condition}, matcher {name.matcher}: {err}"
        raise ConfigError(msg) from err
    return job if values.get("yaw_deg") == "unknown" else _with_yaw(job)


def _with_yaw(job: Job) -> Job:
    """Draw the error of the initial yaw; a recorded drive may have a yaw of its own."""
    if job.recorded is not None and job.recorded.initial_yaw_deg is not None:
        sigma = job.yaw_sigma_deg if job.yaw_sigma_deg is not None else 5.0
        return replace(job, yaw_sigma_deg=sigma, yaw_deg=job.recorded.initial_yaw_deg, yaw_of_truth=False)
    if job.yaw_sigma_deg is None:
        return job
    seed = hashlib.sha256(f"{job.name.drive}\0{job.name.condition}".encode()).digest()
    return replace(job, yaw_deg=job.yaw_sigma_deg * float(np.random.default_rng(list(seed)).normal()))


def scene_of(drive: Simulated) -> Scene:
    """Return the scene of a simulated drive, before any axis is set.

    Raises:
        ConfigError: no world can be made of it.
    """
    scene = Scene(
        seed=drive.seed, duration_s=drive.seconds, image_rate_hz=drive.image_hz, cameras=rig(drive.rig),
        renderer=drive.renderer, terrain_m=drive.terrain_m, sway_deg=drive.sway_deg,
        motion=str(drive.motion) if drive.motion else "",
    )  # fmt: skip
    scene = in_world(scene, drive.world, drive.place, str(drive.heights or ""))
    own = {key: getattr(drive, key) for key in ("size_m", "resolution_m") if getattr(drive, key) is not None}
    return replace(scene, **own)


def resolve(job: Job, folder: Path) -> tuple[configuration.Config, Tree]:
    """Return the configuration of a run, and overrides for cameras that only the bag knows.

    `folder` is where the simulated drive lies.

    Raises:
        ConfigError: a setting is refused.
    """
    if job.scene is not None:
        base = configuration.parse(node_parameters(job.scene, folder)["/**"]["ros__parameters"])
        return configuration.merge(base, *job.layers), {}
    recorded = job.recorded
    if recorded is None:
        msg = f"{job.name}: neither a scene nor a bag"
        raise ConfigError(msg)
    base = configuration.load(recorded.settings) if recorded.settings else configuration.Config()
    known = base.cameras != configuration.Config().cameras
    cameras: dict[str, Any] = {}
    layers: list[Tree] = [{"tiles": {"source": recorded.map}}]
    if recorded.datum is not None:
        layers.append({"geo": {"datum": [*recorded.datum, 0.0][:3]}})
    for layer in job.layers:
        cameras.update({} if known else layer.get("cameras", {}))
        layers.append({key: value for key, value in layer.items() if known or key != "cameras"})
    return configuration.merge(base, *layers), cameras


def _anchored(tree: Tree, folder: Path) -> Tree:
    """Make paths absolute: workers may run elsewhere, and files count by their content."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found[key] = _anchored(value, folder)
        elif isinstance(value, str) and value and value not in shipped.NAMES and str(key).endswith(_PATHS):
            found[key] = str((folder / Path(value).expanduser()).resolve())
        else:
            found[key] = value
    return found
