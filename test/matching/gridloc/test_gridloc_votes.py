# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""GridLoc whose attention votes: places on the road, votes for the class of the truth, learning, weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cvloc_ros.config import Matching
from cvloc_ros.errors import ImageError, ModelError
from cvloc_ros.imaging.models import Equirectangular, Fisheye, Pinhole
from cvloc_ros.matching.gridloc.loss import loss
from cvloc_ros.matching.gridloc.matcher import GridLocMatcher
from cvloc_ros.matching.gridloc.model import Model, open_model, save
from cvloc_ros.matching.gridloc.settings import GridLocSettings
from cvloc_ros.matching.gridloc.sight import TOKEN_PX, road_places, visible_part
from cvloc_ros.matching.gridloc.votes import VotingNetwork, crowd, thinned
from cvloc_ros.types import AerialPatch, CameraModel, GroundView, Pose2, SearchWindow

VOTE = {"fuse": "vote", "plain": False, "depth": 1, "heads": 4, "yaw_bins": 9, "yaw_half_rad": 0.5, "backbone": "fine",
        "ground_size": (96, 192)}  # fmt: skip
CAMERAS: dict[str, CameraModel] = {
    "pinhole": Pinhole(320, 160, 160.0, 150.0, 158.0, 81.0),
    "fisheye": Fisheye(320, 240, 110.0, 110.0, 160.0, 119.0, (0.03, -0.01, 0.0, 0.0)),
    "panorama": Equirectangular(720, 360),
}


def mounted(yaw: float, pitch: float) -> np.ndarray:
    T = np.eye(4)
    optical = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    turn = cv2.Rodrigues(np.array([0.0, 0.0, yaw]))[0] @ cv2.Rodrigues(np.array([0.0, pitch, 0.0]))[0]
    T[:3, :3], T[:3, 3] = turn @ optical, (1.2, -0.3, 1.6)
    return T


