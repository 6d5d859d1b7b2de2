# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The one configuration tree: default, unit, range, description and dynamic flag of every key.

The ROS parameters, `config/cvloc.yaml`, the command-line flags and the README table are all made from it.
Unknown keys and values out of range are errors; nothing is repaired silently.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from cvloc_ros.config.fg2 import Fg2
from cvloc_ros.config.gridloc import GridLoc
from cvloc_ros.config.loc2 import Depth, Loc2
from cvloc_ros.config.matching import Classical, Matching
from cvloc_ros.config.section import Section, param
from cvloc_ros.config.sections import (
    Camera,
    Diagnostics,
    Estimation,
    Frames,
    Geo,
    Inputs,
    Output,
    Prior,
    Search,
    Tiles,
)
from cvloc_ros.config.viewbridge import ViewBridge
from cvloc_ros.errors import ConfigError

__all__ = [
    "Camera", "Classical", "Config", "Depth", "Diagnostics", "Estimation", "Fg2", "Frames", "Geo", "GridLoc", "Inputs",
    "Loc2", "Matching", "Output", "Prior", "Search", "Section", "Tiles", "ViewBridge", "load", "merge", "param",
    "parse", "walk",
]  # fmt: skip


class Config(Section):
    """All settings of cvloc_ros."""

    frames: Frames = Field(default_factory=Frames)
    geo: Geo = Field(default_factory=Geo)
    camera_names: Annotated[list[str], Field(min_length=1)] = param(["camera"], "Names of the cameras.")
    cameras: dict[str, Camera] = Field(default_factory=lambda: {"camera": Camera()})
    inputs: Inputs = Field(default_factory=Inputs)
    prior: Prior = Field(default_factory=Prior)
    search: Search = Field(default_factory=Search)
    tiles: Tiles = Field(default_factory=Tiles)
    matcher: Matching = Field(default_factory=Matching)
    estimation: Estimation = Field(default_factory=Estimation)
    output: Output = Field(default_factory=Output)
    diagnostics: Diagnostics = Field(default_factory=Diagnostics)
    autostart: bool = param(True, "Configure and activate at start; false waits for a lifecycle manager.")

    @model_validator(mode="after")
    def _check_cameras(self) -> Config:
        if set(self.camera_names) != set(self.cameras):
            msg = f"camera_names {sorted(self.camera_names)} and the sections of cameras {sorted(self.cameras)} differ"
            raise ValueError(msg)
        if self.prior.source == "filter" and not self.inputs.filter_topic:
            msg = "prior.source is filter, but inputs.filter_topic is empty; give the Odometry topic of the filter"
            raise ValueError(msg)
        return self


def parse(tree: Mapping[str, Any]) -> Config:
    """Validate a nested mapping.

    Raises:
        ConfigError: one line for each fault: key, value, limit, and the nearest known key for an unknown one.
    """
    tree = dict(tree)
    cameras = tree.get("cameras") or {}
    if isinstance(cameras, Mapping):
        names = tree.setdefault("camera_names", list(cameras) or ["camera"])
        named = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
        tree["cameras"] = {**{name: {} for name in named}, **cameras}
    try:
        return Config.model_validate(tree)
    except ValidationError as err:
        raise ConfigError("\n".join(_explain(fault) for fault in err.errors())) from err


def load(path: Path | str) -> Config:
    """Read a YAML file: either the bare tree or ROS 2 form (`/**: ros__parameters:`).

    Raises:
        ConfigError: the file is missing, no YAML, or its content is refused by `parse`.
    """
    try:
        tree = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        msg = f"{path}: {err}"
        raise ConfigError(msg) from err
    if not isinstance(tree, dict):
        msg = f"{path}: a mapping of sections is expected, found {type(tree).__name__}"
        raise ConfigError(msg)
    for body in tree.values():
        if isinstance(body, dict) and "ros__parameters" in body:
            tree = body["ros__parameters"] or {}
            break
    return parse(tree)


def merge(base: Config, *overrides: Mapping[str, Any]) -> Config:
    """Return `base` with nested overrides applied, validated again as a whole."""
    tree = base.model_dump()
    for override in overrides:
        merge_into(tree, override)
        if isinstance(names := override.get("camera_names"), list):  # sections of cameras no longer named go
            kept = [*names, *override.get("cameras", {})]
            tree["cameras"] = {name: section for name, section in tree["cameras"].items() if name in kept}
    return parse(tree)


def walk(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, pydantic FieldInfo) of every leaf; camera keys come as `cameras.<name>.key`."""
    for name, info in model.model_fields.items():
        kind = info.annotation
        if kind == dict[str, Camera]:
            yield from walk(Camera, f"{prefix}{name}.<name>.")
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from walk(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", info


def merge_into(tree: dict[str, Any], override: Mapping[str, Any]) -> None:
    """Put a nested mapping over another, which is changed: sections are merged, all else is replaced."""
    for key, value in override.items():
        if isinstance(value, Mapping) and isinstance(tree.get(key), dict):
            merge_into(tree[key], value)
        else:
            tree[key] = value


def _explain(fault: Any) -> str:
    place = str(fault["loc"][1]) if len(fault["loc"]) > 1 else "<name>"
    return explain(fault, [name.replace("<name>", place) for name, _ in walk()])


def explain(fault: Any, known: Sequence[str]) -> str:
    """Say in a line what pydantic found: key, value, limit; for an unknown key the nearest of the dotted `known`."""
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "value_error":  # of a whole section: the text names the keys and their values
        text = str(fault["msg"]).removeprefix("Value error, ")
        return f"{key}: {text}" if key else text
    if fault["type"] != "extra_forbidden":
        return f"{key or 'configuration'} = {fault['input']!r}: {fault['msg']}" if key else str(fault["msg"])
    sections = sorted({name.split(".")[0] for name in known})
    near = difflib.get_close_matches(key, [*known, *sections], n=1)
    return f"{key}: unknown key" + (f"; did you mean {near[0]}?" if near else "")
