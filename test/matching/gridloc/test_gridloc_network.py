# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from cvloc_ros.errors import ModelError
from cvloc_ros.matching import weights
from cvloc_ros.matching.gridloc.grid import Labels
from cvloc_ros.matching.gridloc.loss import calibrate, loss
from cvloc_ros.matching.gridloc.model import Model, create
from cvloc_ros.matching.gridloc.network import CrossAttention, Head
from cvloc_ros.matching.gridloc.settings import VARIANTS, GridLocSettings
from cvloc_ros.matching.gridloc.vgg import Vgg16, load_imagenet

Make = Callable[..., Model]


def test_plain_attention_is_the_printed_formula() -> None:
    torch.manual_seed(0)
    attention = CrossAttention(16, 1, plain=True).double()
    ground, aerial = torch.randn(2, 5, 16).double(), torch.randn(2, 7, 16).double()
    Q, K, V = attention.query(ground), attention.key(aerial), attention.value(aerial)
    printed = torch.softmax(Q @ K.transpose(1, 2), -1) @ V
    torch.testing.assert_close(attention(ground, aerial), printed)
    reference = functional.scaled_dot_product_attention(Q, K, V, scale=1.0)
    torch.testing.assert_close(attention(ground, aerial), reference)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_scaled_heads_are_those_of_torch(heads: int) -> None:
    torch.manual_seed(0)
    attention = CrossAttention(16, heads, plain=False)
    theirs = torch.nn.MultiheadAttention(16, heads, batch_first=True)
    with torch.no_grad():
        layers = (attention.query, attention.key, attention.value)
        theirs.in_proj_weight.copy_(torch.cat([layer.weight for layer in layers]))
        theirs.in_proj_bias.copy_(torch.cat([layer.bias for layer in layers]))
        theirs.out_proj.weight.copy_(torch.eye(16))
        theirs.out_proj.bias.zero_()
    ground, aerial = torch.randn(2, 5, 16), torch.randn(2, 7, 16)
    torch.testing.assert_close(attention(ground, aerial), theirs(ground, aerial, aerial)[0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", list(VARIANTS))
def test_published_sizes(name: str) -> None:
    """Panoramas give 10 x 20 tokens, the front camera 4 x 7, aerial images 16 x 16 cells."""
    settings = VARIANTS[name]
    tokens = {True: (10, 20), False: (4, 7)}[settings.panorama]
    assert (settings.ground_size[0] // 32, settings.ground_size[1] // 32) == tokens
    made = create(dataclasses.replace(settings, backbone="conv", channels=16), torch.device("cpu"))
    with torch.no_grad():
        ground = made.network.encode_ground(torch.randn(1, 16, *tokens))
        head = made.network.locate(made.network.encode_aerial(torch.randn(1, 16, 16, 16)), ground)
    assert head.logits.shape == head.turn.shape == (1, 256, max(settings.yaw_bins, 1))
    assert head.offset.shape == (1, 256, 2)


def test_vgg_has_the_usual_layers_and_weights(tmp_path: Path) -> None:
    network = Vgg16()
    assert sum(parameter.numel() for parameter in network.parameters()) == 14_714_688
    assert network.features[28].weight.shape == (512, 512, 3, 3)
    with torch.no_grad():
        assert network(torch.rand(1, 3, 77, 100)).shape == (1, 512, 2, 3)
    state = {key: torch.ones_like(value) for key, value in network.state_dict().items()}
    weights.write_tensors(tmp_path / "v.safetensors", {**state, "classifier.0.weight": torch.zeros(2, 2)})
    load_imagenet(network, tmp_path / "v.safetensors")
    assert (network.features[0].weight == 1).all()
    weights.write_tensors(tmp_path / "v.safetensors", {"features.0.weight": torch.zeros(2, 2)})
    with pytest.raises(ModelError, match="VGG-16"):
        load_imagenet(network, tmp_path / "v.safetensors")


class Samples:
    def __init__(self, settings: GridLocSettings, count: int = 6) -> None:
        draw = torch.Generator().manual_seed(3)
        self.ground = torch.rand(count, 3, *settings.ground_size, generator=draw)
        self.aerial = torch.rand(count, 3, settings.aerial_size, settings.aerial_size, generator=draw)
        self.position = (torch.rand(count, 2, generator=draw) - 0.5) * settings.extent_m
        self.heading = (torch.rand(count, generator=draw) - 0.5) * 2 * settings.yaw_half_rad
        self.labels = settings.grid.encode(self.position, self.heading)


def step(made: Model, samples: Samples) -> torch.Tensor:
    return loss(made.locate(samples.ground, samples.aerial), samples.labels, made.network.settings).total.mean()


FORMS = {
    "published": {},
    "without regression": {"regression": False},
    "yaw": {"yaw": True},
    "yaw, pooled": {"yaw": True, "fuse": "pool", "depth": 2},
    "yaw within 20 degrees": {"yaw": True, "yaw_half_rad": math.radians(20)},
}


@pytest.mark.parametrize("form", FORMS)
def test_gradients_reach_every_parameter(form: str, model: Make) -> None:
    made = model(**FORMS[form])
    step(made, Samples(made.network.settings)).backward()
    for number, parameter in enumerate(made.parameters()):
        assert parameter.grad is not None, number
        assert torch.isfinite(parameter.grad).all(), number
    for key, parameter in made.network.named_parameters():
        if not key.endswith("key.bias"):  # a constant on all keys changes no softmax
            assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("form", FORMS)
def test_a_small_model_learns_its_samples_by_heart(form: str, model: Make) -> None:
    made = model(**FORMS[form])
    settings, samples = made.network.settings, Samples(made.network.settings)
    optimiser = torch.optim.Adam(made.parameters(), 2e-3)
    for _ in range(120):
        optimiser.zero_grad()
        step(made, samples).backward()
        optimiser.step()
    with torch.no_grad():
        head = made.locate(samples.ground, samples.aerial)
    best = head.logits.flatten(1).argmax(1)
    cell, which = best // made.network.bins, best % made.network.bins
    item = torch.arange(len(best))
    position, heading = settings.grid.decode(cell, head.offset[item, cell], which, head.turn[item, cell, which])
    error = torch.linalg.vector_norm(position - samples.position, dim=1)
    assert float(error.max()) < (1.0 if settings.regression else 0.75 * settings.grid.cell_m)
    if settings.yaw_bins:
        off = torch.remainder(heading - samples.heading + math.pi, math.tau) - math.pi
        assert float(off.abs().max()) < 0.3 * settings.grid.bin_rad


def test_poses_outside_of_the_grid_cost_nothing(model: Make) -> None:
    made = model(yaw=True)
    samples = Samples(made.network.settings)
    samples.labels = made.network.settings.grid.encode(samples.position + 1000.0, samples.heading)
    value = step(made, samples)
    assert float(value.detach()) == 0.0
    value.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in made.parameters())


BOUNDS = {torch.bfloat16: (0.02, 0.02), torch.float16: (0.003, 0.003)}
"""Largest difference of a logit, and of an offset in cells."""


@pytest.mark.parametrize("dtype", list(BOUNDS))
def test_half_precision_agrees(dtype: torch.dtype, model: Make) -> None:
    made = model(yaw=True).train(mode=False)
    samples = Samples(made.network.settings)
    with torch.no_grad():
        full = made.locate(samples.ground, samples.aerial)
        with torch.autocast("cpu", dtype=dtype):
            half = made.locate(samples.ground, samples.aerial)
    assert half.logits.dtype == torch.float32
    logit, offset = BOUNDS[dtype]
    assert float((half.logits - full.logits).abs().max()) < logit
    assert float((half.offset - full.offset).abs().max()) < offset
    assert float((half.turn - full.turn).abs().max()) < offset


# --- calibration


def drawn(settings: GridLocSettings, temperature: float, sigma: float, count: int = 4000) -> tuple[Head, Labels]:
    """Poses that are distributed as logits over a temperature tell, with offsets of a known spread."""
    draw = torch.Generator().manual_seed(0)
    classes = settings.cells**2 * max(settings.yaw_bins, 1)
    logits = 3 * torch.randn(count, classes, generator=draw)
    true = torch.multinomial(torch.softmax(logits / temperature, 1), 1, generator=draw)[:, 0]
    bins = max(settings.yaw_bins, 1)
    cell, which = true // bins, true % bins
    noise = sigma * torch.randn(count, 3, generator=draw)
    ones = torch.ones(count, dtype=torch.bool)
    labels = Labels(cell, noise[:, :2], which, noise[:, 2], ones)
    zeros = torch.zeros(count, settings.cells**2, bins)
    return Head(logits.view(count, -1, bins), zeros[..., :1].expand(-1, -1, 2), zeros), labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_calibration_finds_temperature_and_spread(temperature: float, small: Callable[..., GridLocSettings]) -> None:
    settings = small(cells=3, yaw_bins=4, plain=False)
    found = calibrate(*drawn(settings, temperature, 0.2), settings)
    assert found.temperature == pytest.approx(temperature, rel=0.08)
    assert found.sigma_cells == pytest.approx(0.2, rel=0.05)
    assert found.sigma_bins == pytest.approx(0.2, rel=0.05)


def test_calibration_without_samples_changes_nothing(small: Callable[..., GridLocSettings]) -> None:
    settings = small(cells=3)
    head, labels = drawn(settings, 1.0, 0.1, 5)
    nothing = dataclasses.replace(labels, inside=torch.zeros(5, dtype=torch.bool))
    assert calibrate(head, nothing, settings) == settings


@pytest.mark.parametrize(
    "wrong",
    [{"cells": 0}, {"align": "up"}, {"fuse": "sum"}, {"heads": 3}, {"depth": 2}, {"temperature": 0.0},
     {"ground_crop": (0.5, 0.2, 0.0, 1.0)}, {"yaw_half_rad": 4.0}, {"extent_m": -1.0}, {"yaw_bins": -1}],
)  # fmt: skip
def test_settings_that_no_model_can_have(wrong: dict[str, object], small: Callable[..., GridLocSettings]) -> None:
    with pytest.raises(ModelError, match="GridLoc settings"):
        small(**wrong)
