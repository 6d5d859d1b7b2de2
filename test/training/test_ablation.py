# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Ablations: the same budget for each row, one training for equal rows, a table that tells what was run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cvloc_ros.cli.main import main
from cvloc_ros.errors import ConfigError
from cvloc_ros.training import ablation
from cvloc_ros.training.config import Training

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "ablations.yaml"
Make = Callable[..., Training]


@pytest.fixture
def table(small: Make, tmp_path: Path) -> Callable[..., Path]:
    """A file of ablations beside two small trainings of two steps; keyword arguments replace its keys."""

    def make(**changed: Any) -> Path:
        for method in ("viewbridge", "gridloc"):
            run = {"steps": 2, "batch": 2, "evaluate": 2, "pictures": 0}
            (tmp_path / f"{method}.yaml").write_text(yaml.safe_dump(small(method, **run).model_dump()))
        tree = {
            "title": "Parts", "columns": ["position_median_m", "match_valid"],
            "groups": {
                "Pooling": {
                    "base": "viewbridge.yaml", "rows": {"FG² pooling": {"settings": {"threshold": 1.0}}, "Surface": {}}
                },
                "Again": {"base": "viewbridge.yaml", "rows": {"the same": {}}},
                "GridLoc": {"base": "gridloc.yaml", "rows": {"no offsets": {"settings": {"regression": False}}}},
            },
            **changed,
        }  # fmt: skip
        (tmp_path / "table.yaml").write_text(yaml.safe_dump(tree, allow_unicode=True, sort_keys=False))
        return tmp_path / "table.yaml"

    return make


def test_one_command_trains_all_and_writes_the_table(
    table: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, report = tmp_path / "out", tmp_path / "docs" / "ablations.md"
    command = ["ablate", str(table()), "--out", str(out), "--report", str(report), "--cpu"]
    assert main(command) == 0
    folders = {path.name for path in out.iterdir()}
    assert folders == {"pooling-fg2-pooling-seed-0", "pooling-surface-seed-0", "gridloc-no-offsets-seed-0"}
    lines = report.read_text(encoding="utf-8").splitlines()
    rows = {line.split("|")[1].strip(): line.split("|")[2:4] for line in lines if line.startswith("| ")}
    assert rows["the same"] == rows["Surface"]
    assert all(float(rows[name][0]) > 0 for name in ("FG² pooling", "Surface", "no offsets"))
    assert rows["no offsets"][1].strip() == "-"
    assert "viewbridge: 2 steps of 2 samples (shards), 2 held-out samples (shards), seeds 0" in report.read_text()
    assert any(line.startswith("Trained 20") for line in lines)
    # The same command does nothing again; another budget is another training.
    assert capsys.readouterr().out.count("step 2: samples 2") == 3
    assert main(command) == 0
    assert "step 2: samples" not in capsys.readouterr().out
    assert report.read_text(encoding="utf-8").splitlines() == lines
    assert main([*command, "--set", "optimiser.rate=0.1"]) == 2
    assert "optimiser.rate is 0.1" in capsys.readouterr().err


def test_the_spread_of_the_seeds_is_told() -> None:
    assert ablation._cell([1.0, 3.0]) == "2 (1 to 3)"
    assert ablation._cell([1.234567]) == "1.23"
    assert ablation._cell([]) == "-"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"groups": {"G": {"base": "gridloc.yaml", "rows": {"longer": {"run": {"steps": 9}}}}}}, "longer sets run"),
        ({"groups": {"G": {"base": "none.yaml", "rows": {"a": {}}}}}, "none.yaml"),
        ({"groups": {"G": {"base": "gridloc.yaml"}}}, "groups.G.rows"),
        ({"columns": []}, "columns"),
        ({"sead": 3}, "sead"),
        ({"same": {"run": {"stepz": 3}}}, "did you mean run.steps"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_trained(
    changed: dict[str, Any], named: str, table: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=named):
        ablation.plan(table(**changed), tmp_path / "out", {})
    assert not (tmp_path / "out").exists()


def test_the_shipped_table_asks_all_its_questions_with_one_budget(tmp_path: Path) -> None:
    table, rows = ablation.plan(SHIPPED, tmp_path, {"run": {"steps": 7}})
    trainings = [training for row in rows for _, training in row.trainings]
    assert len(rows) == 12 and len(trainings) == 12 * len(table.seeds)
    assert len({folder for row in rows for folder, _ in row.trainings}) == 11 * len(table.seeds)
    for method in ("viewbridge", "gridloc"):
        mine = [training for training in trainings if training.method == method]
        budgets = {
            str({"data": one.data, "prior": one.prior, "run": one.run.model_copy(update={"seed": 0})}) for one in mine
        }
        assert len(budgets) == 1 and mine[0].run.steps == 7
