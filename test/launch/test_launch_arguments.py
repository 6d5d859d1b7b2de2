# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The launch files' arguments, read from the syntax trees: runs where ROS 2 comes from wheels, which lack launch."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from cvloc_ros import config

LAUNCH = Path(__file__).resolve().parents[2] / "launch"
FILES = sorted(path.name for path in LAUNCH.glob("*.py"))


def declared(name: str) -> dict[str, dict[str, ast.expr]]:
    """Argument -> its keywords in DeclareLaunchArgument."""
    tree = ast.parse((LAUNCH / name).read_text(encoding="utf-8"))
    calls = [
        node for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "DeclareLaunchArgument"
    ]  # fmt: skip
    return {ast.literal_eval(call.args[0]): {kw.arg or "": kw.value for kw in call.keywords} for call in calls}


def constant(name: str, variable: str) -> dict[str, str]:
    tree = ast.parse((LAUNCH / name).read_text(encoding="utf-8"))
    values = [node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == variable]
    return ast.literal_eval(values[0])


def test_there_are_the_three_launch_files() -> None:
    assert FILES == ["cvloc.launch.py", "cvloc_ekf.launch.py", "replay.launch.py"]


def test_an_integrator_finds_what_he_sets() -> None:
    wanted = {
        "namespace", "params_file", "image_topic", "camera_info_topic", "fix_topic", "odom_topic", "image_transport",
        "use_sim_time", "tf_mode", "device", "log_level", "respawn", "rviz", "foxglove", "bag", "bag_rate", "map",
        "datum", "imu_topic", "heading_topic", "autostart", "namespaced_tf",
    }  # fmt: skip
    assert wanted <= set(declared("cvloc.launch.py"))


@pytest.mark.parametrize("name", FILES)
def test_every_argument_is_described(name: str) -> None:
    for argument, keywords in declared(name).items():
        assert "description" in keywords, argument


@pytest.mark.parametrize("name", FILES)
def test_every_argument_but_the_bag_has_a_default(name: str) -> None:
    assert {argument for argument, keywords in declared(name).items() if "default_value" not in keywords} <= {"bag"}


@pytest.mark.parametrize("name", FILES)
def test_every_configuration_that_is_read_is_declared(name: str) -> None:
    tree = ast.parse((LAUNCH / name).read_text(encoding="utf-8"))
    read = {
        node.args[0].value for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "LaunchConfiguration"
        and isinstance(node.args[0], ast.Constant)
    }  # fmt: skip
    assert read <= set(declared(name)) | set(declared("cvloc.launch.py"))


def test_packages_that_are_started_are_dependencies_or_said_to_be_extra() -> None:
    manifest = (LAUNCH.parent / "package.xml").read_text(encoding="utf-8")
    for name in FILES:
        text = (LAUNCH / name).read_text(encoding="utf-8")
        for package in set(re.findall(r'package="(\w+)"|"package": "(\w+)"', text)):
            started = "".join(package)
            known = started == "cvloc_ros" or f"<exec_depend>{started}</exec_depend>" in manifest
            assert known or f"{started} (a package of its own)" in text, started


def test_arguments_set_parameters_that_exist() -> None:
    known = {key for key, _ in config.walk()}
    text = constant("cvloc.launch.py", "TEXT_PARAMETERS")
    camera = constant("cvloc.launch.py", "CAMERA_PARAMETERS")
    assert set(text.values()) | {f"cameras.<name>.{key}" for key in camera.values()} | {"geo.datum"} <= known
    assert (set(text) | set(camera)) <= set(declared("cvloc.launch.py"))


@pytest.mark.parametrize(
    ("argument", "key"),
    [("tf_mode", "output.tf_mode"), ("device", "matcher.device"), ("image_transport", "cameras.<name>.transport")],
)
def test_choices_are_those_of_the_parameter(argument: str, key: str) -> None:
    choices = ast.literal_eval(declared("cvloc.launch.py")[argument]["choices"])
    allowed = dict(config.walk())[key].annotation.__args__
    assert set(choices) == {"", *allowed}
