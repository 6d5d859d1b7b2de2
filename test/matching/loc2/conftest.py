# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One thread for every test of Loc²; a network with the formula weights."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch

from cvloc_ros.matching.loc2 import checkpoint
from cvloc_ros.matching.loc2.network import Loc2Network


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def formula_network(formula: ModuleType) -> Callable[[], Loc2Network]:
    """The published size with formula weights by the published names."""

    def make() -> Loc2Network:
        network = Loc2Network().eval()
        tensors = formula.weights(checkpoint.published_shapes())
        checkpoint.fill(network, checkpoint.Checkpoint(checkpoint._renamed(tensors, "formula"), published=True), "")
        return network

    return make
