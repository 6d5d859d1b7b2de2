# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Golden numbers of small GridLoc networks with formula weights: a change of what they compute is noticed.

Made by this project itself (2026-11-20, CPU, single precision): no original exists to compare with.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch

from cvloc_ros.matching.gridloc.network import GridLocNetwork, Head
from cvloc_ros.matching.gridloc.settings import GridLocSettings

Small = Callable[..., GridLocSettings]
LOGITS = {
    False: [-0.080385, -0.067619, 0.161046, 0.151946],
    True: [0.243375, 0.394945, 0.146259, 0.068345],
}
OFFSETS = {
    False: [[-0.337270, 0.420441], [-0.528031, 0.525181]],
    True: [[-0.076074, 0.016314], [0.159057, -0.329299]],
}
TURNS = [[0.064635, 0.006807], [0.036958, -0.058339]]


def compute(settings: GridLocSettings, formula: ModuleType) -> Head:
    network = GridLocNetwork(settings).eval()
    network.load_state_dict(formula.weights({key: value.shape for key, value in network.state_dict().items()}))
    ground, aerial = formula.normal("golden/ground", (1, 32, 3, 6)), formula.normal("golden/aerial", (1, 32, 4, 4))
    with torch.no_grad():
        return network.locate(network.encode_aerial(aerial), network.encode_ground(ground))


@pytest.mark.parametrize("yaw", [False, True])
def test_golden_numbers(yaw: bool, small: Small, formula: ModuleType) -> None:
    head = compute(small(yaw=True, depth=2) if yaw else small(), formula)
    assert head.logits.shape == (1, 64, 12 if yaw else 1)
    torch.testing.assert_close(head.logits[0, 10:14, 0], torch.tensor(LOGITS[yaw]), atol=1e-4, rtol=0)
    torch.testing.assert_close(head.offset[0, 10:12], torch.tensor(OFFSETS[yaw]), atol=1e-4, rtol=0)
    if yaw:
        torch.testing.assert_close(head.turn[0, 10:12, :2], torch.tensor(TURNS), atol=1e-4, rtol=0)
    else:
        assert not head.turn.any()
