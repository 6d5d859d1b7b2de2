# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parameter file and table say what the configuration tree says."""

from __future__ import annotations

from pathlib import Path

from cvloc_ros import config, reference
from cvloc_ros.types import Status

ROOT = Path(__file__).parents[1]


def test_shipped_parameter_file_is_in_step_with_the_tree():
    shipped = (ROOT / "config" / "cvloc.yaml").read_text(encoding="utf-8")
    assert shipped == reference.render_yaml(), "run: cvloc params > config/cvloc.yaml"


def test_shipped_parameter_file_holds_the_defaults():
    assert config.load(ROOT / "config" / "cvloc.yaml") == config.Config()


def test_every_key_is_described():
    for key in reference.parameters():
        assert key.text.endswith("."), key.name
        assert key.kind in {"bool", "int", "float", "str", "list[float]", "list[int]", "list[str]"}, key.name


def test_camera_names_come_first_and_cameras_are_repeated():
    names = [key.name for key in reference.parameters(["left", "right"])]
    assert names[0] == "camera_names"
    assert {"cameras.left.image_topic", "cameras.right.image_topic"} < set(names)


def test_bounds_are_shown_as_they_are_checked():
    keys = {key.name: key for key in reference.parameters()}
    assert keys["output.tf_rate_hz"].range_text == "> 0, <= 200"
    assert keys["output.tf_mode"].range_text == "none | map_to_odom | map_to_base_link"
    assert keys["frames.map"].range_text == ""


def test_two_cameras_render_to_a_file_that_loads(tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text(reference.render_yaml(["left", "right"]), encoding="utf-8")
    assert config.load(path).camera_names == ["left", "right"]


def test_table_has_one_row_for_each_key():
    rows = reference.render_markdown().splitlines()
    assert len(rows) == 2 + len(list(reference.parameters()))
    assert all(row.replace("\\|", "").count("|") == 7 for row in rows)


def test_readme_has_the_table_of_parameters():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.split("<!-- parameters: begin -->\n")[1].split("<!-- parameters: end -->")[0]
    assert shown == reference.render_markdown(), "put the output of `cvloc params --style markdown` between the marks"


def test_readme_explains_every_status():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [status.value for status in Status if f"`{status.value}`" not in readme] == []