@pytest.mark.parametrize("panorama", [False, True])
@pytest.mark.parametrize("kind", list(CAMERAS))
def test_a_spot_on_the_road_is_where_its_token_says(
    kind: str, panorama: bool, small: Callable[..., GridLocSettings]
) -> None:
    settings, camera = small(**VOTE, panorama=panorama), CAMERAS[kind]
    T = mounted(0.7, 0.1)
    for ahead, right in ((6.0, 1.5), (9.0, -2.0), (7.0, 0.0)):
        c, s = math.cos(0.7), math.sin(0.7)
        spot = np.array([1.2 + c * ahead + s * right, -0.3 + s * ahead - c * right, 0.0, 1.0])
        uv, inside = camera.project((np.linalg.inv(T) @ spot)[:3])
        assert bool(inside)
        rgb = np.zeros((camera.height, camera.width, 3), np.uint8)
        cv2.circle(rgb, (round(float(uv[0])), round(float(uv[1]))), 3, (255, 255, 255), -1)
        view = GroundView("front", rgb, camera, T, 9)
        rows, cols = (side // TOKEN_PX for side in settings.ground_size)
        shown = cv2.resize(visible_part(view, settings), (cols, rows), interpolation=cv2.INTER_AREA)[..., 0]
        row, col = np.unravel_index(int(shown.argmax()), shown.shape)
        places = road_places(view, settings).reshape(rows, cols, 2)
        around = places[row - 1 : row + 2, col - 1 : col + 2] - places[row, col]
        assert np.linalg.norm(places[row, col] - (ahead, right)) < np.nanmax(np.linalg.norm(around, axis=-1))


def test_the_sky_what_is_masked_and_what_is_far_votes_for_nothing(small: Callable[..., GridLocSettings]) -> None:
    camera = CAMERAS["pinhole"]
    rgb = np.zeros((160, 320, 3), np.uint8)
    T = mounted(0.0, 0.0)
    seen = [road_places(GroundView("front", rgb, camera, T, 9, valid=valid), small(**VOTE, sight_m=far))
            for valid, far in ((None, 30.0), (None, 10.0), (np.arange(320) < np.full((160, 1), 160), 30.0))]
    known = [np.isfinite(places[:, 0]).reshape(24, 48) for places in seen]
    assert not known[0][:13].any()
    assert known[0][15:].all()
    assert np.nanmax(np.hypot(*seen[1].T)) < 10.0
    assert 0 < known[1].sum() < known[0].sum()
    assert known[2][:, :24].sum() == known[0][:, :24].sum()
    assert not known[2][:, 24:].any()


@pytest.mark.parametrize("cells", [8, 16])
def test_perfect_attention_votes_for_the_true_class(cells: int, small: Callable[..., GridLocSettings]) -> None:
    """Tokens that attend to the aerial places they truly see agree on the cell and heading of the camera."""
    keys, rng = 24, np.random.default_rng(3)
    settings = small(**{**VOTE, "cells": cells, "keys": keys, "width": keys**2, "yaw_half_rad": 0.9})
    network = VotingNetwork(settings).eval()
    place = settings.extent_m / keys
    for _ in range(12):
        truth, heading = rng.uniform(-12, 12, 2), float(rng.uniform(-0.85, 0.85))  # down, right; clockwise from up
        where = rng.uniform((2, -12), (24, 12), (150, 2))
        c, s = math.cos(heading), math.sin(heading)
        lies = truth + where @ np.array([[-c, s], [s, c]])  # ahead is up, turned clockwise; right is right
        at = np.arange(keys) * place - settings.extent_m / 2 + place / 2
        near = np.exp(-0.5 * ((lies[:, :, None] - at) / place) ** 2)  # of rows and columns
        attend = (near[:, 0, :, None] * near[:, 1, None, :]).reshape(len(lies), -1)
        inside = (np.abs(lies) < settings.extent_m / 2).all(1)
        ground = 0.1 * np.log(attend + 1e-9)  # the temperature of the softmax is 0.1
        given = torch.from_numpy(np.where(inside[:, None], where, np.nan))[None]
        head = network.locate(torch.eye(keys**2)[None], torch.from_numpy(ground).float()[None], given)
        labels = settings.grid.encode(torch.from_numpy(truth)[None], torch.tensor([heading]))
        cell, which = divmod(int(head.logits[0].argmax()), settings.yaw_bins)
        found, turned = settings.grid.decode(
            torch.tensor([cell]), torch.zeros(1, 2), torch.tensor([which]), torch.zeros(1)
        )  # fmt: skip
        assert np.abs(found[0].numpy() - truth).max() < 0.75 * settings.grid.cell_m
        assert abs(float(turned[0]) - heading) < 0.8 * settings.grid.bin_rad
        assert bool(labels.inside)


def test_a_view_without_road_prefers_no_place(model: Callable[..., Model]) -> None:
    made = model(**VOTE)
    made.train(mode=False)
    head = made.locate(torch.rand(1, 3, 96, 192), torch.rand(1, 3, 128, 128), None)
    assert torch.isfinite(head.logits).all()
    votes = made.network._votes(torch.rand(1, 784, 32), torch.rand(1, 5, 32), torch.full((1, 5, 2), torch.nan))  # type: ignore[union-attr]
    assert float(votes.detach().abs().max()) == 0.0


def test_tokens_of_one_square_of_the_road_share_its_weight() -> None:
    where = torch.tensor([[[3.0, 0.5], [3.5, 0.6], [3.1, 1.9], [9.0, -4.0], [3.2, 0.7]]])
    known = torch.tensor([[True, True, True, True, False]])
    assert crowd(where, known)[0].tolist() == [3.0, 3.0, 3.0, 1.0, 3.0]


def test_votes_learn_a_handful_of_scenes(model: Callable[..., Model]) -> None:
    """The loss of few scenes falls to next to nothing, with all tokens and with drawn ones."""
    made = model(**VOTE, cells=4, keys=8)
    made.train()
    torch.manual_seed(1)
    network: VotingNetwork = made.network  # type: ignore[assignment]
    network.most = 60
    ground, aerial = torch.rand(3, 3, 96, 192), torch.rand(3, 3, 128, 128)
    where = torch.rand(3, 24 * 48, 2) * 20
    where[:, ::2] = torch.nan
    labels = made.network.settings.grid.encode(torch.tensor([[-8.0, 8.0], [8.0, -8.0], [8.0, 8.0]]), torch.zeros(3))
    optimiser = torch.optim.Adam(made.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        found = loss(made.locate(ground, aerial, where), labels, made.network.settings).total.mean()
        found.backward()
        optimiser.step()
        losses.append(float(found.detach()))
    assert losses[-1] < 0.4 * losses[0], losses


def test_weights_of_a_voting_model_come_back(model: Callable[..., Model], tmp_path: Path) -> None:
    made = model(**VOTE)
    made.train(mode=False)
    save(made, tmp_path / "votes.safetensors")
    again = open_model(tmp_path / "votes.safetensors", torch.device("cpu"))
    assert again.network.settings == made.network.settings
    inputs = (torch.rand(1, 3, 96, 192), torch.rand(1, 3, 128, 128), torch.rand(1, 24 * 48, 2) * 20)
    torch.testing.assert_close(again.locate(*inputs).logits, made.locate(*inputs).logits)


def test_of_a_crowd_of_tokens_some_vote_and_of_lonely_ones_all() -> None:
    rng = np.random.default_rng(2)
    near, far = rng.uniform(0, 1.9, (900, 2)), np.stack([np.arange(5, 45, 2.0), np.full(20, 9.0)], 1)
    where = torch.from_numpy(np.concatenate([near, far, np.full((80, 2), np.nan)]))[None].float()
    known = torch.isfinite(where).all(2)
    use = thinned(where, known, 60)[0]
    assert len(use) <= 61
    assert set(range(900, 920)) <= set(use.tolist())
    assert bool(known[0][use].all())
    assert thinned(where, known, 5000).shape == (1, 920)


def test_tokens_of_an_image_that_comes_again_are_kept(
    model: Callable[..., Model], patch: AerialPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = model(**VOTE, align="heading")
    made.train(mode=False)
    matcher = GridLocMatcher(Matching(name="gridloc"), torch.device("cpu"), model=made)
    camera, rng = CAMERAS["pinhole"], np.random.default_rng(0)
    views = [GroundView("front", rng.integers(0, 255, (160, 320, 3), np.uint8), camera, mounted(0.0, 0.1), stamp)
             for stamp in (5, 9)]  # fmt: skip
    asked: list[int] = []
    encode = made.network.encode_ground
    monkeypatch.setattr(made.network, "encode_ground", lambda tokens: (asked.append(1), encode(tokens))[1])
    code, window = matcher.encode_aerial(patch), SearchWindow(Pose2(5e5, 5e6, 0.3), 8.0, 0.3)
    first = matcher.match(views, code, window)
    again = matcher.match(views, code, window)
    assert len(asked) == 2
    torch.testing.assert_close(first.log_likelihood, again.log_likelihood)
    other = [views[0], replace(views[1], T_base_camera=mounted(0.1, 0.1))]
    assert not torch.equal(matcher.match(other, code, window).log_likelihood, first.log_likelihood)
    assert len(asked) == 3
    half = np.arange(320) < np.full((160, 1), 160)
    masked = [views[0], replace(views[1], valid=half)]
    assert not torch.equal(matcher.match(masked, code, window).log_likelihood, first.log_likelihood)
    assert len(asked) == 4, "a mask that is new counts, though the image is not"


def test_what_cannot_vote_is_refused(small: Callable[..., GridLocSettings]) -> None:
    with pytest.raises(ModelError, match="votes need plain: false, backbone: fine"):
        small(**{**VOTE, "backbone": "pyramid"})
    under = mounted(0.0, 0.0)
    under[2, 3] = -0.2
    with pytest.raises(ImageError, match="above the ground"):
        road_places(GroundView("front", np.zeros((160, 320, 3), np.uint8), CAMERAS["pinhole"], under, 9), small(**VOTE))
