# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""DINOv3 with random weights, written and read in the layout of its published folders."""

from __future__ import annotations

import json
import sys
from types import ModuleType

import pytest
import torch

from cvloc_ros.errors import ModelError
from cvloc_ros.matching import catalogue
from cvloc_ros.matching.layers import backbone, dinov2, dinov3

CPU = torch.device("cpu")
transformers = pytest.importorskip("transformers", reason="DINOv3 is optional, by transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two layers of the small model, with registers as published."""
    torch.manual_seed(0)
    config = transformers.DINOv3ViTConfig(
        hidden_size=384, num_hidden_layers=2, num_attention_heads=6, intermediate_size=768, num_register_tokens=4
    )
    place = tmp_path_factory.mktemp("dinov3")
    transformers.DINOv3ViTModel(config).save_pretrained(place)
    return place


def test_tokens_of_any_size_without_class_and_registers(folder):
    tokens = backbone.create("dinov3_vits16", folder, CPU)
    assert (tokens.patch, tokens.channels, backbone.patch_px("dinov3_vits16")) == (16, 384, 16)
    image = torch.rand(2, 3, 70, 100, generator=torch.Generator().manual_seed(1))
    found = tokens(image)
    assert found.shape == (2, 384, 4, 6)
    torch.testing.assert_close(found, tokens(image[:, :, :64, :96]))  # what exceeds whole patches is cut off
    model = transformers.DINOv3ViTModel.from_pretrained(folder).eval()
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        hidden = model(pixel_values=(image[:, :, :64, :96] - mean) / std).last_hidden_state
    assert hidden.shape[1] == 1 + 4 + 24
    torch.testing.assert_close(found[:, :, 1, 2], hidden[:, 5 + 1 * 6 + 2], atol=1e-5, rtol=1e-5)


def test_it_is_frozen_and_no_part_of_the_matcher(folder):
    tokens = backbone.create("dinov3_vits16", folder, CPU)
    assert not tokens.state_dict()
    assert not list(tokens.parameters())
    assert not tokens(torch.rand(1, 3, 32, 32, requires_grad=True)).requires_grad
    assert tokens.network.model.config._attn_implementation == "sdpa"


def test_positions_are_rotary(folder):
    """The same patch at another place of the image has another token; the embedding itself knows no place."""
    tokens = backbone.create("dinov3_vits16", folder, CPU)
    grey = torch.full((1, 3, 64, 96), 0.5)
    grey[:, :, :16, :16] = 1.0
    here, there = tokens(grey), tokens(grey.roll(48, 3))
    assert float((here[..., 0, 0] - there[..., 0, 3]).abs().max()) > 1e-4


def test_faults_are_named(folder, tmp_path, monkeypatch):
    with pytest.raises(ModelError, match=r"no folder of DINOv3.*licence has to be accepted"):
        dinov3.load("dinov3_vits16", tmp_path)
    with pytest.raises(ModelError, match="384 channels and patches of 16 px, dinov3_vitl16 1024 and 16"):
        dinov3.load("dinov3_vitl16", folder)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000])
    with pytest.raises(ModelError, match="not a DINOv3 model"):
        dinov3.load("dinov3_vits16", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(ModelError, match="missing keys"):
        dinov3.load("dinov3_vits16", tmp_path)
    monkeypatch.setitem(sys.modules, "transformers", ModuleType("transformers"))
    with pytest.raises(ModelError, match=r"transformers 4\.56 or newer.*DINOv2"):
        dinov3.load("dinov3_vits16", folder)
    with pytest.raises(ModelError, match="dinov3_vits16"):
        dinov2.create("vits15")


def test_the_catalogue_knows_it(folder):
    assert catalogue.examine(folder).model == "DINOv3: backbone dinov3_vits16"
    listed = [source for source in catalogue.SOURCES if source.name.startswith("DINOv3")]
    assert len(listed) == 3
    assert all("accepted" in source.licence for source in listed)
