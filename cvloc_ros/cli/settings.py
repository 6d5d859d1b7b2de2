# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Configuration from `--config`, `--map`, `--datum` and `--set`, the last one winning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from cvloc_ros.config import Config, load, merge
from cvloc_ros.errors import ConfigError


def build(
    file: Path | None, map_source: str, datum: str, assignments: Sequence[str]
) -> tuple[Config, dict[str, Any]]:
    """Return the configuration, and camera overrides that wait until the cameras of a bag are known.

    Raises:
        ConfigError: unreadable file, unknown key, value out of range, malformed assignment or datum.
    """
    config = load(file) if file else Config()
    overrides = parse_assignments(assignments)
    cameras = overrides.pop("cameras", {})
    if config.cameras != Config().cameras or not isinstance(cameras, dict):
        overrides["cameras"] = cameras
        cameras = {}
    layers: list[dict[str, Any]] = []
    if map_source:
        layers.append({"tiles": {"source": map_source}})
    if datum:
        layers.append({"geo": {"datum": parse_datum(datum)}})
    return merge(config, *layers, {key: value for key, value in overrides.items() if value != {}}), cameras


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Turn `search.radius_min_m=15` (values are YAML) into a tree.

    Raises:
        ConfigError: no `=`, an empty key or a value that is no YAML.
    """
    tree: dict[str, Any] = {}
    for text in assignments:
        key, sign, value = text.partition("=")
        if not sign or not key.strip(".").strip():
            msg = f"--set {text}: write it as section.key=value"
            raise ConfigError(msg)
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError as err:
            msg = f"--set {text}: the value is no YAML ({err})"
            raise ConfigError(msg) from err
        *sections, name = key.strip().split(".")
        branch = tree
        for section in sections:
            inner = branch.setdefault(section, {})
            if not isinstance(inner, dict):
                msg = f"--set {text}: {section} was given a value before"
                raise ConfigError(msg)
            branch = inner
        branch[name] = "" if parsed is None else parsed
    return tree


def parse_datum(text: str) -> list[float]:
    """Turn LAT,LON or LAT,LON,YAW (degrees, degrees, radians) into `geo.datum`.

    Raises:
        ConfigError: something else was given.
    """
    try:
        numbers = [float(part) for part in text.replace(" ", "").split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3):
        msg = f"--datum {text}: give LAT,LON in degrees, or LAT,LON,YAW with the yaw in radians"
        raise ConfigError(msg)
    return numbers if len(numbers) == 3 else [*numbers, 0.0]
