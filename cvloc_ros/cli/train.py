# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc train`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from cvloc_ros.cli.options import Assignments

if TYPE_CHECKING:
    from types import FrameType

EXIT_INTERRUPTED = 130


def train(
    config: tyro.conf.Positional[Path],
    *,
    out: Path,
    settings: Assignments = (),
    cpu: tyro.conf.FlagCreatePairsOff[bool] = False,
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> int:
    """Train a matcher; the same command goes on where it stopped.

    Several processes: `torchrun --nproc-per-node 4 -m cvloc_ros.cli.main train CONFIG --out DIR`.

    Args:
        config: YAML file of the training, such as config/train/small_fg2_sim.yaml.
        out: Folder for checkpoints, the best weights (best/model.safetensors), curves and pictures (tensorboard).
        settings: Any key of the file, such as run.steps=1000; may be repeated.
        cpu: Do not use a GPU.
        quiet: No progress bar.
    """
    from cvloc_ros.cli.settings import parse_assignments
    from cvloc_ros.training.config import load
    from cvloc_ros.training.loop import train as run

    asked: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        sys.stderr.write("\nsaving after this step; once more to end at once\n")

    chosen = load(config, parse_assignments(settings))
    speaks = os.environ.get("RANK", "0") == "0"  # one of several processes
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        progress = _bar(chosen.run.steps) if speaks and not quiet else None
        outcome = run(chosen, out, progress, lambda: bool(asked), cpu=cpu)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if not speaks:
        return 0
    if outcome.skipped:
        print(f"{sum(outcome.skipped.values())} samples passed over, {len(outcome.skipped)} different:")
        for line, count in outcome.skipped.most_common(20):
            print(f"  {count} x {line}")
    print(f"step {outcome.step}: {outcome.ended}")
    for name, found in (("last evaluation", outcome.metrics), ("best", outcome.best)):
        if found:
            print(f"{name}: " + ", ".join(f"{key} {value:g}" for key, value in found.items()))
    return EXIT_INTERRUPTED if asked else 0


def _bar(steps: int) -> Any:
    from tqdm import tqdm

    from cvloc_ros.training.loop import Progress

    class Bar(Progress):
        """A tqdm bar from the first step on; in a log file it writes a line now and then only."""

        _bar: Any = None

        def step(self, done: int, loss: float, samples_per_s: float) -> None:
            if self._bar is None:
                often_s = 0.5 if sys.stderr.isatty() else 20.0
                self._bar = tqdm(total=steps, initial=done - 1, unit="step", mininterval=often_s)
            self._bar.set_postfix(loss=f"{loss:.3f}", samples_per_s=f"{samples_per_s:.1f}", refresh=False)
            self._bar.update(done - self._bar.n)

        def say(self, text: str) -> None:
            tqdm.write(text, file=sys.stderr)

    return Bar()

