# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""FG² in published mode against numbers recorded from the original program with formula weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cvloc_ros.matching.fg2.checkpoint import from_published, published_key
from cvloc_ros.matching.fg2.network import Fg2Network, GroundTokens
from cvloc_ros.matching.fg2.projection import inside, panorama_reference, pinhole_reference
from cvloc_ros.matching.fg2.settings import VARIANTS
from cvloc_ros.matching.layers import dinov2
from cvloc_ros.matching.layers.pose import procrustes
from cvloc_ros.matching.layers.sampling import matches_at

SETS = {"kitti": ((26, 88), (36, 36)), "vigor": ((51, 102), (45, 45))}


@pytest.fixture(scope="module", params=["kitti", "vigor"])
def case(request):
    return request.param


@pytest.fixture(scope="module")
def network(case, formula):
    network = Fg2Network(VARIANTS["kitti" if case == "kitti" else "vigor_known"]).eval()
    shapes = {published_key(key): value.shape for key, value in network.state_dict().items()}
    from_published(network, formula.weights(shapes), "formula")
    return network


def reference(network, case, recorded):
    volume = network.settings.volume()
    if case == "vigor":
        return panorama_reference(volume)[None]
    return pinhole_reference(volume, torch.from_numpy(recorded["camera_k"]), network.settings.ground_size)


def tokens(case, formula):
    grd, sat = SETS[case]
    return formula.normal(f"fg2_{case}/grd", (2, 1024, *grd)), formula.normal(f"fg2_{case}/sat", (2, 1024, *sat))


def test_keys_and_sizes_are_the_published_ones(network, case, parity):
    recorded = parity("weights_fingerprint")
    names = [published_key(key) for key in network.state_dict()]
    assert sorted(names) == sorted(map(str, recorded["fg2_kitti/keys"]))
    shapes = dict(zip(map(str, recorded["fg2_kitti/keys"]), recorded["fg2_kitti/shapes"].tolist(), strict=True))
    for key, value in network.state_dict().items():
        if key != "queries" or case == "kitti":
            assert list(value.shape) == [size for size in shapes[published_key(key)] if size >= 0]


def test_reference_points(network, case, parity):
    recorded = parity(f"fg2_{case}")
    found = reference(network, case, recorded)
    for axis, name in enumerate(("ref_u", "ref_v")):
        index = torch.from_numpy(recorded[f"{name}/idx"]).long()
        value = torch.from_numpy(recorded[f"{name}/val"])
        ours = found[..., axis].reshape(-1)[index]
        real = value.abs() < 1e3
        torch.testing.assert_close(ours[real], value[real], atol=2e-5, rtol=2e-6)
    if case == "kitti":
        assert torch.equal(inside(found).any(2), torch.from_numpy(recorded["b2/keep"]))


