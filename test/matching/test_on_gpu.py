# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The same on a CUDA device: `make test TESTS='-m gpu'` where there is one; skipped elsewhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cvloc_ros.config import parse
from cvloc_ros.imaging.camera import Equirectangular
from cvloc_ros.matching.fg2 import model
from cvloc_ros.matching.fg2.checkpoint import from_published, published_key
from cvloc_ros.matching.fg2.matcher import Fg2Matcher
from cvloc_ros.matching.fg2.network import Fg2Network, GroundTokens
from cvloc_ros.matching.fg2.projection import inside, pinhole_reference
from cvloc_ros.matching.fg2.settings import VARIANTS, Fg2Settings
from cvloc_ros.matching.layers import dinov2
from cvloc_ros.matching.layers.backbone import FrozenBackbone, fast_dtype
from cvloc_ros.matching.layers.pose import RansacSettings, ransac
from cvloc_ros.types import AerialPatch, GroundView, Pose2, SearchWindow

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]
CUDA = torch.device("cuda")


@pytest.fixture(autouse=True)
def _exact_products():
    parts = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [part.allow_tf32 for part in parts]
    for part in parts:
        part.allow_tf32 = False
    yield
    for part, value in zip(parts, before, strict=True):
        part.allow_tf32 = value


def formula_network(formula):
    network = Fg2Network(VARIANTS["kitti"]).eval()
    shapes = {published_key(key): value.shape for key, value in network.state_dict().items()}
    from_published(network, formula.weights(shapes), "formula")
    return network


def test_stages_of_fg2_have_the_recorded_numbers(formula, parity):
    recorded, network = parity("fg2_kitti"), formula_network(formula).to(CUDA)
    where = pinhole_reference(network.settings.volume(), torch.from_numpy(recorded["camera_k"]), (364, 1232))[:1]
    grd, sat = (formula.normal(f"fg2_kitti/{name}", (2, 1024, *size))[:1].to(CUDA)
                for name, size in (("grd", (26, 88)), ("sat", (36, 36))))  # fmt: skip
    with torch.no_grad():
        ground = network.encode_ground([GroundTokens(grd, where.to(CUDA), inside(where).to(CUDA))])
        scores, probability = network.match(network.encode_aerial(sat), ground)
    recorded.agree("b1/S", scores.cpu(), 1e-3, 1e-4)
    recorded.agree("b1/P", probability.cpu(), 2e-3, 2e-4, relative=True)


@pytest.mark.slow
def test_half_precision_of_the_backbone_is_as_far_off_as_recorded(formula, parity):
    recorded, network = parity("e2e_kitti"), formula_network(formula).to(CUDA)
    K = torch.from_numpy(parity("fg2_kitti")["camera_k"])
    large = dinov2.create("vitl14")
    large.load_state_dict(formula.weights({key: value.shape for key, value in large.state_dict().items()}))
    assert fast_dtype(CUDA) == torch.float16
    tokens = FrozenBackbone(large.to(CUDA), dtype=fast_dtype(CUDA))
    where = pinhole_reference(network.settings.volume(), K, (364, 1232))[:1]
    with torch.no_grad():
        grd = tokens(formula.image("image/kitti_grd", 364, 1232).to(CUDA))
        sat = tokens(formula.image("image/kitti_sat", 504, 504).to(CUDA))
        ground = network.encode_ground([GroundTokens(grd, where.to(CUDA), inside(where).to(CUDA))])
        scores, probability = network.match(network.encode_aerial(sat), ground)
    assert recorded.deviation("grd_feature", grd.cpu())[1] < 0.012
    assert recorded.deviation("S", scores.cpu())[1] < 0.04
    assert recorded.deviation("P", probability.cpu(), relative=True)[1] < 0.07


def test_a_matcher_gives_the_same_matches_as_on_the_cpu():
    settings = Fg2Settings(
        extent_m=24.0, cells=12, height_min_m=0.0, height_max_m=2.0, heights=2, ground_size=(48, 96), aerial_size=48,
        backbone="conv", channels=32, widths=(32, 16), rounds=2, projector_layers=1,
    )  # fmt: skip
    config = parse({"matcher": {"name": "fg2", "fg2": {"matches": 12**4}}}).matcher
    rng = np.random.default_rng(0)
    T = np.eye(4)
    T[:3, :3], T[2, 3] = [[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]], 1.6
    view = GroundView("c", rng.integers(0, 255, (80, 160, 3), np.uint8), Equirectangular(160, 80), T, 7)
    rgb = rng.integers(0, 255, (400, 400, 3), np.uint8)
    map_from_px = np.array([[0.25, 0.0, -50.0], [0.0, -0.25, 50.0]])
    patch = AerialPatch(rgb, np.ones((400, 400), bool), 0.25, map_from_px, "", 1.0, ("gpu",))
    found = []
    for device in (torch.device("cpu"), CUDA):
        torch.manual_seed(0)
        made = model.create(settings, "", torch.device("cpu"))
        made = model.Model(made.network.to(device).eval(), made.backbone.to(device).eval())
        matcher = Fg2Matcher(config, device, models=(made, None))
        matches = matcher.match([view], matcher.encode_aerial(patch), SearchWindow(Pose2(1.0, 2.0, 0.3), 5.0, math.pi))
        order = np.lexsort((*matches.aerial.T, *matches.ground.T))
        found.append((matches.aerial[order], matches.weights[order]))
    np.testing.assert_allclose(found[1][0], found[0][0], atol=1e-4)
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-3, atol=1e-9)


def test_ransac_finds_the_shared_pose():
    draw = torch.Generator().manual_seed(3)
    ground = torch.rand(60, 2, generator=draw) * 60 - 30
    c, s = math.cos(2.5), math.sin(2.5)
    shift = torch.tensor([10.0, -4.0])
    aerial = ground @ torch.tensor([[c, -s], [s, c]]).T + shift
    probability = torch.rand(1, 60, 60, generator=draw) * 0.002 + torch.eye(60) * 0.05
    ends = (part.to(CUDA) for part in (probability, aerial, ground))
    found = ransac(*ends, RansacSettings(sets=4, trials=50, matches=200), to_aerial=True)
    torch.testing.assert_close(found.alignment.translation[0].cpu(), shift, atol=0.3, rtol=0)
