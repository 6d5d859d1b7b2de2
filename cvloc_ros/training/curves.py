# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a training leaves for people: curves and pictures for tensorboard, and the same numbers as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from cvloc_ros.types import U8

CURVE, JUDGED = "curve.jsonl", "evaluations.jsonl"


class Curves:
    """Writes below one folder; after a resume, entries from that step on are replaced."""

    def __init__(self, folder: Path, first_step: int) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        for name in (CURVE, JUDGED):
            _cut(folder / name, first_step)
        writer: Any = SummaryWriter
        self._board = writer(str(folder / "tensorboard"), purge_step=first_step + 1 if first_step else None)

    def __enter__(self) -> Curves:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self._board.close()

    def losses(self, step: int, values: Mapping[str, float]) -> None:
        """Add an entry to the curves of the training."""
        self._add(CURVE, "training", step, values)

    def judged(self, step: int, values: Mapping[str, float]) -> None:
        """Add an evaluation."""
        self._add(JUDGED, "evaluation", step, values)

    def picture(self, step: int, name: str, rgb: U8) -> None:
        """Add a picture (H, W, 3)."""
        self._board.add_image(name, rgb, step, dataformats="HWC")

    def _add(self, file: str, section: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._board.add_scalar(f"{section}/{name}", value, step)
        with (self._folder / file).open("a", encoding="utf-8") as opened:
            opened.write(json.dumps({"step": step, **values}) + "\n")
        self._board.flush()


def entries(file: Path) -> list[dict[str, float]]:
    """Read the entries of a file of numbers; a last line that was cut off is left out."""
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8").splitlines()
    return [dict(json.loads(line)) for line in lines if line.endswith("}")]


def _cut(file: Path, step: int) -> None:
    """Drop entries after a step."""
    if file.is_file():
        kept = [entry for entry in entries(file) if entry["step"] <= step]
        file.write_text("".join(json.dumps(entry) + "\n" for entry in kept), encoding="utf-8")
