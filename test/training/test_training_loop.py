# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The loop: the same seed gives the same losses, a killed training goes on as if it had not been, files are whole."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from cvloc_ros.matching import weights
from cvloc_ros.training import checkpoint
from cvloc_ros.training.checkpoint import TrainingError
from cvloc_ros.training.config import Training
from cvloc_ros.training.curves import CURVE, JUDGED, entries
from cvloc_ros.training.loop import Progress, rate, train

Make = Callable[..., Training]


class Told(Progress):
    """Remembers what it is told, and kills the training after a step."""

    def __init__(self, kill_at: int = -1) -> None:
        self.lines: list[str] = []
        self._kill_at = kill_at

    def step(self, done: int, loss: float, samples_per_s: float) -> None:  # noqa: ARG002
        if done == self._kill_at:
            raise KeyboardInterrupt

    def say(self, text: str) -> None:
        self.lines.append(text)


def losses(out: Path) -> list[float]:
    return [entry["total"] for entry in entries(out / CURVE)]


def final(out: Path) -> dict[str, torch.Tensor]:
    stored = checkpoint.newest(out / "checkpoints")
    assert stored is not None
    return weights.read_tensors(stored.path / checkpoint.STATE)


def test_a_fixed_seed_gives_the_same_first_losses(small: Make, tmp_path: Path) -> None:
    for name in ("a", "b"):
        train(small(steps=20, save_every=50), tmp_path / name, cpu=True)
    first, second = (losses(tmp_path / name) for name in ("a", "b"))
    assert len(first) == 20 and first == second
    assert np.mean(first[-5:]) < np.mean(first[:5])
    train(small(steps=3, seed=1, save_every=50), tmp_path / "c", cpu=True)
    assert losses(tmp_path / "c") != first[:3]


@pytest.mark.parametrize(("method", "kill_at"), [("gridloc", 6), ("fg2", 4)])
def test_killed_and_resumed_is_as_never_killed(method: str, kill_at: int, small: Make, tmp_path: Path) -> None:
    config = small(method)
    train(config, tmp_path / "whole", cpu=True)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "killed", Told(kill_at), cpu=True)
    told = Told()
    outcome = train(config, tmp_path / "killed", told, cpu=True)
    assert told.lines[0] == f"goes on from step {3 * ((kill_at - 1) // 3)}" and outcome.step == 8
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    whole, killed = final(tmp_path / "whole"), final(tmp_path / "killed")
    assert whole.keys() == killed.keys()
    assert all(torch.equal(whole[key], killed[key]) for key in whole)


def test_a_stop_that_was_asked_for_saves(small: Make, tmp_path: Path) -> None:
    outcome = train(small(), tmp_path, stop=lambda: True, cpu=True)
    stored = checkpoint.newest(tmp_path / "checkpoints")
    assert outcome.step == 1 and outcome.ended == "stopped" and stored is not None and stored.step == 1


def test_two_processes_equal_one(small: Make, tmp_path: Path) -> None:
    config = small(steps=4)
    train(config, tmp_path / "one", cpu=True)
    file = tmp_path / "two.yaml"
    file.write_text(yaml.safe_dump(config.model_dump()))
    code = (
        "import sys; from pathlib import Path; from cvloc_ros.training.config import load;"
        "from cvloc_ros.training.loop import train;"
        "train(load(sys.argv[1]), Path(sys.argv[2]), cpu=True)"
    )
    shared = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _free_port(),
              "ACCELERATE_USE_CPU": "1"}  # fmt: skip
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(file), str(tmp_path / "two")],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    for process in running:
        assert process.wait(timeout=120) == 0, process.stderr.read() if process.stderr else ""
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    one, two = final(tmp_path / "one"), final(tmp_path / "two")
    assert json.loads((tmp_path / "two/checkpoints/step_00000004/facts.json").read_text())["processes"] == 2
    # Adam makes much of the rounding of gradients near zero; weights move by up to 5e-3 here.
    away = torch.cat([(two[key] - one[key]).abs().flatten() for key in one if key.startswith("trained.")])
    assert float(away.mean()) < 2e-5 and float(away.max()) < 2e-3


def test_evaluations_are_kept_with_the_best_weights_and_end_a_training(small: Make, tmp_path: Path) -> None:
    # A rate of next to nothing: no evaluation is better than the first.
    config = small(steps=12, evaluate_every=2, patience=2, over={"optimiser": {"rate": 1e-12, "warm_up": 0}})
    outcome = train(config, tmp_path, cpu=True)
    assert outcome.step == 6 and outcome.ended == "2 evaluations without a better one"
    found = entries(tmp_path / JUDGED)
    assert [entry["step"] for entry in found] == [2, 4, 6]
    assert {"position_median_m", "yaw_median_deg", "within_1m", "published"} <= found[0].keys()
    best = checkpoint.read(tmp_path / "best")
    assert best.step == 2 and best.facts["config"]["method"] == "gridloc" and best.facts["torch"] == torch.__version__
    assert (best.path / "model.safetensors").is_file()
    assert list((tmp_path / "tensorboard").iterdir())
    assert len(list((tmp_path / "checkpoints").glob("step_*"))) == 2


def test_a_full_disk_keeps_the_last_checkpoint(small: Make, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    class Filling(Progress):
        """Lets files grow to 64 kB and no further from step 4 on: writing fails as on a full disk."""

        def step(self, done: int, loss: float, samples_per_s: float) -> None:  # noqa: ARG002
            if done == 4:
                resource.setrlimit(resource.RLIMIT_FSIZE, (65536, before[1]))

    try:
        with pytest.raises(TrainingError, match=r"step 6: .*(File too large|os error 27).*the one of step 3 is whole"):
            train(small(), tmp_path, Filling(), cpu=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step_00000003"]
    told = Told()
    train(small(), tmp_path, told, cpu=True)
    assert told.lines[0] == "goes on from step 3"


def test_another_training_in_the_folder_is_refused(small: Make, tmp_path: Path) -> None:
    train(small(steps=3), tmp_path, cpu=True)
    with pytest.raises(TrainingError, match=r"another training \(optimiser.rate is 0.5, was 0.001\)"):
        train(small(steps=6, over={"optimiser": {"warm_up": 4, "rate": 0.5}}), tmp_path, cpu=True)
    assert train(small(steps=4), tmp_path, cpu=True).step == 4


def test_losses_that_are_not_finite_change_no_weights_and_end_the_training(small: Make, tmp_path: Path) -> None:
    config = small(steps=40, over={"loss": {"offset": float("nan")}})
    with pytest.raises(TrainingError, match="25 steps in a row"):
        train(config, tmp_path, cpu=True)
    assert all(bool(torch.isfinite(value).all()) for value in final(tmp_path).values())


def test_the_rate_rises_and_falls() -> None:
    settings = Training().optimiser
    rates = [rate(step, settings, 1000) for step in range(1001)]
    assert rates[0] == pytest.approx(1 / 200) and max(rates) == 1.0 and rates[-1] == pytest.approx(0.01)
    assert all(b < a for a, b in pairwise(rates[200:]))


def _free_port() -> str:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])
