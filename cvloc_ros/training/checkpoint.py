# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: a folder each, whole or not there. Beside the weights lies all that says what they are."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import cvloc_ros
from cvloc_ros.errors import CvlocError
from cvloc_ros.matching import weights

MODEL, STATE, FACTS = "model.safetensors", "state.safetensors", "facts.json"
_FOLDER = "step_{:08d}"
_SECTIONS = ("optimiser", "average", "trained")


class TrainingError(CvlocError):
    """A training cannot start, go on or be stored."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A checkpoint on the disk."""

    path: Path
    facts: Mapping[str, Any]

    @property
    def step(self) -> int:
        """Steps that were done."""
        return int(self.facts["step"])

    @property
    def model(self) -> Path:
        """Weights as the matcher takes them."""
        return self.path / MODEL


def newest(folder: Path) -> Stored | None:
    """Find the newest checkpoint that is whole."""
    found = sorted((path for path in folder.glob("step_*") if (path / FACTS).is_file()), reverse=True)
    return read(found[0]) if found else None


def read(path: Path) -> Stored:
    """Read what a checkpoint is.

    Raises:
        TrainingError: it is damaged.
    """
    try:
        facts = json.loads((path / FACTS).read_text(encoding="utf-8"))
        return Stored(path, dict(facts))
    except (OSError, ValueError) as err:
        msg = f"{path} is no checkpoint: {err}; delete it, and the one before is taken"
        raise TrainingError(msg) from err


def write(folder: Path, step: int, facts: Mapping[str, Any], save_model: Any, state: Mapping[str, Tensor]) -> Stored:
    """Write a checkpoint beside the others, and give it its name when it is whole.

    Args:
        folder: of all checkpoints of a training.
        step: steps that were done.
        facts: config, data, metrics and so on, for JSON.
        save_model: called with the path of the weights.
        state: what is needed to go on.

    Raises:
        TrainingError: it cannot be written; those that were there are left as they are.
    """
    path = folder / _FOLDER.format(step)
    part = folder / f"{path.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        save_model(part / MODEL)
        weights.write_tensors(part / STATE, state)
        (part / FACTS).write_text(json.dumps({"step": step, **facts}, indent=1), encoding="utf-8")
        shutil.rmtree(path, ignore_errors=True)
        part.replace(path)
    except (OSError, CvlocError) as err:
        shutil.rmtree(part, ignore_errors=True)
        kept = newest(folder)
        before = f"the one of step {kept.step} is whole" if kept else "there is none yet"
        msg = f"checkpoint of step {step}: {err}; {before}. Free some space and start the same command again"
        raise TrainingError(msg) from err
    return Stored(path, {"step": step, **facts})


def thin_out(folder: Path, keep: int) -> None:
    """Delete all but the newest checkpoints."""
    for path in sorted(folder.glob("step_*"), reverse=True)[keep:]:
        shutil.rmtree(path, ignore_errors=True)


def keep_best(stored: Stored, best: Path) -> None:
    """Copy weights and facts of a checkpoint to `best`, whole or not at all.

    Raises:
        TrainingError: they cannot be copied.
    """
    part = best.with_name(best.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        shutil.copyfile(stored.model, part / MODEL)
        shutil.copyfile(stored.path / FACTS, part / FACTS)
        shutil.rmtree(best, ignore_errors=True)
        part.replace(best)
    except OSError as err:
        shutil.rmtree(part, ignore_errors=True)
        msg = f"{best}: {err}; free some space and start the same command again"
        raise TrainingError(msg) from err


def circumstances() -> dict[str, Any]:
    """Tell code, libraries and machine, as far as they are known."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    revision = ""
    with suppress(OSError, subprocess.SubprocessError):
        root = Path(cvloc_ros.__file__).resolve().parent
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty"],  # noqa: S607
            cwd=root, capture_output=True, text=True, timeout=5, check=False,
        )  # fmt: skip
        revision = told.stdout.strip()
    return {
        "cvloc_ros": cvloc_ros.__version__, "revision": revision, "torch": torch.__version__, "device": device,
        "saved": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }  # fmt: skip


def pack(optimiser: torch.optim.Optimizer, trained: Mapping[str, Tensor], average: Mapping[str, Tensor]) -> dict[
    str, Tensor
]:
    """Put the state of an optimiser, the weights and their average into one dictionary of tensors."""
    held = optimiser.state_dict()["state"]
    packed = {f"optimiser.{number}.{key}": value for number, own in held.items() for key, value in own.items()}
    packed |= {f"trained.{key}": value for key, value in trained.items()}
    return packed | {f"average.{key}": value for key, value in average.items()}


def unpack(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read what `pack` made: sections with tensors by name.

    Raises:
        ModelError: the file is missing or damaged.
    """
    sections: dict[str, dict[str, Tensor]] = {name: {} for name in _SECTIONS}
    for key, value in weights.read_tensors(path).items():
        section, _, name = key.partition(".")
        sections[section][name] = value
    return sections


def restore_optimiser(optimiser: torch.optim.Optimizer, packed: Mapping[str, Tensor]) -> None:
    """Put the state of an optimiser back."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in packed.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
