# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The launch files under the real launch packages; skipped where ROS 2 comes from wheels, which lack them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("launch.actions", reason="the package launch is not installed (no ROS 2 distribution)")
pytest.importorskip("launch_ros.actions", reason="the package launch_ros is not installed (no ROS 2 distribution)")

ROOT = Path(__file__).resolve().parents[2]
EMPTY = {
    "camera": "camera", "image_topic": "", "camera_info_topic": "", "image_transport": "", "depth_topic": "",
    "fix_topic": "", "odom_topic": "", "imu_topic": "", "heading_topic": "", "filter_topic": "", "map": "",
    "datum": "", "tf_mode": "", "device": "", "autostart": "", "use_sim_time": "false", "bag": "",
}  # fmt: skip


def load(name: str) -> ModuleType:
    spec = spec_from_file_location(name.replace(".", "_"), ROOT / "launch" / name)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cvloc_launch() -> ModuleType:
    return load("cvloc.launch.py")


def walk(entities: list[Any], context: Any) -> Iterator[Any]:
    for entity in entities:
        yield entity
        if type(entity).__name__ != "ExecuteProcess" and type(entity).__name__ != "Node":
            yield from walk(entity.visit(context) or [], context)


@pytest.mark.parametrize("name", ["cvloc.launch.py", "cvloc_ekf.launch.py", "replay.launch.py"])
def test_arguments_are_described_also_those_of_included_files(name: str) -> None:
    arguments = load(name).generate_launch_description().get_launch_arguments()
    assert {"map", "params_file", "use_sim_time"} <= {argument.name for argument in arguments}
    for argument in arguments:
        assert argument.description
        assert argument.description != "no description given"


def test_empty_arguments_leave_the_file_alone(cvloc_launch: ModuleType) -> None:
    assert cvloc_launch.overrides(EMPTY) == {"use_sim_time": False}


def test_given_arguments_become_parameters(cvloc_launch: ModuleType) -> None:
    given = {
        **EMPTY, "camera": "front", "image_topic": "/front/image", "odom_topic": "none", "map": "a.mbtiles",
        "datum": "48.85, 2.35", "tf_mode": "map_to_odom", "use_sim_time": "true", "autostart": "false",
    }  # fmt: skip
    assert cvloc_launch.overrides(given) == {
        "cameras.front.image_topic": "/front/image",
        "inputs.odom_topic": "",
        "tiles.source": "a.mbtiles",
        "geo.datum": [48.85, 2.35, 0.0],
        "output.tf_mode": "map_to_odom",
        "use_sim_time": True,
        "autostart": False,
    }


@pytest.mark.parametrize("text", ["48", "a,b,c", "1,2,3,4"])
def test_malformed_datum_is_refused(cvloc_launch: ModuleType, text: str) -> None:
    with pytest.raises(ValueError, match="datum"):
        cvloc_launch.parse_datum(text)


def test_a_bag_brings_its_clock(cvloc_launch: ModuleType) -> None:
    assert cvloc_launch.overrides({**EMPTY, "bag": "drive/bag"})["use_sim_time"] is True


def command(process: Any, context: Any) -> list[str]:
    return ["".join(part.perform(context) for part in word) for word in process.cmd]


def processes(name: str, **arguments: str) -> tuple[list[Any], Any]:
    from launch import LaunchContext
    from launch.actions import ExecuteProcess

    context = LaunchContext()
    context.launch_configurations.update(arguments)
    entities = list(walk([load(name).generate_launch_description()], context))
    return [entity for entity in entities if isinstance(entity, ExecuteProcess)], context


def test_replay_gives_clock_and_sim_time_together() -> None:
    made, context = processes("replay.launch.py", bag="drive/bag", rviz="false", bag_rate="0.5", bag_loop="true")
    player = command(made[-1], context)
    assert player[:4] == ["ros2", "bag", "play", "drive/bag"]
    assert player[player.index("--rate") + 1] == "0.5"
    assert {"--clock", "--loop"} <= set(player)
    assert context.launch_configurations["fastdds"] == "true"


def test_without_a_bag_nothing_is_played() -> None:
    made, _ = processes("cvloc.launch.py")
    assert not [process for process in made if type(process).__name__ == "ExecuteProcess"]


def test_bag_follows_the_transforms_into_the_namespace() -> None:
    made, context = processes("replay.launch.py", bag="b", rviz="false", namespace="/car", namespaced_tf="true")
    assert {"/tf:=/car/tf", "/tf_static:=/car/tf_static"} <= set(command(made[-1], context))


@pytest.fixture(scope="module")
def ekf_launch() -> ModuleType:
    return load("cvloc_ekf.launch.py")


def test_filters_take_the_settings_of_the_localizer_from_nested_and_dotted_files(
    ekf_launch: ModuleType, tmp_path: Path
) -> None:
    path = tmp_path / "car.yaml"
    path.write_text(
        "/**:\n  ros__parameters:\n    geo:\n      datum: [47.0, 8.0, 0.5]\n"
        "other:\n  ros__parameters:\n    frames.map: theirs\n"
        "/car/cvloc:\n  ros__parameters:\n    frames.map: world\n"
    )
    known = ekf_launch.settings(str(path))
    assert known == {"geo.datum": [47.0, 8.0, 0.5], "frames.map": "world"}
    assert ekf_launch.datum_of({"datum": ""}, known) == [47.0, 8.0, 0.5]
    assert ekf_launch.datum_of({"datum": "1, 2"}, known) == [1.0, 2.0, 0.0]


def test_without_a_datum_gnss_is_not_fused_in_another_map(ekf_launch: ModuleType) -> None:
    with pytest.raises(ValueError, match="gnss:=false"):
        ekf_launch.datum_of({"datum": "", "params_file": "car.yaml"}, {})
