# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""DINOv2: recorded numbers, both key schemes, position embedding, faults that are named."""

from __future__ import annotations

import pytest
import torch

from cvloc_ros.errors import ModelError
from cvloc_ros.matching import weights
from cvloc_ros.matching.layers import backbone, dinov2

IMAGES = {"kitti_grd": (364, 1232), "kitti_sat": (504, 504), "vigor_grd": (714, 1428), "vigor_sat": (630, 630)}


def make(formula, name):
    model = dinov2.create(name).eval()
    model.load_state_dict(formula.weights({key: value.shape for key, value in model.state_dict().items()}))
    return model


@pytest.fixture(scope="module")
def small(formula):
    return make(formula, "vits14")


def every_stage(model, recorded, case, image):
    """Compare patches, positions, first, middle and last block, and both norms."""
    rows, cols = image.shape[2] // 14, image.shape[3] // 14
    blocks = sorted({name.split("/")[1] for name in recorded.arrays.files if name.startswith(f"{case}/block")})
    assert len(blocks) == 3
    seen = {}
    keep = lambda name: lambda _, __, out: seen.__setitem__(name, out)
    parts = {"patch_embed": model.patch_embed, "norm": model.norm, **{n: model.blocks[int(n[5:])] for n in blocks}}
    hooks = [part.register_forward_hook(keep(name)) for name, part in parts.items()]
    with torch.no_grad():
        recorded.agree(f"{case}/pos_embed", model.positions(rows, cols), 1e-6, 1e-6)
        recorded.agree(f"{case}/tokens_in", model.tokens_in(image), 1e-4, 1e-5)
        tokens = model(image).flatten(2).transpose(1, 2)
    for hook in hooks:
        hook.remove()
    recorded.agree(f"{case}/patch_embed", seen["patch_embed"], 1e-4, 1e-5)
    for name in blocks:
        recorded.agree(f"{case}/{name}", seen[name], *in_proportion(recorded[f"{case}/{name}/stat"]))
    recorded.agree(f"{case}/x_norm_patchtokens", tokens, 3e-4, 5e-5)
    recorded.agree(f"{case}/x_norm_clstoken", seen["norm"][:, 0], 3e-4, 5e-5)
    # The copy of DINOv2 that FG2 and Loc2 bundle: same embedding, explicit softmax in the attention.
    index = torch.from_numpy(recorded[f"{case}/x_norm_patchtokens/idx"]).long()
    bundled = torch.from_numpy(recorded[f"{case}/fg2_bundled/val"])
    assert float((tokens.reshape(-1)[index] - bundled).abs().max()) < 3e-4
    assert float(recorded[f"{case}/fg2_bundled/pos_embed_maxdiff"]) == 0.0


def in_proportion(stat):
    """Accepted deviations of tokens before the norm: those after it, where the deviation is 1, times their own."""
    return 3e-4 * float(stat[1]), 5e-5 * float(stat[1])


