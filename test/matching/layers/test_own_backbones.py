# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The small backbones: sizes of their tokens, gradients, how far a token looks."""

from __future__ import annotations

import pytest
import torch

from cvloc_ros.matching.layers.backbone import OWN, patch_px

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.mark.parametrize("name", sorted(OWN))
@pytest.mark.parametrize("size", [(32, 64), (50, 75), (37, 33)])
def test_tokens_stand_for_whole_patches(name: str, size: tuple[int, int]) -> None:
    made = OWN[name](32)
    patch = patch_px(name)
    assert made.patch == patch and made.channels == 32
    assert made(torch.rand(2, 3, *size)).shape == (2, 32, size[0] // patch, size[1] // patch)


@pytest.mark.parametrize("name", sorted(OWN))
def test_gradients_reach_every_parameter(name: str) -> None:
    made = OWN[name](32)
    made(torch.rand(1, 3, 64, 64)).square().sum().backward()
    assert [key for key, value in made.named_parameters() if value.grad is None or not value.grad.any()] == []


def test_a_pyramid_looks_further_than_its_patch_and_keeps_places() -> None:
    made = OWN["pyramid"](32).eval()
    image = torch.rand(1, 3, 128, 128, requires_grad=True)
    made(image)[0, :, 16, 16].sum().backward()
    assert image.grad is not None
    seen = image.grad[0].abs().sum(0)
    reach = (seen > 1e-3 * seen.max()).nonzero()
    assert int(reach[:, 0].max() - reach[:, 0].min()) > 60
    strongest = torch.stack([seen.sum(1).argmax(), seen.sum(0).argmax()])
    assert bool(((strongest - 66).abs() <= 6).all())


@pytest.mark.parametrize(("name", "channels"), [("pyramid", 48), ("conv", 20)])
def test_widths_that_cannot_be_are_refused(name: str, channels: int) -> None:
    with pytest.raises(ValueError, match=f"channels {channels}|patch"):
        OWN[name](channels)
