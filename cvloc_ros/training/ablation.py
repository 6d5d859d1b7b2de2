# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Ablations: trainings that differ in one part each, with the same data and the same budget, and their table.

One YAML file names them (`config/ablations.yaml`). Equal trainings of several groups are run once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from cvloc_ros.config import Section
from cvloc_ros.errors import ConfigError
from cvloc_ros.training import checkpoint
from cvloc_ros.training.config import Training, load
from cvloc_ros.training.curves import JUDGED, entries
from cvloc_ros.training.judge import DEFINITIONS
from cvloc_ros.training.loop import Progress, train
from cvloc_ros.training.methods.method import create

_FREE = {"settings", "variant", "loss", "localizer"}


class Group(Section):
    """One question: a training (a file beside the table), what is set in all its rows, and what each changes."""

    base: str
    same: dict[str, Any] = Field(default_factory=dict)
    rows: dict[str, dict[str, Any]]


class Table(Section):
    """A file of ablations. `same` is set in all trainings: data and budget; that of a group comes after it."""

    title: str
    about: str = ""
    seeds: list[int] = Field(default=[0], min_length=1)
    columns: list[str] = Field(min_length=1)
    same: dict[str, Any] = Field(default_factory=dict)
    groups: dict[str, Group]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: a training for each seed, and the folder of each."""

    group: str
    name: str
    trainings: tuple[tuple[Path, Training], ...]


def read(path: Path) -> Table:
    """Read a file of ablations.

    Raises:
        ConfigError: it cannot be read, or holds what is refused; each fault is named.
    """
    try:
        return Table.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        msg = f"{path}: {err}"
        raise ConfigError(msg) from err
    except ValidationError as err:
        faults = [f"{path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in err.errors()]
        raise ConfigError("\n".join(faults)) from err


def plan(path: Path, out: Path, changes: Mapping[str, Any]) -> tuple[Table, list[Row]]:
    """Make the trainings of a file; `changes` (a tree of sections) go to all of them. All are checked.

    Raises:
        CvlocError: a training is refused, or a row would change more than its model: data or budget.
    """
    table, rows = read(path), []
    folders: dict[str, Path] = {}
    for group, given in table.groups.items():
        for name, own in given.rows.items():
            if set(own) - _FREE:
                wrong = ", ".join(sorted(set(own) - _FREE))
                msg = f"{path}: {group} / {name} sets {wrong}; rows may set {', '.join(sorted(_FREE))} alone"
                raise ConfigError(msg)
            trainings = []
            for seed in table.seeds:
                tree = _joined(table.same, given.same, changes, own, {"run": {"seed": seed}})
                training = load(path.parent / given.base, tree)
                create(training)  # refuses settings that no model can have, before hours are spent on the others
                folder = out / _slug(f"{group} {name} seed {seed}")
                trainings.append((folders.setdefault(json.dumps(training.model_dump()), folder), training))
            rows.append(Row(group, name, tuple(trainings)))
    return table, rows


def run(rows: Sequence[Row], progress: Progress, *, cpu: bool = False) -> Iterator[Row]:
    """Train row by row, and yield each when it is done; what was trained before is gone on with, or left as it is.

    Raises:
        CvlocError: a training fails, or its folder holds another one.
    """
    for row in rows:
        for folder, training in row.trainings:
            progress.say(f"{row.group} / {row.name}, seed {training.run.seed}")
            train(training, folder, progress, cpu=cpu)
        yield row


def report(table: Table, rows: Sequence[Row]) -> str:
    """Write what is there as Markdown: the metrics of the last step, mean over the seeds and their range."""
    lines = [f"# {table.title}", "", table.about.strip(), ""]
    stored = [checkpoint.newest(folder / "checkpoints") for row in rows for folder, _ in row.trainings]
    facts = [one.facts for one in stored if one is not None]
    if facts:
        places = sorted({f"{one['device']}, cvloc_ros {one['cvloc_ros']} ({one['revision']})" for one in facts})
        days = sorted({str(one["saved"])[:10] for one in facts})
        lines += [f"Trained {' to '.join(dict.fromkeys((days[0], days[-1])))} on {'; '.join(places)}.", ""]
    for group in table.groups:
        mine = [row for row in rows if row.group == group]
        config = mine[0].trainings[0][1]
        budget = f"{config.method}: {config.run.steps} steps of {config.run.batch} samples ({config.data.source})"
        held_out = f"{config.run.evaluate} held-out samples ({config.validation.source})"
        seeds = ", ".join(map(str, table.seeds))
        lines += [f"## {group}", "", f"{budget}, {held_out}, seeds {seeds}; the weights of the last step.", ""]
        lines += ["| | " + " | ".join(table.columns) + " |", "|---" * (len(table.columns) + 1) + "|"]
        for row in mine:
            found = [_last(folder, training) for folder, training in row.trainings]
            cells = [_cell([one[key] for one in found if one and key in one]) for key in table.columns]
            lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
        lines.append("")
    told = [f"- `{key}`: {DEFINITIONS[key]}" for key in table.columns if key in DEFINITIONS]
    return "\n".join([*lines, *told]).rstrip() + "\n"


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "-"
    mean = f"{sum(values) / len(values):.3g}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3g} to {max(values):.3g})"


def _last(folder: Path, training: Training) -> dict[str, float] | None:
    """Return the metrics of the last step; None before it is reached."""
    found = entries(folder / JUDGED)
    return found[-1] if found and found[-1]["step"] >= training.run.steps else None


def _joined(*trees: Mapping[str, Any]) -> dict[str, Any]:
    """Join nested mappings, the later ones winning."""
    joined: dict[str, Any] = {}
    for tree in trees:
        for key, value in tree.items():
            both = isinstance(value, Mapping) and isinstance(joined.get(key), Mapping)
            joined[key] = _joined(joined[key], value) if both else deepcopy(value)
    return joined


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower().replace("²", "2")).strip("-")
