# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The released checkpoints of FG² and our own files of weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from cvloc_ros.errors import ModelError
from cvloc_ros.matching import weights
from cvloc_ros.matching.fg2.network import Fg2Network
from cvloc_ros.matching.fg2.settings import VARIANTS, Fg2Settings
from cvloc_ros.matching.layers import dinov2
from cvloc_ros.matching.layers.model import split

_QUERIES = "grd_grid_queries"
_TO_PUBLISHED = (
    (r"^queries$", _QUERIES),
    (r"^matching\.dustbin_score$", "dustbin_score"),
    (r"^rounds\.(\d+)\.(self|cross)_attention\.(.*)$", r"grd_attention_\2{\1}.grd_attention_\2.\3"),
    (r"^rounds\.(\d+)\.scorer\.(.*)$", r"grd_attention_cross{\1}.projector.\2"),
    (r"^rounds\.(\d+)\.ffn\.fc1\.(.*)$", r"grd_ffn{\1}.layers.0.0.\2"),
    (r"^rounds\.(\d+)\.ffn\.fc2\.(.*)$", r"grd_ffn{\1}.layers.1.\2"),
    (r"^rounds\.(\d+)\.norm(\d)\.(.*)$", r"grd_layer_norm{\1}\2.\3"),
    (r"^ground_projector\.", "grd_projector."),
    (r"^aerial_projector\.", "sat_projector."),
    (r"_projector\.blocks\.(\d+)\.", r"_projector.resblock{\1}."),
    (r"_projector\.(resblock\S+)\.shortcut\.", r"_projector.\1.shortcut.0."),
    (r"_projector\.attention\.", r"_projector.att_layer.layers."),
)


def published_key(key: str) -> str:
    """Name in the released checkpoints of one of our keys."""
    for ours, theirs in _TO_PUBLISHED:
        key = re.sub(ours, theirs, key)
    return re.sub(r"\{(\d+)\}", lambda found: str(int(found[1]) + 1), key)


def from_published(network: Fg2Network, tensors: Mapping[str, Tensor], source: Path | str) -> None:
    """Load a released checkpoint; without the queries, which it lacks, those of the network stay.

    Raises:
        ModelError: keys or shapes differ; the released names are given.
    """
    state = network.state_dict()
    names = {key: published_key(key) for key in state}
    given = dict(tensors)
    given.setdefault(_QUERIES, state["queries"])
    weights.check(given, {names[key]: tuple(value.shape) for key, value in state.items()}, "FG²", source)
    network.load_state_dict({key: given[name] for key, name in names.items()})


def rebuild_queries(settings: Fg2Settings) -> Tensor:
    """Draw the queries of the released models as their program did at its start: (rows, cells, channels).

    They were random, never trained and never saved: after seed 0 the backbone was initialised (drawn and overwritten),
    then they were drawn. The global random state is left as it was.
    """
    state = torch.get_rng_state()
    try:
        torch.manual_seed(0)
        _draw_like_backbone()
        return torch.rand(settings.ground_rows(), settings.cells, settings.channels)
    finally:
        torch.set_rng_state(state)


def convert(source: Path | str, target: Path | str, variant: str) -> None:
    """Turn a released checkpoint into our file: our keys, queries included, settings in the header.

    Raises:
        ModelError: the variant is unknown, the file is no FG² checkpoint, or the target cannot be written.
    """
    if variant not in VARIANTS:
        msg = f"FG² variant {variant!r} is unknown; there are {', '.join(VARIANTS)}"
        raise ModelError(msg)
    if weights.read_facts(source).get("model") == "fg2":
        msg = f"{source} is converted already; set matcher.fg2.weights to it"
        raise ModelError(msg)
    network = Fg2Network(VARIANTS[variant])
    tensors = weights.read_tensors(source)
    if _QUERIES not in tensors:
        tensors[_QUERIES] = rebuild_queries(network.settings)
    from_published(network, tensors, source)
    write(target, network.settings, network.state_dict())


def write(path: Path | str, settings: Fg2Settings, tensors: Mapping[str, Tensor]) -> None:
    """Write weights with their settings in the header.

    Raises:
        ModelError: the file cannot be written.
    """
    weights.write_tensors(path, tensors, settings.facts())


def read(path: Path | str) -> tuple[Fg2Settings, dict[str, Tensor]]:
    """Read settings and weights that `convert` or `write` wrote.

    Raises:
        ModelError: the file is missing, damaged, of another model, or a released checkpoint that is not converted.
    """
    return Fg2Settings.of_weights(path), weights.read_tensors(path)


def load(path: Path | str) -> Fg2Network:
    """Read the network alone of a file that `convert` or `write` wrote.

    Raises:
        ModelError: as `read`, or keys or shapes differ.
    """
    settings, tensors = read(path)
    network = Fg2Network(settings)
    weights.load_into(network, split(tensors)[0], "FG²", path)
    return network


def _draw_like_backbone() -> None:
    """Consume the random numbers that building the large backbone consumed: modules first, then its linear layers."""
    backbone = dinov2.create("vitl14")
    for module in backbone.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.trunc_normal_(module.weight, std=0.02)