def fingerprint(image):
    _, _, rows, cols = image.shape
    here = image[0]
    return [here.double().sum(), here[0, 0, 0], here[2, -1, -1], here[1, rows // 2, cols // 2]]


@pytest.mark.parametrize("case", [
    "kitti_grd", "kitti_sat", "vigor_sat", "square518", pytest.param("vigor_grd", marks=pytest.mark.slow)
])  # fmt: skip
def test_numbers_of_the_original(case, small, formula, parity):
    recorded = parity("dinov2_vits14")
    image = formula.image(f"image/{case}", *IMAGES.get(case, (518, 518)))
    assert [float(value) for value in fingerprint(image)] == pytest.approx(
        recorded[f"{case}/image_fingerprint"].tolist(), rel=1e-9, abs=2e-7
    )
    every_stage(small, recorded, case, image)


@pytest.mark.parametrize(("place", "antialias"), [(0, False), (2, True)])
def test_the_wrong_interpolations_are_off_by_what_was_recorded(place, antialias, small, formula, parity, monkeypatch):
    recorded, image = parity("dinov2_vits14"), formula.image("image/kitti_sat", 504, 504)

    def wrong(rows, cols):
        grid = small.pos_embed[:, 1:].reshape(1, 37, 37, -1).permute(0, 3, 1, 2)
        how = {"scale_factor": (36.1 / 37, 36.1 / 37)} if antialias else {"size": (rows, cols)}
        grid = torch.nn.functional.interpolate(grid, mode="bicubic", antialias=antialias, **how)
        return torch.cat([small.pos_embed[:, :1], grid.flatten(2).transpose(1, 2)], 1)

    monkeypatch.setattr(small, "positions", wrong)
    with torch.no_grad():
        tokens = small(image).flatten(2).transpose(1, 2)
    off = recorded.deviation("kitti_sat/x_norm_patchtokens", tokens)
    expected = recorded["kitti_sat/negative_control"][place : place + 2]
    assert off[1] == pytest.approx(expected[1], rel=0.1)
    assert 0.3 * expected[0] < off[0] <= 1.01 * expected[0]  # the largest of a sample


@pytest.mark.slow
@pytest.mark.parametrize("case", ["kitti_grd", "kitti_sat", "vigor_sat"])
def test_numbers_of_the_original_large(case, formula, parity):
    every_stage(make(formula, "vitl14"), parity("dinov2_vitl14"), case, formula.image(f"image/{case}", *IMAGES[case]))


@pytest.mark.parametrize("name", ["dinov2_vits14", "dinov2_vitl14", "fg2_kitti", "fg2_vigor"])
def test_formula_weights_are_those_that_were_used(name, formula, parity):
    recorded = parity("weights_fingerprint")
    for row, key in enumerate(recorded[f"{name}/keys"]):
        if name.endswith("vitl14") and row % 9:
            continue  # every ninth is proof enough of one formula
        shape = tuple(size for size in recorded[f"{name}/shapes"][row].tolist() if size >= 0)
        value = formula.weight(str(key), shape).flatten()
        assert float(value[0]) == recorded[f"{name}/first"][row], key
        assert float(value[-1]) == recorded[f"{name}/last"][row], key
        wide = value.double()
        assert float(wide.sum()) == pytest.approx(recorded[f"{name}/sum"][row], rel=1e-9, abs=1e-7), key
        assert float(wide.square().sum()) == pytest.approx(recorded[f"{name}/sumsq"][row], rel=1e-9), key


def test_keys_and_shapes_are_those_of_the_original(small, parity):
    recorded = parity("weights_fingerprint")
    shapes = [tuple(s for s in row if s >= 0) for row in recorded["dinov2_vits14/shapes"].tolist()]
    expected = dict(zip(map(str, recorded["dinov2_vits14/keys"]), shapes, strict=True))
    assert {key: tuple(value.shape) for key, value in small.state_dict().items()} == expected


def test_parameters_of_the_published_size():
    with torch.device("meta"):
        assert sum(value.numel() for value in dinov2.create("vitl14").parameters()) == 304_368_640


def test_golden_numbers(small, formula):
    with torch.no_grad():
        tokens = small(formula.image("golden", 42, 70))
    expected = torch.tensor(GOLDEN)
    torch.testing.assert_close(tokens[0, :4, 1, 2], expected, atol=1e-4, rtol=0)


GOLDEN = [1.26437, 0.4955, -1.07114, -0.03272]


def hugging_face(tensors):
    """Rename as the other published form of the same weights."""
    renamed = {}
    for key, value in tensors.items():
        if ".attn.qkv." in key:
            for part, piece in zip(("query", "key", "value"), value.chunk(3), strict=True):
                name = key.replace("blocks.", "encoder.layer.").replace(".attn.qkv.", f".attention.attention.{part}.")
                renamed[name] = piece
            continue
        name = key.replace("blocks.", "encoder.layer.").replace(".attn.proj.", ".attention.output.dense.")
        name = name.replace(".ls1.gamma", ".layer_scale1.lambda1").replace(".ls2.gamma", ".layer_scale2.lambda1")
        if not name.startswith("encoder."):
            name = name.replace("norm.", "layernorm.").replace("pos_embed", "position_embeddings")
            name = name.replace("patch_embed.proj", "patch_embeddings.projection")
            name = name if name.startswith("layernorm") else f"embeddings.{name}"
        renamed[name] = value
    return renamed


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("name", ["vits14", "vits14_reg"])
def test_weights_in_both_key_schemes(name, suffix, formula, tmp_path):
    model = make(formula, name)
    state = model.state_dict()
    for scheme, tensors in (("original", dict(state)), ("other", hugging_face(state))):
        path = tmp_path / f"{scheme}{suffix}"
        if suffix == ".pth":
            torch.save(tensors, path)
        else:
            weights.write_tensors(path, tensors)
        loaded = dinov2.load(name, path).state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in state.items())


def test_a_missing_and_a_wrong_key_are_named(small, tmp_path):
    state = dict(small.state_dict())
    del state["blocks.3.mlp.fc1.bias"]
    torch.save(state, tmp_path / "short.pth")
    with pytest.raises(ModelError, match=r"missing: blocks\.3\.mlp\.fc1\.bias"):
        dinov2.load("vits14", tmp_path / "short.pth")
    torch.save({**small.state_dict(), "norm.weight": torch.ones(5)}, tmp_path / "wrong.pth")
    with pytest.raises(ModelError, match=r"norm\.weight is \(5,\), \(384,\) is required"):
        dinov2.load("vits14", tmp_path / "wrong.pth")
    other = hugging_face(small.state_dict())
    del other["encoder.layer.2.attention.attention.key.weight"]
    torch.save(other, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=r"missing: blocks\.2\.attn\.qkv\.weight"):
        dinov2.load("vits14", tmp_path / "other.pth")
    with pytest.raises(ModelError, match="vits15"):
        dinov2.create("vits15")


def test_registers_take_part_and_are_dropped(formula):
    model = make(formula, "vits14_reg")
    image = formula.image("golden", 42, 70)
    with torch.no_grad():
        assert model.tokens_in(image).shape == (1, 1 + 4 + 15, 384)
        before = model(image)
        model.register_tokens += formula.normal("registers", (1, 4, 384))
        assert before.shape == (1, 384, 3, 5)
        assert float((model(image) - before).abs().max()) > 1e-3


def test_attention_is_fused(small, formula):
    """No matrix of all tokens by all tokens is made."""
    with torch.no_grad(), torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        small(formula.image("golden", 42, 70))
    names = {event.key for event in profile.key_averages()}
    assert any("flash_attention" in name or "efficient_attention" in name for name in names)
    assert not any("_scaled_dot_product_attention_math" in name for name in names)


def test_what_exceeds_whole_patches_is_cut_off(small, formula):
    image = formula.image("golden", 50, 80)
    with torch.no_grad():
        torch.testing.assert_close(small(image), small(image[:, :, :42, :70]))


def test_frozen_backbone_is_no_part_of_the_matcher(small):
    frozen = backbone.FrozenBackbone(small)
    assert not frozen.state_dict()
    assert not list(frozen.parameters())
    assert not frozen(torch.rand(1, 3, 28, 28, requires_grad=True)).requires_grad
    plain = frozen(torch.full((1, 3, 28, 28), 0.5))
    normal = backbone.FrozenBackbone(small, normalise=True)(torch.full((1, 3, 28, 28), 0.5))
    assert float((plain - normal).abs().max()) > 1e-2


def test_small_backbone_learns():
    net = backbone.ConvBackbone(16, patch=4)
    tokens = net(torch.rand(2, 3, 33, 20))
    assert tokens.shape == (2, 16, 8, 5)
    tokens.square().sum().backward()
    assert all(value.grad is not None and bool(value.grad.abs().sum() > 0) for value in net.parameters())
    with pytest.raises(ValueError, match="power of two"):
        backbone.ConvBackbone(16, patch=14)
