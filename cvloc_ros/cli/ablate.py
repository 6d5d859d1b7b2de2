# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc ablate`."""

from __future__ import annotations

from pathlib import Path

import tyro

from cvloc_ros.cli.options import Assignments


def ablate(
    table: tyro.conf.Positional[Path],
    *,
    out: Path,
    report: Path | None = None,
    settings: Assignments = (),
    cpu: tyro.conf.FlagCreatePairsOff[bool] = False,
    dry: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> int:
    """Train models that differ in one part each, with the same budget, and write the table; goes on where it stopped.

    Args:
        table: YAML file of the ablations, such as config/ablations.yaml.
        out: Folder for the trainings.
        report: Markdown file to write after each row; by default OUT/ablations.md.
        settings: Any key of a training, for all of them, such as run.steps=1000; may be repeated.
        cpu: Do not use a GPU.
        dry: Check all trainings, and write the table of what is there; train nothing.
    """
    from cvloc_ros.cli.settings import parse_assignments
    from cvloc_ros.training import ablation
    from cvloc_ros.training.loop import Progress

    class Lines(Progress):
        """One line for each training and evaluation."""

        def say(self, text: str) -> None:
            print(text, flush=True)

    chosen, rows = ablation.plan(table, out, parse_assignments(settings))
    target = report or out / "ablations.md"
    target.parent.mkdir(parents=True, exist_ok=True)
    for _ in [None] if dry else ablation.run(rows, Lines(), cpu=cpu):
        target.write_text(ablation.report(chosen, rows), encoding="utf-8")
    print(f"{len(rows)} rows: {target}")
    return 0