def test_every_stage_of_the_network(network, case, formula, parity):
    recorded = parity(f"fg2_{case}")
    grd, sat = tokens(case, formula)
    where = reference(network, case, recorded)
    seen = []
    for step in network.rounds:
        step.norm1.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        step.norm2.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        step.norm3.register_forward_hook(lambda _, __, out: seen.append(out))
    for projector in (network.ground_projector, network.aerial_projector):
        projector.blocks[2].register_forward_hook(lambda _, __, out: seen.append(out))
        projector.attention[2].register_forward_hook(lambda _, __, out: seen.append(out))
    with torch.no_grad():
        ground = network.encode_ground([GroundTokens(grd, where, inside(where))])
        aerial = network.encode_aerial(sat)
        scores, probability = network.match(aerial, ground)
    for number in range(6):
        for name in ("self", "cross", "out"):
            recorded.agree(f"b2/round{number + 1}/{name}", seen.pop(0), 6e-4, 7e-5)
    for name in ("grd", "sat"):
        recorded.agree(f"b2/{name}_projector/after_resblock3", seen.pop(0), 4e-3, 5e-4)
        attended = seen.pop(0)
        rows = network.settings.ground_rows() if name == "grd" else 41
        attended = attended.transpose(1, 2).reshape(2, 128, rows, 41)
        recorded.agree(f"b2/{name}_projector/after_attention", attended, 4e-3, 5e-4)
    recorded.agree("b2/grd_desc", ground.descriptors, 7e-5, 1e-5)
    recorded.agree("b2/sat_desc", aerial, 7e-5, 1e-5)
    recorded.agree("b2/S", scores, 1e-3, 1e-4)
    recorded.agree("b2/P", probability, 2e-3, 2e-4, relative=True)
    noise = recorded["b2/round6/height_logits/err64"]  # its own: the scorer has six times the usual gain
    recorded.agree("b2/round6/height_logits", ground.logits, 10 * noise[0], 10 * noise[1])
    clear = torch.from_numpy(recorded["b2/height_gap"].astype(np.float32)) > 1e-3
    height = ground.share.argmax(2)
    assert torch.equal(height[clear], torch.from_numpy(recorded["b2/height_index"].astype(np.int64))[clear])
    total = torch.from_numpy(recorded["b2/P_sum"]).float()
    torch.testing.assert_close(probability.sum((1, 2)), total, rtol=1e-3, atol=0)
    for network_part in (*network.rounds, network.ground_projector, network.aerial_projector):
        for module in network_part.modules():
            module._forward_hooks.clear()
            module._forward_pre_hooks.clear()


def test_one_item_alone(network, case, formula, parity):
    recorded = parity(f"fg2_{case}")
    grd, sat = (part[:1] for part in tokens(case, formula))
    where = reference(network, case, recorded)[:1]
    with torch.no_grad():
        ground = network.encode_ground([GroundTokens(grd, where, inside(where))])
        scores, probability = network.match(network.encode_aerial(sat), ground)
    recorded.agree("b1/S", scores, 1e-3, 1e-4)
    recorded.agree("b1/P", probability, 2e-3, 2e-4, relative=True)


@pytest.mark.slow
def test_images_to_pose(network, case, formula, parity):
    recorded, matcher = parity(f"e2e_{case}"), parity(f"fg2_{case}")
    backbone = dinov2.create("vitl14").eval()
    backbone.load_state_dict(formula.weights({key: value.shape for key, value in backbone.state_dict().items()}))
    settings = network.settings
    where = reference(network, case, matcher)[:1]
    with torch.no_grad():
        grd = backbone(formula.image(f"image/{case}_grd", *settings.ground_size))
        sat = backbone(formula.image(f"image/{case}_sat", settings.aerial_size, settings.aerial_size))
        ground = network.encode_ground([GroundTokens(grd, where, inside(where))])
        scores, probability = network.match(network.encode_aerial(sat), ground)
    recorded.agree("grd_feature", grd, 3e-4, 5e-5)
    recorded.agree("sat_feature", sat, 3e-4, 5e-5)
    recorded.agree("S", scores, 1e-3, 1e-4)
    recorded.agree("P", probability, 2e-3, 2e-4, relative=True)
    pairs = matches_at(probability, torch.from_numpy(recorded["pose/sample_idx"]).long()[None])
    found = procrustes(settings.aerial_points()[pairs.aerial], settings.ground_points()[pairs.ground], pairs.weight)
    torch.testing.assert_close(found.rotation[0], torch.from_numpy(recorded["pose/R"]), atol=2e-4, rtol=0)
    torch.testing.assert_close(found.translation[0], torch.from_numpy(recorded["pose/t"])[0], atol=2e-3, rtol=0)


def test_metric_grids(parity):
    recorded = parity("pose_fg2")
    for variant, points, name in (
        ("vigor_known", "aerial_points", "vigor_71_41"),
        ("kitti", "aerial_points", "kitti_99_41"),
        ("kitti", "ground_points", "kitti_99_41_front"),
    ):
        ours = getattr(VARIANTS[variant], points)()
        torch.testing.assert_close(ours, torch.from_numpy(recorded[f"grid/{name}"]), atol=1e-5, rtol=0)


