# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc data make` and `cvloc train` from end to end on a rendered world that is as small as can be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cvloc_ros.cli.main import main
from cvloc_ros.simulation.gl.context import unavailable

TINY = Path(__file__).resolve().parents[2] / "config" / "train" / "tiny_gridloc.yaml"
WHY = unavailable()


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.skipif(bool(WHY), reason=WHY)
def test_samples_are_stored_and_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    make = ["data", "make", str(data), "--config", str(TINY), "--samples", "7", "--per-shard", "4"]
    assert main(make) == 0
    assert "2 shards of 4 samples, 2 of them new" in capsys.readouterr().out
    (data / "shard-000001.tar").unlink()
    assert main(make) == 0
    assert "2 shards of 4 samples, 1 of them new" in capsys.readouterr().out
    assert main(["data", "check", str(data)]) == 0
    assert "8 samples in shards" in capsys.readouterr().out
    train = ["train", str(TINY), "--out", str(out), "--cpu", "--quiet", "--set", "run.evaluate=2"]
    for name in ("data", "validation"):
        train += ["--set", f"{name}.source=shards", "--set", f"{name}.root={data}"]
    assert main([*train, "--set", "run.steps=2", "--set", "run.evaluate_every=2"]) == 0
    told = capsys.readouterr().out
    assert "step 2: all steps done" in told and "best: samples 2, position_median_m" in told
    assert (out / "best" / "model.safetensors").is_file()
    assert main([*train, "--set", "run.steps=3", "--set", "optimiser.rate=0.1"]) == 2
    assert "another training (optimiser.rate is 0.1, was 0.001)" in capsys.readouterr().err


def test_what_cannot_be_made_or_trained_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "make", str(tmp_path), "--config", str(TINY), "--samples", "0"]) == 2
    assert "each must be 1 or more" in capsys.readouterr().err
    assert main(["train", str(TINY), "--out", str(tmp_path), "--set", "run.stepz=1"]) == 2
    assert "did you mean run.steps?" in capsys.readouterr().err
    assert main(["train", str(tmp_path / "none.yaml"), "--out", str(tmp_path)]) == 2
    shards = ["--set", "data.source=shards", "--set", f"data.root={tmp_path}"]
    assert main(["train", str(TINY), "--out", str(tmp_path / "out"), "--cpu", "--quiet", *shards]) == 2
    assert "cvloc data make" in capsys.readouterr().err
