# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The localizer with the two filters of robot_localization: `cvloc.launch.py`, ekf_odom, ekf_map, navsat_transform.

    odometry, IMU ─► ekf_odom ─► odom -> base_link, odometry/local ─► cvloc ─► cvloc/pose ─┐
    odometry, IMU, GNSS (navsat_transform ─► odometry/gps) ────────────────────────────────┴► ekf_map ─► map -> odom

Frames, datum, projection and the topic of the fixes are those of the localizer: one place for all four nodes.
"""

from pathlib import Path
from typing import Any

import yaml
from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetLaunchConfiguration,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

HERE = Path(__file__).resolve().parent
CONFIG = HERE.parent / "config"

ARGUMENTS = [
    DeclareLaunchArgument(
        "ekf_params_file", default_value=str(CONFIG / "dual_ekf_cvloc.yaml"),
        description="Parameters of the nodes ekf_odom and ekf_map; topics and frames are put in from here.",
    ),
    DeclareLaunchArgument(
        "navsat_params_file", default_value=str(CONFIG / "navsat.yaml"),
        description="Parameters of the node navsat_transform; datum and projection are those of the localizer.",
    ),
    DeclareLaunchArgument(
        "gnss", default_value="true", choices=["true", "false"],
        description="Fuse GNSS beside the poses; false: it bounds the search of the localizer and nothing else.",
    ),
    DeclareLaunchArgument(
        "odom_topic", default_value="odom",
        description="Odometry of the vehicle for both filters (its velocities); the localizer takes odometry/local.",
    ),
    DeclareLaunchArgument(
        "imu_topic", default_value="imu/data", description="Imu whose yaw rate both filters take; none: no IMU."
    ),
    DeclareLaunchArgument(
        "tf_mode", default_value="none", choices=["none"],
        description="ekf_map sends map -> odom, and nobody else may.",
    ),
]
"""Those that `cvloc.launch.py` does not have, or that mean more here."""

SHARED = ("namespace", "params_file", "datum", "fix_topic", "use_sim_time", "bag", "namespaced_tf", "respawn")
"""Arguments of `cvloc.launch.py` that the filters follow."""

KEPT = {"odom_topic": "vehicle_odom_topic", "imu_topic": "vehicle_imu_topic"}
"""Arguments that the localizer is given another value of, and where the given one is kept for the filters."""


def settings(params_file: str) -> dict[str, Any]:
    """Read the parameters of the localizer, dotted key -> value, from a parameter file."""
    tree = yaml.safe_load(Path(params_file).read_text(encoding="utf-8")) or {}
    found: dict[str, Any] = {}
    for node, body in tree.items():
        if node.split("/")[-1] in ("**", "cvloc"):
            found |= flat(body.get("ros__parameters") or {})
    return found


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Join the keys of nested mappings with dots."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def datum_of(given: dict[str, str], known: dict[str, Any]) -> list[float]:
    """Return the origin that localizer and navsat_transform share; raises ValueError where there is none."""
    text = given["datum"] or ",".join(str(number) for number in known.get("geo.datum") or [])
    numbers = [float(part) for part in text.strip("[] ").replace(",", " ").split()]
    if len(numbers) not in (2, 3):
        msg = (
            f"no datum in {given['params_file']} (geo.datum): give datum:=latitude,longitude,yaw, or gnss:=false. "
            "Without it navsat_transform would lie in another map than the localizer"
        )
        raise ValueError(msg)
    return [*numbers, 0.0][:3]


def topic(name: str) -> str:
    """Return a topic for robot_localization, which takes an empty name amiss: `none` becomes one that nobody sends."""
    return "cvloc/not_connected" if name == "none" else name


def filters(context: LaunchContext) -> list[Action]:
    """Start the filters, and navsat_transform where GNSS is fused."""
    names = ("ekf_params_file", "navsat_params_file", "gnss", *KEPT.values(), *SHARED)
    given = {name: LaunchConfiguration(name).perform(context) for name in names}
    known = settings(given["params_file"])
    frames = {
        f"{name}_frame": ParameterValue(known.get(key, name), value_type=str)
        for name, key in (("map", "frames.map"), ("odom", "frames.odom"), ("base_link", "frames.base"))
    }
    inputs = {
        "odom0": ParameterValue(topic(given["vehicle_odom_topic"]), value_type=str),
        "imu0": ParameterValue(topic(given["vehicle_imu_topic"]), value_type=str),
    }
    sim_time = {"use_sim_time": bool(given["bag"]) or given["use_sim_time"] == "true"}
    common: dict[str, Any] = {
        "package": "robot_localization",
        "namespace": given["namespace"],
        "respawn": given["respawn"] == "true",
        "respawn_delay": 2.0,
        "output": "screen",
    }
    tf = [("/tf", "tf"), ("/tf_static", "tf_static")] if given["namespaced_tf"] == "true" else []
    nodes: list[Action] = [
        Node(
            executable="ekf_node",
            name=f"ekf_{world}",
            parameters=[given["ekf_params_file"], frames, inputs, {"world_frame": frames[f"{world}_frame"]}, sim_time],
            remappings=[*tf, ("odometry/filtered", f"odometry/{output}")],
            **common,
        )
        for world, output in (("odom", "local"), ("map", "global"))
    ]
    fix_topic = given["fix_topic"] or known.get("inputs.fix_topic", "fix") or "none"
    if given["gnss"] == "true" and fix_topic != "none":
        own = {
            "datum": datum_of(given, known),
            "use_local_cartesian": known.get("geo.projection", "utm") == "local_enu",
        }
        remappings = [*tf, ("gps/fix", fix_topic), ("odometry/filtered", "odometry/global")]
        nodes.append(
            Node(
                executable="navsat_transform_node",
                name="navsat_transform",
                parameters=[given["navsat_params_file"], own, sim_time],
                remappings=remappings,
                **common,
            )
        )
    return nodes


def generate_launch_description() -> LaunchDescription:
    """Entry point of `ros2 launch`."""
    localizer = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(HERE / "cvloc.launch.py")),
        launch_arguments={"odom_topic": "odometry/local", "imu_topic": "", "tf_mode": "none"}.items(),
    )
    kept = [SetLaunchConfiguration(to, LaunchConfiguration(name)) for name, to in KEPT.items()]
    return LaunchDescription([*ARGUMENTS, *kept, localizer, OpaqueFunction(function=filters)])
