# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters as text: `config/cvloc.yaml` and the table of the README, made from the configuration tree."""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from cvloc_ros import config

YAML_HEADER = """\
# Parameters of the node cvloc, with their defaults. Made by `cvloc params`; copy it and keep what you change.
# Each key: what it does [unit; range; dynamic = may change while the node runs].
# A list that is empty by default is shown as a comment: parameter files cannot hold empty lists.
"""


@dataclass(frozen=True, slots=True)
class Key:
    """One parameter. `kind` is bool, int, float, str, or a list of one of the last three.

    Bounds that are None do not exist; `low_open` and `high_open` tell that the bound itself is not allowed; `choices`
    is empty where any text is.
    """

    name: str
    kind: str
    default: Any
    text: str
    unit: str
    dynamic: bool
    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False
    choices: tuple[str, ...] = ()

    @property
    def range_text(self) -> str:
        """The allowed values for people, such as "> 0, <= 5"; empty where all are."""
        if self.choices:
            return " | ".join(self.choices)
        parts = []
        if self.low is not None:
            parts.append(f"{'>' if self.low_open else '>='} {self.low:g}")
        if self.high is not None:
            parts.append(f"{'<' if self.high_open else '<='} {self.high:g}")
        return ", ".join(parts)


def parameters(camera_names: typing.Sequence[str] = ("<name>",)) -> Iterator[Key]:
    """Yield every parameter, `camera_names` first, each key of a camera once for each name."""
    found = [_key(name, info) for name, info in config.walk()]
    found.sort(key=lambda key: key.name != "camera_names")
    for key in found:
        if ".<name>." not in key.name:
            yield key
            continue
        for camera in camera_names:
            yield Key(**{**_fields(key), "name": key.name.replace("<name>", camera)})


def _fields(key: Key) -> dict[str, Any]:
    return {name: getattr(key, name) for name in Key.__dataclass_fields__}


def _key(name: str, info: Any) -> Key:
    extra = info.json_schema_extra or {}
    bounds: dict[str, Any] = {}
    for rule in info.metadata:
        for attribute, side, is_open in (("ge", "low", False), ("gt", "low", True), ("le", "high", False),
                                         ("lt", "high", True)):
            if getattr(rule, attribute, None) is not None:
                bounds[side], bounds[f"{side}_open"] = float(getattr(rule, attribute)), is_open
    kind, choices = _kind(info.annotation)
    return Key(
        name=name, kind=kind, default=info.get_default(call_default_factory=True), text=info.description or "",
        unit=extra.get("unit", ""), dynamic=bool(extra.get("dynamic")), choices=choices, **bounds,
    )  # fmt: skip


def _kind(annotation: Any) -> tuple[str, tuple[str, ...]]:
    if typing.get_origin(annotation) is Literal:
        return "str", tuple(typing.get_args(annotation))
    if isinstance(annotation, types.GenericAlias):
        return f"list[{annotation.__args__[0].__name__}]", ()
    return annotation.__name__, ()


def render_yaml(camera_names: typing.Sequence[str] = ("camera",)) -> str:
    """Return a ROS 2 parameter file with every key at its default."""
    lines = [YAML_HEADER + "/**:", "  ros__parameters:"]
    section: list[str] = []
    for key in parameters(camera_names):
        *path, leaf = key.name.split(".")
        shared = next((i for i, (a, b) in enumerate(zip(path, section, strict=False)) if a != b), len(path))
        shared = min(shared, len(section))
        lines += [f"{'  ' * (depth + 2)}{path[depth]}:" for depth in range(shared, len(path))]
        section = path
        indent = "  " * (len(path) + 2)
        note = "; ".join(part for part in (key.unit, key.range_text, "dynamic" if key.dynamic else "") if part)
        lines += _wrap(key.text + (f" [{note}]" if note else ""), f"{indent}# ")
        value = list(camera_names) if key.name == "camera_names" else key.default
        lines.append(f"{indent}{'# ' if value == [] else ''}{leaf}: {_scalar(value)}")
    return "\n".join(lines) + "\n"


def _scalar(value: Any) -> str:
    if isinstance(value, float):
        return repr(value)
    return yaml.safe_dump(value, default_flow_style=True, width=sys.maxsize).removesuffix("\n").removesuffix("\n...")


def _wrap(text: str, prefix: str, width: int = 118) -> list[str]:
    lines, line = [], prefix
    for word in text.split():
        if len(line) + len(word) + 1 > width and line.strip() != "#":
            lines.append(line.rstrip())
            line = prefix
        line += word + " "
    return [*lines, line.rstrip()]


def render_markdown() -> str:
    """Return the table of all parameters in Markdown."""
    rows = ["| parameter | default | unit | range | dynamic | meaning |", "|---|---|---|---|---|---|"]
    for key in parameters():
        cells = (
            f"`{key.name}`", f"`{_scalar(key.default)}`", key.unit, key.range_text.replace("|", "\\|"),
            "yes" if key.dynamic else "", key.text.replace("|", "\\|").replace("<", "&lt;"),
        )  # fmt: skip
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"
