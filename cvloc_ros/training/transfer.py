# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Starting one method from weights of another: what both have is taken over."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from cvloc_ros.matching import weights
from cvloc_ros.training.checkpoint import TrainingError

_SAME = (("network.", ""), ("plane.", ""), ("aerial_projector.", "aerial."), ("ground_projector.", "ground."),
         ("key.", "aerial."), ("query.", "ground."))  # fmt: skip


def take_over(trainee: nn.Module, path: Path | str) -> int:
    """Copy the tensors whose part and shape a model shares with that of a file; return how many they are.

    ViewBridge has FG²'s lifting, projectors and backbone; Loc² its projectors and backbone; each side of GridLoc the
    backbone (`backbone: pyramid`), with `fuse: vote` (`backbone: fine`) Loc²'s projectors, too.

    Raises:
        ModelError: the file cannot be read.
        TrainingError: nothing fits.
    """
    given = {_part(key): value for key, value in weights.read_tensors(path).items()}
    own = trainee.state_dict()
    wanted = {key: given.get(_part(_extractor(key))) for key in own}
    fitting = {key: value for key, value in wanted.items() if value is not None and value.shape == own[key].shape}
    if not fitting:
        msg = f"start_from = {path}: none of its {len(given)} tensors fits; give both the same channels and widths"
        raise TrainingError(msg)
    trainee.load_state_dict({**own, **{key: value.to(own[key]) for key, value in fitting.items()}})
    return len(fitting)


def _part(key: str) -> str:
    for ours, common in _SAME:
        key = key.replace(ours, common, 1) if key.startswith(ours) else key
    return key



def _extractor(key: str) -> str:
    """GridLoc has an extractor for each view."""
    for side in ("ground.", "aerial."):
        key = "backbone." + key.removeprefix(side) if key.startswith(side) else key
    return key
