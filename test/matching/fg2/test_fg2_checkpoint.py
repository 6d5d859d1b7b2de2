# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Released checkpoints: their keys, the queries that they lack, conversion; and golden numbers of a small network."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from cvloc_ros.errors import ModelError
from cvloc_ros.matching.fg2 import checkpoint, settings
from cvloc_ros.matching.fg2.network import Fg2Network, GroundTokens
from cvloc_ros.matching.fg2.settings import VARIANTS


@pytest.fixture
def small(small_settings):
    return small_settings(mode="published", rounds=4, heights=3)


@pytest.fixture
def released(small, formula):
    """Formula weights under the released names, without the queries."""
    state = Fg2Network(small).state_dict()
    shapes = {checkpoint.published_key(key): value.shape for key, value in state.items() if key != "queries"}
    return formula.weights(shapes)


def test_key_count_and_parameters_are_the_published_ones():
    with torch.device("meta"):
        network = Fg2Network(VARIANTS["kitti"])
    names = [checkpoint.published_key(key) for key in network.state_dict() if key != "queries"]
    assert len(names) == len(set(names)) == 331
    assert sum(value.numel() for key, value in network.named_parameters() if key != "queries") == 60_549_255
    for name in (
        "dustbin_score", "grd_attention_self1.grd_attention_self.sampling_offsets.weight",
        "grd_attention_cross6.projector.bias", "grd_ffn4.layers.0.0.weight", "grd_layer_norm42.bias",
        "sat_projector.resblock1.shortcut.0.weight", "grd_projector.att_layer.layers.2.mlp.2.weight",
        "sat_projector.resblock4.bn2.num_batches_tracked",
    ):  # fmt: skip
        assert name in names


def test_queries_are_those_that_the_released_program_drew():
    before = torch.get_rng_state()
    queries = checkpoint.rebuild_queries(VARIANTS["kitti"])
    assert queries.shape == (21, 41, 1024)
    expected = torch.tensor([0.9837028, 0.5300534, 0.8114833, 0.9270982])
    torch.testing.assert_close(queries.flatten()[:4], expected, atol=1e-6, rtol=0)
    assert float(queries.flatten()[-1]) == pytest.approx(0.977457, abs=1e-6)
    assert float(queries.double().sum()) == pytest.approx(440855.568, abs=0.01)
    assert torch.equal(before, torch.get_rng_state())


def test_conversion_keeps_every_value(small, released, tmp_path, monkeypatch):
    monkeypatch.setitem(settings.VARIANTS, "kitti", small)
    monkeypatch.setattr(checkpoint, "_draw_like_backbone", lambda: None)
    torch.save(released, tmp_path / "model.pt")
    checkpoint.convert(tmp_path / "model.pt", tmp_path / "fg2.safetensors", "kitti")
    network = checkpoint.load(tmp_path / "fg2.safetensors")
    assert network.settings == small
    state = network.state_dict()
    assert all(torch.equal(state[key], released[checkpoint.published_key(key)]) for key in state if key != "queries")
    assert torch.equal(state["queries"], checkpoint.rebuild_queries(small))
    with pytest.raises(ModelError, match="converted already"):
        checkpoint.convert(tmp_path / "fg2.safetensors", tmp_path / "again.safetensors", "kitti")
    own = {**released, "grd_grid_queries": torch.ones(12, 12, 32)}
    torch.save(own, tmp_path / "own.pt")
    checkpoint.convert(tmp_path / "own.pt", tmp_path / "own.safetensors", "kitti")
    assert float(checkpoint.load(tmp_path / "own.safetensors").queries.mean()) == 1.0


def test_a_missing_key_is_named_as_released(small, released, tmp_path, monkeypatch):
    monkeypatch.setitem(settings.VARIANTS, "kitti", small)
    monkeypatch.setattr(checkpoint, "_draw_like_backbone", lambda: None)
    del released["grd_layer_norm32.bias"]
    torch.save(released, tmp_path / "model.pt")
    with pytest.raises(ModelError, match=r"missing: grd_layer_norm32\.bias"):
        checkpoint.convert(tmp_path / "model.pt", tmp_path / "fg2.safetensors", "kitti")
    assert not (tmp_path / "fg2.safetensors").exists()


def result(network, formula):
    grd, sat = formula.normal("golden/grd", (1, 32, 5, 9)), formula.normal("golden/sat", (1, 32, 7, 7))
    reference = formula.uniform("golden/reference", (1, 144, 3, 2)) * 1.2 - 0.1
    reference[0, :4] = torch.nan
    visible = ((reference >= 0) & (reference <= 1)).all(-1)
    with torch.no_grad():
        ground = network.encode_ground([GroundTokens(grd, reference, visible)])
        return network.match(network.encode_aerial(sat), ground)


def test_golden_numbers(small, released, formula):
    network = Fg2Network(small).eval()
    released["grd_grid_queries"] = formula.weight("grd_grid_queries", (12, 12, 32))
    checkpoint.from_published(network, released, "formula")
    scores, probability = result(network, formula)
    assert torch.isneginf(scores[0, :, :4]).all()
    torch.testing.assert_close(scores[0, 0, 10:14], torch.tensor(SCORES), atol=1e-4, rtol=0)
    torch.testing.assert_close(probability[0, 5, 10:14], torch.tensor(PROBABILITIES), atol=0, rtol=1e-3)


SCORES = [0.47005, 5.0167, -3.30914, 0.04341]
PROBABILITIES = [3.2249e-07, 2.6276e-06, 4.0496e-07, 2.9548e-10]


@pytest.mark.parametrize(
    "change", ["reused feed-forward", "one identity", "cell centres", "positions from zero", "resize"]
)
def test_the_properties_of_the_released_models_matter(change, small, released, formula, monkeypatch):
    network = Fg2Network(small).eval()
    released["grd_grid_queries"] = formula.weight("grd_grid_queries", (12, 12, 32))
    checkpoint.from_published(network, released, "formula")
    published = result(network, formula)[0]
    if change == "reused feed-forward":
        monkeypatch.setattr("cvloc_ros.matching.fg2.network._REUSED_ROUND", -1)
    if change == "one identity":
        for step in network.rounds:
            step.identity = 0.0
    if change == "cell centres":
        network.self_reference = dataclasses.replace(small, mode="mended").self_reference()
    if change == "positions from zero":
        from cvloc_ros.matching.layers import projector

        real = projector.sine_code
        monkeypatch.setattr(projector, "sine_code", lambda d, r, c: real(d, r + 1, c + 1)[:, 1:, 1:])
    if change == "resize":
        real_resize = torch.nn.functional.interpolate
        monkeypatch.setattr(
            "cvloc_ros.matching.fg2.network.functional.interpolate",
            lambda x, size, mode, align_corners: real_resize(x, size, mode=mode, align_corners=not align_corners),
        )
    finite = torch.isfinite(published)
    assert float((result(network, formula)[0] - published)[finite].abs().max()) > 0.02
