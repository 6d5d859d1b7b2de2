# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the loop asks of a method, and which methods there are."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from cvloc_ros.datasets.sample import Sample
from cvloc_ros.errors import ModelError
from cvloc_ros.ground import GroundProjector
from cvloc_ros.training.config import Training
from cvloc_ros.types import Matcher, SearchWindow

if TYPE_CHECKING:
    from cvloc_ros.config import Matching

Batch = dict[str, Any]
"""Tensors by name, and lists of such for the views."""

_METHODS = {
    "fg2": "cvloc_ros.training.methods.fg2:Fg2Method",
    "gridloc": "cvloc_ros.training.methods.gridloc:GridLocMethod",
    "loc2": "cvloc_ros.training.methods.loc2:Loc2Method",
    "viewbridge": "cvloc_ros.training.methods.viewbridge:ViewBridgeMethod",
}


class Inputs(Protocol):
    """Makes the inputs of a network on the CPU, in whatever process; holds settings alone."""

    def example(self, sample: Sample, window: SearchWindow) -> Batch | None:
        """Return what the matcher would give to its network, and the truth; None where it would give nothing."""
        ...

    def collate(self, examples: Sequence[Batch]) -> Batch:
        """Put samples together."""
        ...


class Trainee(nn.Module):
    """A network with everything that is trained, and its losses."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return `total` (a scalar) and parts of the loss (B,)."""
        raise NotImplementedError

    def calibrate(self, batches: Iterable[Batch]) -> None:
        """Fit what the model states of its own certainty to samples that it was not trained on; most state nothing."""

    def groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Parameters that are trained: those of the method, and those of a backbone."""
        raise NotImplementedError


class Method(Protocol):
    """One method with the settings of one training."""

    inputs: Inputs

    def trainee(self, device: torch.device) -> Trainee:
        """Make the network."""
        ...

    def save(self, trainee: Any, path: Path) -> None:
        """Write the weights as the matcher takes them."""
        ...

    def load(self, trainee: Any, path: Path | str) -> None:
        """Read weights that `save` wrote.

        Raises:
            ModelError: they are of another model.
        """
        ...

    def matcher(self, trainee: Any, config: Matching, device: torch.device, ground: GroundProjector) -> Matcher:
        """Return the matcher with the network as it is, in memory."""
        ...


def create(config: Training) -> Method:
    """Make the method of a training.

    Raises:
        ModelError: its settings are refused.
    """
    module, name = _METHODS[config.method].split(":")
    made: Method = getattr(importlib.import_module(module), name)(config)
    return made


def settings_of(config: Training, variants: dict[str, Any], plain: Any) -> tuple[Any, dict[str, Any]]:
    """Return the named variant (or the plain settings), and the changes with tuples in the place of lists.

    Raises:
        ModelError: the variant is unknown.
    """
    if config.variant and config.variant not in variants:
        msg = f"variant {config.variant!r} of {config.method} is unknown; there are {', '.join(variants)}"
        raise ModelError(msg)
    changes = {key: tuple(value) if isinstance(value, list) else value for key, value in config.settings.items()}
    return variants.get(config.variant, plain), changes


def changed(settings: Any, changes: dict[str, Any], what: str) -> Any:
    """Replace fields of settings.

    Raises:
        ModelError: a field does not exist or is refused.
    """
    import dataclasses

    known = [field.name for field in dataclasses.fields(settings)]
    unknown = sorted(set(changes) - set(known))
    if unknown:
        msg = f"settings of {what}: {', '.join(unknown)} unknown; there are {', '.join(known)}"
        raise ModelError(msg)
    return dataclasses.replace(settings, **changes)


def loss_settings(kind: Any, given: dict[str, float], what: str) -> Any:
    """Make the settings of a loss from their names; whole numbers where the defaults are whole.

    Raises:
        ModelError: a name is unknown.
    """
    plain: Any = kind()
    typed = {key: _as(getattr(plain, key, 0.0), value) for key, value in given.items()}
    return changed(plain, typed, f"the loss of {what}")


def _as(like: float, value: float) -> float:
    return round(value) if isinstance(like, int) else float(value)


def stack(examples: Sequence[Batch], names: Sequence[str]) -> Batch:
    """Stack tensors of these names."""
    return {name: torch.stack([example[name] for example in examples]) for name in names}


