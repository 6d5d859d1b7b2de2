# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The configuration tree: what it refuses, and what it says then."""

from __future__ import annotations

from pathlib import Path

import pytest

from cvloc_ros import config
from cvloc_ros.config import Config
from cvloc_ros.errors import ConfigError


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"search": {"radius_min": 3.0}}, "search.radius_min: unknown key; did you mean search.radius_min_m?"),
        ({"serch": {"radius_min_m": 3.0}}, "serch: unknown key; did you mean search?"),
        ({"cameras": {"front": {"mountng": []}}}, "did you mean cameras.front.mounting?"),
        ({"search": {"radius_min_m": -3.0}}, "search.radius_min_m = -3.0: Input should be greater than 0"),
        ({"search": {"radius_min_m": "wide"}}, "search.radius_min_m = 'wide'"),
        ({"matcher": {"device": "tpu"}}, "matcher.device = 'tpu'"),
        ({"camera_names": []}, "camera_names = []"),
        ({"camera_names": 3}, "camera_names = 3"),
        ({"camera_names": [3]}, "camera_names.0 = 3"),
        ({"cameras": 3}, "cameras = 3"),
        ({"cameras": {"front": 3}}, "cameras.front = 3"),
        ({"search": 3}, "search = 3"),
    ],
)
def test_refused_with_key_value_and_remedy(tree: dict, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config.merge(Config(), tree)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"geo": {"datum": [98.0, 2.0, 0.0]}}, "geo: datum [98.0, 2.0, 0.0] must be [latitude_deg, longitude_deg"),
        ({"search": {"radius_min_m": 90.0}}, "search: the smallest window (radius_min_m 90.0"),
        ({"matcher": {"keyframes_min": 9}}, "matcher: keyframes_min 9 exceeds keyframes 5"),
    ],
)
def test_contradiction_is_told_without_the_whole_section(tree: dict, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config.merge(Config(), tree)
    assert str(refused.value).startswith(told)
    assert "{" not in str(refused.value)


def test_naming_other_cameras_lets_the_default_one_go() -> None:
    made = config.merge(Config(), {"camera_names": ["front"]})
    assert list(made.cameras) == ["front"]


def test_section_of_a_camera_that_is_not_named_is_refused() -> None:
    with pytest.raises(ConfigError, match="rear"):
        config.merge(Config(), {"camera_names": ["front"], "cameras": {"rear": {}}})


@pytest.mark.parametrize("text", ["- a list\n", "a: [1,\n", "\x00"])
def test_file_that_is_no_tree_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        config.load(path)


def test_bare_and_ros_form_are_the_same(tmp_path: Path) -> None:
    bare, ros = tmp_path / "bare.yaml", tmp_path / "ros.yaml"
    bare.write_text("search: {radius_min_m: 4.0}\n", encoding="utf-8")
    ros.write_text("/**: {ros__parameters: {search: {radius_min_m: 4.0}}}\n", encoding="utf-8")
    assert config.load(bare) == config.load(ros)
    assert config.load(bare).search.radius_min_m == 4.0
