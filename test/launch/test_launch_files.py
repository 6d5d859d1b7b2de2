# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The launch files under the real launch packages; skipped where ROS 2 comes from wheels, which lack them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
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
    "camera": "camera", "image_topic": "", "camera_info_topic": "", "image_transport": "", "fix_topic": "",
    "odom_topic": "", "map": "", "datum": "", "tf_mode": "", "device": "", "autostart": "", "use_sim_time": "false",
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


@pytest.mark.parametrize("name", ["cvloc.launch.py", "replay.launch.py"])
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


def test_replay_gives_clock_and_sim_time_together() -> None:
    from launch import LaunchContext
    from launch.actions import ExecuteProcess

    context = LaunchContext()
    context.launch_configurations.update(bag="drive/bag", rviz="false")
    entities = list(walk([load("replay.launch.py").generate_launch_description()], context))
    processes = [entity for entity in entities if type(entity) is ExecuteProcess]
    command = ["".join(part.perform(context) for part in word) for word in processes[0].cmd]
    assert command[:4] == ["ros2", "bag", "play", "drive/bag"]
    assert "--clock" in command
    assert context.launch_configurations["use_sim_time"] == "true"


@pytest.mark.skipif(shutil.which("ros2") is None, reason="the command ros2 is not installed")
def test_node_starts_takes_overrides_and_stops_cleanly(tmp_path: Path) -> None:
    rclpy = pytest.importorskip("rclpy")
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix
    from rcl_interfaces.srv import GetParameters

    try:
        prefix = get_package_prefix("cvloc_ros")
    except (PackageNotFoundError, OSError):
        pytest.skip("cvloc_ros is not installed in this ROS 2 environment (colcon build)")
    if not Path(prefix, "lib/cvloc_ros/localizer").exists():
        pytest.skip(f"{prefix} holds the messages alone (colcon build installs the node)")
    output = (tmp_path / "output.txt").open("w+")
    process = subprocess.Popen(
        ["ros2", "launch", "cvloc_ros", "cvloc.launch.py", "namespace:=car", "autostart:=false", "tf_mode:=map_to_odom",
         "map:=/nowhere/1e3.mbtiles", "datum:=48.85,2.35,0.0"],
        stdout=output, stderr=subprocess.STDOUT, start_new_session=True, cwd=tmp_path,
    )  # fmt: skip
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("asking", context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    try:
        client = node.create_client(GetParameters, "/car/cvloc/get_parameters")
        while not client.wait_for_service(1.0):
            assert process.poll() is None, (tmp_path / "output.txt").read_text()
        names = ["output.tf_mode", "tiles.source", "geo.datum", "autostart"]
        future = client.call_async(GetParameters.Request(names=names))
        executor.add_node(node)
        executor.spin_until_future_complete(future, 20.0)
        mode, source, datum, autostart = future.result().values
        assert mode.string_value == "map_to_odom"
        assert source.string_value == "/nowhere/1e3.mbtiles"
        assert list(datum.double_array_value) == [48.85, 2.35, 0.0]
        assert autostart.bool_value is False
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGINT)
        process.wait(30)
        output.close()
    text = (tmp_path / "output.txt").read_text()
    assert "process has finished cleanly" in text, text
    assert "Traceback" not in text, text
