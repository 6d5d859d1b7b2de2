# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How exact single matches are, measured on samples with depth: known matchers have known shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from cvloc_ros.cli.main import main
from cvloc_ros.config import Config
from cvloc_ros.datasets.sample import Sample
from cvloc_ros.training.config import PriorDraw, Training
from cvloc_ros.training.judge import judge, metrics
from cvloc_ros.training.methods.method import create
from cvloc_ros.types import AerialCode, AerialPatch, Correspondences, GroundView, SearchWindow

Make = Callable[..., Training]
PX_M = 0.12


class Known:
    """Matches pixels of the ground to where the truth says that they are, moved east by `off_px` aerial pixels."""

    name, reach_m = "known", 30.0

    def __init__(self, sample: Sample, off_px: float) -> None:
        self.sample, self.off_m = sample, off_px * PX_M

    def encode_aerial(self, patch: AerialPatch) -> AerialCode:
        return AerialCode(patch, None)

    def match(self, views: Sequence[GroundView], aerial: AerialCode, window: SearchWindow) -> Correspondences:
        del aerial, window
        view, rng = views[0], np.random.default_rng(0)
        rows, columns = np.nonzero(view.depth)
        some = rng.choice(len(rows), 60, replace=False)
        uv = np.column_stack([columns[some], rows[some]]).astype(float)
        rays = view.camera.unproject(uv) @ view.T_base_camera[:3, :3].T
        ground = view.T_base_camera[:2, 3] - rays[:, :2] * (view.T_base_camera[2, 3] / rays[:, 2:])
        there = self.sample.pose.apply(ground) + np.array([self.off_m, 0.0])
        return Correspondences(ground, there, rng.random(60) + 0.1, uv, np.zeros(60, np.int64))

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize(
    ("off_px", "shares"), [(0.0, (1.0, 1.0, 1.0)), (7.0, (0.0, 1.0, 1.0)), (12.0, (0.0, 0.0, 1.0)), (20.0, (0.0,) * 3)]
)
def test_shares_of_matches_that_are_known(
    off_px: float, shares: tuple[float, ...], sample_of: Callable[[int], Sample]
) -> None:
    sample = sample_of(3)
    matcher: Any = Known(sample, off_px)
    found = metrics([one for one, _ in judge([sample], matcher, Config(), PriorDraw(), [0], 0)])  # type: ignore[arg-type]
    assert tuple(found[f"match_within_{limit}px"] for limit in (5, 10, 15)) == shares
    assert found["match_valid"] == 1.0


def test_without_depth_the_known_pairs_of_a_sample_are_the_truth(sample_of: Callable[[int], Sample]) -> None:
    sample = sample_of(3)
    matcher: Any = Known(sample, 7.0)
    window = SearchWindow(sample.pose, 1.0, 0.1)
    pairs = Known(sample, 0.0).match(sample.views, matcher.encode_aerial(sample.patch), window)
    matcher.match = lambda *_: replace(pairs, aerial=pairs.aerial + np.array([7.0 * PX_M, 0.0]))
    view = replace(sample.views[0], depth=None)
    for matches, valid in ((pairs, 1.0), (replace(pairs, uv=pairs.uv + 500.0), 0.0)):
        blind = replace(sample, views=(view,), matches=matches)
        found = metrics([one for one, _ in judge([blind], matcher, Config(), PriorDraw(), [0], 0)])  # type: ignore[arg-type]
        assert (found["match_within_5px"], found["match_within_10px"]) == (0.0, valid)
        assert found["match_valid"] == valid
    nothing = judge([replace(sample, views=(view,))], matcher, Config(), PriorDraw(), [0], 0)  # type: ignore[arg-type]
    assert "match_valid" not in metrics([one for one, _ in nothing])


def test_random_weights_match_next_to_nothing(
    shards: Path, small: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three networks that match points, and one that scores poses and has no matches to measure."""
    command = ["data", "measure", str(tmp_path / "training.yaml"), "--shards", str(shards), "--samples", "6"]
    (tmp_path / "training.yaml").write_text(yaml.safe_dump({"method": "fg2"}))
    names = ("fg2", "viewbridge", "loc2", "gridloc")
    for name in names:
        torch.manual_seed(0)
        method = create(small(name))
        method.save(method.trainee(torch.device("cpu")), tmp_path / f"{name}.safetensors")
        command += ["--matcher", name, "--set", f"matcher.{name}.weights={tmp_path}/{name}.safetensors"]
    assert main([*command, "--set", "matcher.depth.source=measured"]) == 0
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines()]
    table = {row[0]: dict(zip(lines[0][1:], row[1:], strict=True)) for row in lines[2:]}
    assert set(table) == set(names)
    for name in names[:3]:
        assert float(table[name]["samples"]) == 6
        assert float(table[name]["match_within_15px"]) < 0.1, name
    assert float(table["loc2"]["match_valid"]) == 1.0
    assert table["gridloc"]["match_valid"] == "-"
