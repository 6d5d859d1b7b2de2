# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What people and the node get of a refinement: a table, a parameter file, a picture."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

import cvloc_ros
from cvloc_ros.config import Camera
from cvloc_ros.errors import ConfigError
from cvloc_ros.evaluation.extrinsics.run import Refined
from cvloc_ros.evaluation.extrinsics.verdict import Part, Value
from cvloc_ros.evaluation.outputs import writing
from cvloc_ros.types import U8

_PLACE = {"height": 2, "roll": 3, "pitch": 4, "yaw": 5}


def picture_of(out: Path) -> Path:
    """Return where the picture beside a parameter file lies."""
    return out.with_suffix(".png")


def check(out: Path) -> None:
    """Refuse what is in the way before any work is done.

    Raises:
        ConfigError: the file or its picture exists, or there is no such folder.
    """
    for path in (out, picture_of(out)):
        if path.exists():
            msg = f"--out {out}: {path} exists; remove it or choose another name"
            raise ConfigError(msg)
    if out.suffix == ".png" or not os.access(out.resolve().parent, os.W_OK):
        msg = f"--out {out}: give the name of a .yaml file in a folder that can be written"
        raise ConfigError(msg)


def table(refined: Refined) -> str:
    """Return what was found as text: before -> after of each value, or why it stays."""
    lines = [f"poses: {refined.poses}"]
    for name, part in refined.cameras.items():
        lines += ["", f"camera {name}: {part.pictures} pictures{_agreement(part)}"]
        rows = [(value, refined.before[name][_PLACE[value.name]]) for value in part.values]
        lines += _verdict(part, rows)
    lines += ["", f"map: {refined.map.pictures} pictures{_agreement(refined.map)}"]
    lines += _verdict(refined.map, list(zip(refined.map.values, refined.offset[0], strict=False)))
    return "\n".join(lines)


def write(refined: Refined, out: Path, bag: Path) -> bool:
    """Write the parameter file; tell whether there was anything to write."""
    cameras = {name: _camera(refined, name) for name, part in refined.cameras.items()}
    if not any(part.written for part in (*refined.cameras.values(), refined.map)):
        return False
    parameters: dict[str, Any] = {"camera_names": list(refined.config.camera_names)}
    for name in refined.config.camera_names:
        cameras.setdefault(name, _camera(refined, name))
    parameters["cameras"] = {name: keys for name, keys in cameras.items() if keys}
    if refined.map.written:
        east, north = (round(value, 3) for value in refined.offset[1])
        parameters["geo"] = {"map_offset_east_m": east, "map_offset_north_m": north}
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    head = f"Written by cvloc extrinsics {cvloc_ros.__version__}, {when}, from {bag.resolve().name}.\n{table(refined)}"
    text = "".join(f"# {line}".rstrip() + "\n" for line in head.splitlines())
    tree = {"/**": {"ros__parameters": parameters}}
    text += yaml.safe_dump(tree, sort_keys=False, default_flow_style=None, width=120)
    with writing(out):
        out.write_text(text, encoding="utf-8")
    return True


def write_picture(refined: Refined, out: Path) -> bool:
    """Write the picture, if there is one; tell whether there was."""
    if refined.picture is None:
        return False
    bgr: U8 = np.ascontiguousarray(refined.picture[..., ::-1])
    with writing(picture_of(out)):
        picture_of(out).write_bytes(cv2.imencode(".png", bgr)[1].tobytes())
    return True


def _camera(refined: Refined, name: str) -> dict[str, Any]:
    """Return the settings of a camera that are not the defaults, its refined mounting among them."""
    plain, settings = Camera().model_dump(), refined.config.cameras[name].model_dump()
    part = refined.cameras.get(name)
    if part is not None and part.written:
        settings["mounting"] = [round(float(value), 5) for value in refined.after[name]]
    return {key: value for key, value in settings.items() if value != plain[key]}


def _agreement(part: Part) -> str:
    if part.refused or not part.values:
        return ""
    before, after = part.agreement
    return f", held-out agreement {before:.3f} -> {after:.3f} ({part.gain:.1f} standard errors)"


def _verdict(part: Part, rows: list[tuple[Value, float]]) -> list[str]:
    lines = [f"  not written: {part.refused}"] if part.refused else []
    for value, before in rows:
        if part.refused and not (value.refused or value.change):
            continue
        after = before + value.change
        sigma = f" +- {_number(value.name, value.sigma)}" if np.isfinite(value.sigma) else ""
        if value.refused:
            lines.append(f"  {value.name:<6}  {_number(value.name, before)}, stays: {value.refused}")
        else:
            lines.append(f"  {value.name:<6}  {_number(value.name, before)} -> {_number(value.name, after)}{sigma}")
    return lines


def _number(name: str, value: float) -> str:
    return f"{np.degrees(value):.2f} deg" if name in ("roll", "pitch", "yaw") else f"{value:.3f} m"
