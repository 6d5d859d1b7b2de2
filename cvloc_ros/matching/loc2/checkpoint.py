# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Weights of Loc²: the published key scheme, its conversion, and the reading of own files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cvloc_ros.config import Loc2
from cvloc_ros.errors import ModelError
from cvloc_ros.matching import weights
from cvloc_ros.matching.loc2.network import Loc2Network

PUBLISHED_KEYS = 163
_NAMES = (
    ("ground.", "grd_projector."),
    ("aerial.", "sat_projector."),
    ("matching.dustbin_score", "dustbin_score"),
    (".blocks.3.", ".final_block."),
    (".blocks.", ".resblocks."),
    (".attention.", ".att_layer.layers."),
)
_BACKBONE = "backbone."
BOUND = ("backbone", "geometry", "heading", "extent_m", "aerial_px", "aerial_cells", "ground_size")
"""Keys of `matcher.loc2` that weights from training are bound to; their header states them."""


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Tensors by our own names, and whether they were trained with the published geometry (None: not stated)."""

    tensors: dict[str, Tensor]
    published: bool | None


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Shapes by key of the published checkpoints (163 keys)."""
    with torch.device("meta"):
        network = Loc2Network()
    return {_published(key): tuple(value.shape) for key, value in network.state_dict().items()}


def convert(source: Path | str, target: Path | str) -> str:
    """Check a published checkpoint and write it as .safetensors with our names; returns a sentence about it.

    Raises:
        ModelError: it is no Loc² checkpoint, or it cannot be written.
    """
    tensors = _renamed(weights.read_tensors(source), source)
    weights.write_tensors(target, tensors, {"model": "loc2", "geometry": "published", "source": Path(source).name})
    size = sum(value.numel() for value in tensors.values())
    return f"Loc², {len(tensors)} tensors, {size:,} numbers, geometry published"


def read(path: Path | str) -> Checkpoint:
    """Read a converted or trained file, or a published checkpoint as it is.

    Raises:
        ModelError: the file cannot be read or is of another model.
    """
    tensors = weights.read_tensors(path)
    if "dustbin_score" in tensors or not any(key.startswith("ground.") for key in tensors):
        return Checkpoint(_renamed(tensors, path), published=True)
    facts = weights.read_facts(path)
    if facts.get("model", "loc2") != "loc2":
        msg = f"{path} says that it holds the weights of {facts['model']}; Loc² needs those of loc2"
        raise ModelError(msg)
    geometry = facts.get("geometry")
    return Checkpoint(tensors, published=None if geometry is None else geometry == "published")


def bound(config: Loc2) -> Loc2:
    """Take over what the header of the weights states, where it states it.

    Raises:
        ModelError: there are no weights, or a key was set to something else.
    """
    if not config.weights:
        msg = (
            "matcher.loc2.weights is empty; name a file of weights: train one, or fetch a published checkpoint and run "
            "`cvloc weights convert loc2 FILE OUT` (`cvloc weights list` says where from)"
        )
        raise ModelError(msg)
    facts = weights.read_facts(config.weights)
    if "settings" not in facts:
        return config
    stated = {key: value for key, value in json.loads(facts["settings"]).items() if key in BOUND}
    plain = Loc2()
    for key, value in stated.items():
        if getattr(config, key) not in (value, getattr(plain, key)):
            msg = (
                f"matcher.loc2.{key} = {getattr(config, key)!r}, but {config.weights} was trained with {value!r}; "
                "leave the key out"
            )
            raise ModelError(msg)
    return config.model_copy(update=stated)


def fill(network: Loc2Network, checkpoint: Checkpoint, path: Path | str) -> None:
    """Copy weights into a network of the same shape.

    Raises:
        ModelError: keys or shapes differ; each is named.
    """
    weights.load_into(network, checkpoint.tensors, "Loc²", path)


def widths_of(checkpoint: Checkpoint, path: Path | str) -> tuple[int, ...]:
    """Return the widths of the projectors that a checkpoint was made for.

    Raises:
        ModelError: it has none.
    """
    blocks = {
        int(found[1]): value.shape[0]
        for key, value in checkpoint.tensors.items()
        if (found := re.fullmatch(r"ground\.blocks\.(\d+)\.conv1\.weight", key))
    }
    if len(blocks) < 2:
        msg = f"{path} has {len(blocks)} blocks of the ground projector, at least 2 make a Loc² model; fetch it again"
        raise ModelError(msg)
    return tuple(blocks[index] for index in sorted(blocks))[:-1]


def layers_of(checkpoint: Checkpoint) -> int:
    """Return the number of attention layers of the projectors."""
    return sum(re.fullmatch(r"ground\.attention\.\d+\.merge\.weight", key) is not None for key in checkpoint.tensors)


def _renamed(tensors: Mapping[str, Tensor], source: Path | str) -> dict[str, Tensor]:
    expected = published_shapes()
    weights.check(tensors, expected, "a published Loc² checkpoint", source)
    with torch.device("meta"):
        ours = Loc2Network().state_dict()
    return {key: tensors[_published(key)] for key in ours}


def _published(key: str) -> str:
    for ours, theirs in _NAMES:
        key = theirs + key[len(ours) :] if not ours.startswith(".") and key.startswith(ours) else key
        key = key.replace(ours, theirs) if ours.startswith(".") else key
    return key
