# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files of a replay: output bag, poses.tum, metrics.json, the settings used."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from rosbags.rosbag2 import StoragePlugin, Writer

from cvloc_ros import resources
from cvloc_ros.config import Config
from cvloc_ros.errors import CvlocError
from cvloc_ros.evaluation.attempts import Attempt
from cvloc_ros.evaluation.messages_out import POSE, STATUS, TF, MessageMaker
from cvloc_ros.evaluation.qos import RELIABLE
from cvloc_ros.evaluation.truth import Trajectory, write_tum

STATUS_FILE = "msg/LocalizationStatus.msg"


def prepare(folder: Path) -> None:
    """Make the output folder and remove the bag of an earlier run.

    Raises:
        CvlocError: the folder cannot be written, something that is no bag lies in the way, or the installation lacks
            the definition of the status message.
    """
    resources.find(STATUS_FILE)
    bag = folder / "bag"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if bag.exists():
            if not bag.is_dir() or any(f.suffix not in (".db3", ".yaml", ".mcap") for f in bag.iterdir()):
                msg = f"{bag} is in the way and is not an output bag; remove it or choose another --out"
                raise CvlocError(msg)
            shutil.rmtree(bag)
    except OSError as err:
        msg = f"--out {folder}: {err.strerror}; choose a folder that can be written"
        raise CvlocError(msg) from err


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell what could not be written, and the remedy.

    Raises:
        CvlocError: the disk is full, or the folder has gone.
    """
    try:
        yield
    except (OSError, sqlite3.Error) as err:
        why = err.strerror if isinstance(err, OSError) else err
        msg = f"{path}: cannot be written: {why}; free some space or choose another --out"
        raise CvlocError(msg) from err


def write_poses(folder: Path, attempts: Sequence[Attempt], truth: Trajectory | None) -> None:
    """Write poses.tum (published poses) and truth.tum."""
    with writing(folder / "poses.tum"):
        write_tum(folder / "poses.tum", [(a.stamp_ns, a.estimate.pose) for a in attempts if a.estimate])
        if truth is not None:
            poses = [(int(stamp), truth.at(int(stamp))) for stamp in truth.stamps_ns]
            write_tum(folder / "truth.tum", [(stamp, pose) for stamp, pose in poses if pose])


def write_config(folder: Path, config: Config) -> None:
    """Write all settings in the form that the node and `--config` read."""
    tree = {"/**": {"ros__parameters": config.model_dump()}}
    with writing(folder / "config.yaml"):
        (folder / "config.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")


def write_metrics(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Write metrics.json."""
    text = json.dumps(metrics, indent=2, allow_nan=False)
    with writing(folder / "metrics.json"):
        (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")


def write_bag(folder: Path, attempts: Sequence[Attempt], config: Config) -> None:
    """Write pose, TF and status at the log time of each attempt; readable by Humble and later."""
    maker = MessageMaker(config, resources.find(STATUS_FILE).read_text(encoding="utf-8"))
    with writing(folder / "bag"), Writer(folder / "bag", version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        named = {"/cvloc/pose": POSE, "/tf": TF, "/cvloc/status": STATUS}
        connections = {
            topic: writer.add_connection(topic, kind, typestore=maker.store, offered_qos_profiles=[RELIABLE])
            for topic, kind in named.items()
        }
        for attempt in attempts:
            for topic, message in _messages(maker, attempt, config):
                data = maker.store.serialize_cdr(message, named[topic])
                writer.write(connections[topic], attempt.log_time_ns, data)


def _messages(maker: MessageMaker, attempt: Attempt, config: Config) -> list[tuple[str, Any]]:
    found = [("/cvloc/status", maker.status(attempt))]
    if attempt.estimate is None:
        return found
    pose, odom = attempt.estimate.pose, attempt.T_odom_base
    if odom is None:
        tf = maker.transform(pose, attempt.stamp_ns, config.frames.base)
    else:
        tf = maker.transform(pose @ odom.inverse(), attempt.stamp_ns, config.frames.odom)
    return [*found, ("/cvloc/pose", maker.pose(attempt.estimate, attempt.stamp_ns)), ("/tf", tf)]
