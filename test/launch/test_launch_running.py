# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The launch files run by the real launch packages: the localizer without matching, other packages' nodes stood for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("launch.actions", reason="the package launch is not installed (no ROS 2 distribution)")
pytest.importorskip("launch_ros.actions", reason="the package launch_ros is not installed (no ROS 2 distribution)")
rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed")

from rcl_interfaces.srv import GetParameters  # noqa: E402
from rclpy.parameter import parameter_value_to_python  # noqa: E402

HERE = Path(__file__).resolve().parent
LAUNCH = HERE.parents[1] / "launch"
EXECUTABLES = {
    "cvloc_ros/localizer": str(HERE.parent / "ros" / "fake_localizer.py"),
    "robot_localization/ekf_node": str(HERE / "any_node.py"),
    "robot_localization/navsat_transform_node": str(HERE / "any_node.py"),
    "rviz2/rviz2": str(HERE / "any_node.py"),
    "foxglove_bridge/foxglove_bridge": str(HERE / "any_node.py"),
}
NOTHING = ("autostart:=false", "map:=/nowhere/1e3.mbtiles")
"""A localizer that is not configured: what reaches it is the question here, not what it does."""


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an installation in which launch finds the executables."""
    root = tmp_path_factory.mktemp("prefix")
    for name, command in EXECUTABLES.items():
        package, executable = name.split("/")
        marker = root / "share/ament_index/resource_index/packages" / package
        script = root / "lib" / package / executable
        for path in (marker, script):
            path.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {command} "$@"\n')
        script.chmod(0o755)
    return root


class Running:
    """A launch file under way, and a node that asks the others for their parameters."""

    def __init__(self, prefix: Path, folder: Path, name: str, *arguments: str) -> None:
        self.log = folder / "output.txt"
        environment = dict(os.environ, AMENT_PREFIX_PATH=f"{prefix}:{os.environ.get('AMENT_PREFIX_PATH', '')}")
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "run_launch.py"), str(LAUNCH / name), *arguments],
            stdout=self.log.open("w"), stderr=subprocess.STDOUT, env=environment, cwd=folder, start_new_session=True,
        )  # fmt: skip
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("asking", context=self.context)
        self.executor = rclpy.executors.SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)

    def ask(self, node: str, *names: str) -> list[Any]:
        """Return the values of parameters of a node, once it is there."""
        client = self.node.create_client(GetParameters, f"{node}/get_parameters")
        for _ in range(60):
            if client.wait_for_service(1.0):
                break
            assert self.process.poll() is None, self.log.read_text()
        future = client.call_async(GetParameters.Request(names=list(names)))
        self.executor.spin_until_future_complete(future, 20.0)
        assert future.done(), f"{node} does not answer\n{self.log.read_text()}"
        return [parameter_value_to_python(value) for value in future.result().values]

    def has(self, kind: str, topic: str) -> bool:
        """Tell whether somebody publishes or reads a topic, within a while."""
        count = {"publisher": self.node.count_publishers, "reader": self.node.count_subscribers}[kind]
        for _ in range(100):
            if count(topic):
                return True
            self.executor.spin_once(0.1)
        return False

    def stop(self) -> str:
        """Interrupt all processes as Ctrl-C does; return what was printed."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(30)
        return self.log.read_text()

    def close(self) -> None:
        self.stop()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def run(prefix: Path, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    made: list[Running] = []

    def start(name: str, *arguments: str) -> Running:
        made.append(Running(prefix, tmp_path, name, *arguments))
        return made[-1]

    yield start
    for item in made:
        item.close()


def test_localizer_takes_overrides_and_stops_cleanly(run: Callable[..., Running]) -> None:
    made = run(
        "cvloc.launch.py", *NOTHING, "namespace:=car", "tf_mode:=map_to_odom", "datum:=48.85,2.35,0.0", "rviz:=true",
        "foxglove:=true", "foxglove_port:=8766", "use_sim_time:=true",
    )  # fmt: skip
    asked = made.ask("/car/cvloc", "output.tf_mode", "tiles.source", "geo.datum", "autostart", "use_sim_time")
    assert [*asked[:2], list(asked[2]), *asked[3:]] == [
        "map_to_odom", "/nowhere/1e3.mbtiles", [48.85, 2.35, 0.0], False, True,
    ]  # fmt: skip
    assert made.ask("/car/foxglove_bridge", "port", "use_sim_time") == [8766, True]
    assert made.ask("/car/rviz", "use_sim_time") == [True]
    text = made.stop()
    assert text.count("process has finished cleanly") == 3, text
    assert "Traceback" not in text, text


def test_filters_localizer_and_navsat_share_one_map(run: Callable[..., Running], tmp_path: Path) -> None:
    settings = tmp_path / "car.yaml"
    settings.write_text(
        "/**:\n  ros__parameters:\n    frames: {map: world}\n"
        "    geo: {datum: [48.85, 2.35, 0.25], projection: local_enu}\n"
    )
    made = run(
        "cvloc_ekf.launch.py", *NOTHING, "namespace:=car", f"params_file:={settings}", "odom_topic:=wheels",
        "imu_topic:=none", "fix_topic:=gnss/fix",
    )  # fmt: skip
    navsat = made.ask("/car/navsat_transform", "datum", "use_local_cartesian", "wait_for_datum")
    assert [list(navsat[0]), *navsat[1:]] == [[48.85, 2.35, 0.25], True, True]
    wanted = ("world_frame", "map_frame", "odom_frame", "odom0", "imu0", "use_sim_time")
    assert made.ask("/car/ekf_map", *wanted) == ["world", "world", "odom", "wheels", "cvloc/not_connected", False]
    assert made.ask("/car/ekf_odom", *wanted) == ["odom", "world", "odom", "wheels", "cvloc/not_connected", False]
    assert made.ask("/car/ekf_map", "pose0", "smooth_lagged_data", "history_length") == ["cvloc/pose", True, 3.0]
    wanted = ("inputs.odom_topic", "inputs.fix_topic", "output.tf_mode", "inputs.imu_topic", "frames.map")
    assert made.ask("/car/cvloc", *wanted) == ["odometry/local", "gnss/fix", "none", "", "world"]
    text = made.stop()
    assert text.count("process has finished cleanly") == 4, text


def test_gnss_may_stay_out_of_the_filter(run: Callable[..., Running]) -> None:
    made = run("cvloc_ekf.launch.py", *NOTHING, "gnss:=false")
    assert made.ask("/ekf_map", "pose0") == ["cvloc/pose"]
    assert made.ask("/cvloc", "inputs.fix_topic") == ["fix"]
    assert "navsat" not in made.stop()


def test_transforms_stay_in_the_namespace_where_that_is_wanted(run: Callable[..., Running]) -> None:
    made = run("cvloc.launch.py", "namespace:=car", "namespaced_tf:=true", "map:=stripes", "datum:=48.85,2.35",
               "tf_mode:=map_to_odom")  # fmt: skip
    assert made.has("reader", "/car/tf_static")
    assert made.has("publisher", "/car/tf")
    assert not made.node.count_publishers("/tf")
    assert not made.node.count_subscribers("/tf")
