# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Golden numbers of a small ViewBridge with formula weights: a change of what it computes is noticed.

Made by this project itself (2026-11-20, CPU, single precision): no original exists to compare with.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch

from cvloc_ros.matching.fg2.network import GroundTokens
from cvloc_ros.matching.viewbridge.network import GroundCode, Scores, ViewBridgeNetwork
from cvloc_ros.matching.viewbridge.settings import ViewBridgeSettings

Small = Callable[..., ViewBridgeSettings]
SURFACE = [2, 1, 3, 3, 3, 3, 2, 1, 1, 2, 3, 3]
RAW = [0.76037, 2.92926, 4.77845, 2.62325]
REFINED = [0.67447, 2.90547, 4.90282, 2.49980]
PROBABILITIES = [8.9151e-09, 1.55395e-05, 3.32207e-04, 1.98771e-09]
TOTAL = 7.6044
ROW_BINS = [0.940550, 1.003299, 1.007948]
COLUMN_BINS = [0.967599, 0.982957, 1.016093]


def compute(settings: ViewBridgeSettings, formula: ModuleType) -> tuple[ViewBridgeNetwork, GroundCode, Scores]:
    network = ViewBridgeNetwork(settings).eval()
    network.load_state_dict(formula.weights({key: value.shape for key, value in network.state_dict().items()}))
    plane = settings.plane
    tokens, sat = formula.normal("golden/ground", (1, 32, 5, 9)), formula.normal("golden/aerial", (1, 32, 7, 7))
    reference = formula.uniform("golden/pixels", (1, plane.ground_rows() * plane.cells, plane.heights, 2)) * 1.2 - 0.1
    reference[0, :4] = torch.nan
    visible = ((reference >= 0) & (reference <= 1)).all(-1)
    with torch.no_grad():
        ground = network.encode_ground([GroundTokens(tokens, reference, visible)])
        return network, ground, network.match(network.encode_aerial(sat), ground)


def test_golden_numbers(small: Small, formula: ModuleType) -> None:
    network, ground, scores = compute(small(attention_heads=8, propagate=True), formula)
    assert ground.surface.index[0, 7:19].tolist() == SURFACE
    assert torch.isneginf(scores.raw[0, :, :4]).all()
    torch.testing.assert_close(scores.raw[0, 0, 10:14], torch.tensor(RAW), atol=1e-4, rtol=0)
    torch.testing.assert_close(scores.refined[0, 0, 10:14], torch.tensor(REFINED), atol=1e-4, rtol=0)
    torch.testing.assert_close(scores.probability[0, 5, 10:14], torch.tensor(PROBABILITIES), atol=0, rtol=2e-3)
    assert float(scores.probability.sum()) == pytest.approx(TOTAL, abs=1e-3)
    with torch.no_grad():
        base = network.plane.matching.dustbin_score
        rows, columns = network.dustbin(scores.refined, ground.valid, base)
    torch.testing.assert_close(rows[0, :3], torch.tensor(ROW_BINS), atol=1e-4, rtol=0)
    torch.testing.assert_close(columns[0, 10:13], torch.tensor(COLUMN_BINS), atol=1e-4, rtol=0)


@pytest.mark.parametrize("change", [{"threshold": 0.8}, {"near": False}, {"whole": False}, {"propagate": False}])
def test_every_part_has_its_share_in_them(change: dict[str, object], small: Small, formula: ModuleType) -> None:
    scores = compute(small(**{"attention_heads": 8, "propagate": True, **change}), formula)[2]
    assert abs(float(scores.probability.sum()) - TOTAL) > 0.01
