# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Starts the localizer; on demand RViz, the bridge of Foxglove, and a bag that stands for the vehicle.

`ros2 launch cvloc_ros cvloc.launch.py --show-args` lists the arguments. One left empty takes the value of
`params_file`; one that is given wins over it.
"""

from pathlib import Path
from typing import Any

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    OpaqueFunction,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

SHARE = Path(__file__).resolve().parent.parent
FROM_FILE = "Empty: as in params_file."
SWITCH = ["true", "false"]

ARGUMENTS = [
    DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node and of its topics."),
    DeclareLaunchArgument(
        "params_file", default_value=str(SHARE / "config" / "cvloc.yaml"),
        description="YAML file with parameters; the shipped one describes each of them.",
    ),
    DeclareLaunchArgument(
        "camera", default_value="camera",
        description="Camera (of camera_names in params_file) meant by image_topic, camera_info_topic, image_transport,"
        " depth_topic.",
    ),
    DeclareLaunchArgument("image_topic", default_value="", description=f"Topic of the images. {FROM_FILE}"),
    DeclareLaunchArgument(
        "camera_info_topic", default_value="",
        description=f"Topic of the calibration; none: a panorama, which has no calibration. {FROM_FILE}",
    ),
    DeclareLaunchArgument(
        "image_transport", default_value="", choices=["", "raw", "compressed"],
        description=f"compressed subscribes to image_topic + /compressed. {FROM_FILE}",
    ),
    DeclareLaunchArgument(
        "depth_topic", default_value="",
        description=f"Depth image registered to the image, for matchers that take measured depth. {FROM_FILE}",
    ),
    DeclareLaunchArgument(
        "fix_topic", default_value="", description=f"NavSatFix topic; none: no GNSS. {FROM_FILE}"
    ),
    DeclareLaunchArgument(
        "odom_topic", default_value="", description=f"Odometry topic; none: no odometry. {FROM_FILE}"
    ),
    DeclareLaunchArgument(
        "imu_topic", default_value="",
        description=f"Imu topic for roll and pitch of the vehicle; none: its ground is level. {FROM_FILE}",
    ),
    DeclareLaunchArgument(
        "filter_topic", default_value="",
        description=f"Odometry in the map by another filter, for prior.source filter; none: no filter. {FROM_FILE}",
    ),
    DeclareLaunchArgument(
        "heading_topic", default_value="",
        description=f"Imu topic with absolute yaw (ENU), such as that of two antennas; none: no heading. {FROM_FILE}",
    ),
    DeclareLaunchArgument(
        "map", default_value="",
        description=f"Aerial imagery: .mbtiles, .tif, tile folder, URL template or provider:NAME. {FROM_FILE}",
    ),
    DeclareLaunchArgument(
        "datum", default_value="",
        description=f"Origin of the map: latitude, longitude (degrees) and yaw (radians), comma separated. {FROM_FILE}",
    ),
    DeclareLaunchArgument(
        "tf_mode", default_value="", choices=["", "none", "map_to_odom", "map_to_base_link"],
        description=f"Transform that the node sends; none where a filter owns the tree. {FROM_FILE}",
    ),
    DeclareLaunchArgument(
        "namespaced_tf", default_value="false", choices=SWITCH,
        description="Use tf and tf_static of the namespace instead of /tf and /tf_static, so that vehicles with equal "
        "frame names stay apart.",
    ),
    DeclareLaunchArgument(
        "device", default_value="", choices=["", "auto", "cpu", "cuda"],
        description=f"Where the matcher runs. {FROM_FILE}",
    ),
    DeclareLaunchArgument(
        "autostart", default_value="", choices=["", *SWITCH],
        description=f"Configure and activate at start; false waits for a lifecycle manager. {FROM_FILE}",
    ),
    DeclareLaunchArgument(
        "use_sim_time", default_value="false", choices=SWITCH,
        description="Take the time from /clock (simulation, bag played with --clock).",
    ),
    DeclareLaunchArgument(
        "log_level", default_value="info", choices=["debug", "info", "warn", "error", "fatal"],
        description="Least severity of the node's log.",
    ),
    DeclareLaunchArgument(
        "respawn", default_value="false", choices=SWITCH, description="Start the node again when its process dies."
    ),
    DeclareLaunchArgument(
        "fastdds", default_value="false", choices=SWITCH,
        description="Use config/fastdds.xml: large shared memory, without which raw images on best effort get lost. "
        "The camera driver needs it too.",
    ),
    DeclareLaunchArgument("rviz", default_value="false", choices=SWITCH, description="Start RViz with our layout."),
    DeclareLaunchArgument(
        "foxglove", default_value="false", choices=SWITCH,
        description="Start foxglove_bridge (a package of its own); import foxglove/cvloc.json as the layout.",
    ),
    DeclareLaunchArgument("foxglove_port", default_value="8765", description="Port of foxglove_bridge."),
    DeclareLaunchArgument(
        "bag", default_value="",
        description="Bag to play to the node, with its clock: a folder, or an .mcap or .db3 file; use_sim_time is true "
        "then. Empty: none, the vehicle itself sends.",
    ),
    DeclareLaunchArgument("bag_rate", default_value="1.0", description="Speed of the bag; 0.5 is half of real time."),
    DeclareLaunchArgument("bag_start", default_value="0.0", description="Seconds to skip at the begin of the bag."),
    DeclareLaunchArgument(
        "bag_delay", default_value="5.0",
        description="Seconds that the node has to start before the first message of the bag; above 0.",
    ),
    DeclareLaunchArgument(
        "bag_loop", default_value="false", choices=SWITCH,
        description="Begin the bag again at its end; the node forgets its history when the clock jumps back.",
    ),
    DeclareLaunchArgument(
        "exit_at_end", default_value="false", choices=SWITCH, description="Stop everything when the bag has ended."
    ),
]
"""In the order of use: what, from which topics, on which map, how it runs."""

VIEWED = (
    "pose", "markers", "search_window", "debug/overlay", "debug/aerial", "debug/score", "debug/points", "debug/map",
    "odometry",
)
"""Our topics in rviz/cvloc.rviz; they follow the namespace."""

TEXT_PARAMETERS = {
    "fix_topic": "inputs.fix_topic",
    "odom_topic": "inputs.odom_topic",
    "imu_topic": "inputs.imu_topic",
    "heading_topic": "inputs.heading_topic",
    "filter_topic": "inputs.filter_topic",
    "map": "tiles.source",
    "tf_mode": "output.tf_mode",
    "device": "matcher.device",
}
CAMERA_PARAMETERS = {
    "image_topic": "image_topic",
    "camera_info_topic": "camera_info_topic",
    "image_transport": "transport",
    "depth_topic": "depth_topic",
}
MAY_BE_NONE = {"fix_topic", "odom_topic", "imu_topic", "heading_topic", "filter_topic", "camera_info_topic"}
TF_OF_THE_NAMESPACE = [("/tf", "tf"), ("/tf_static", "tf_static")]


def overrides(given: dict[str, str]) -> dict[str, Any]:
    """Turn launch arguments (name -> text) into parameters that win over those of the file."""
    prefix = f"cameras.{given['camera']}."
    names = {**TEXT_PARAMETERS, **{name: prefix + key for name, key in CAMERA_PARAMETERS.items()}}
    parameters = {
        names[name]: "" if name in MAY_BE_NONE and given[name] == "none" else given[name]
        for name in names
        if given[name]
    }
    if given["datum"]:
        parameters["geo.datum"] = parse_datum(given["datum"])
    if given["autostart"]:
        parameters["autostart"] = given["autostart"] == "true"
    parameters["use_sim_time"] = bool(given["bag"]) or given["use_sim_time"] == "true"
    return parameters


def parse_datum(text: str) -> list[float]:
    """Read `latitude, longitude[, yaw]`; raises ValueError naming the text where it is something else."""
    try:
        numbers = [float(part) for part in text.strip("[] ").replace(",", " ").split()]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3):
        msg = f"datum:={text!r} must be latitude,longitude,yaw such as 48.85,2.35,0.0"
        raise ValueError(msg)
    return [*numbers, 0.0][:3]


def playback(given: dict[str, str]) -> ExecuteProcess:
    """Play the bag; --clock belongs to it as use_sim_time belongs to the node."""
    command = [
        "ros2", "bag", "play", given["bag"],
        "--clock", "100",
        "--rate", given["bag_rate"],
        "--start-offset", given["bag_start"],
        "--delay", given["bag_delay"],
        "--disable-keyboard-controls",
    ]  # fmt: skip
    if given["bag_loop"] == "true":
        command.append("--loop")
    if given["namespaced_tf"] == "true":
        prefix = "/".join(["", *given["namespace"].strip("/").split("/")]).rstrip("/")
        command += ["--remap", *(f"{name}:={prefix}/{relative}" for name, relative in TF_OF_THE_NAMESPACE)]
    at_end = [Shutdown(reason="the bag has ended")] if given["exit_at_end"] == "true" else None
    return ExecuteProcess(cmd=command, output="screen", on_exit=at_end)


def start(context: LaunchContext) -> list[Action]:
    """Start what the arguments ask for."""
    given = {argument.name: LaunchConfiguration(argument.name).perform(context) for argument in ARGUMENTS}
    parameters = {
        name: ParameterValue(value, value_type=str) if isinstance(value, str) else value
        for name, value in overrides(given).items()
    }
    sim_time = {"use_sim_time": parameters["use_sim_time"]}
    tf = TF_OF_THE_NAMESPACE if given["namespaced_tf"] == "true" else []
    logger = ".".join([*given["namespace"].strip("/").split("/"), "cvloc"]).lstrip(".")
    localizer = Node(
        package="cvloc_ros",
        executable="localizer",
        name="cvloc",
        namespace=given["namespace"],
        parameters=[given["params_file"], parameters],
        remappings=tf,
        arguments=["--ros-args", "--log-level", f"{logger}:={given['log_level']}"],
        respawn=given["respawn"] == "true",
        respawn_delay=2.0,
        output="screen",
        emulate_tty=True,
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        name="rviz",
        namespace=given["namespace"],
        parameters=[sim_time],
        arguments=["-d", str(SHARE / "rviz" / "cvloc.rviz")],
        remappings=[*tf, *((f"/cvloc/{topic}", f"cvloc/{topic}") for topic in VIEWED)],
        condition=IfCondition(given["rviz"]),
        output="log",
    )
    bridge = Node(
        package="foxglove_bridge",
        executable="foxglove_bridge",
        name="foxglove_bridge",
        namespace=given["namespace"],
        parameters=[sim_time, {"port": int(given["foxglove_port"])}],
        condition=IfCondition(given["foxglove"]),
        output="log",
    )
    return [localizer, rviz, bridge, *([playback(given)] if given["bag"] else [])]


def generate_launch_description() -> LaunchDescription:
    """Entry point of `ros2 launch`."""
    profile = SetEnvironmentVariable(
        "FASTRTPS_DEFAULT_PROFILES_FILE",
        str(SHARE / "config" / "fastdds.xml"),
        condition=IfCondition(LaunchConfiguration("fastdds")),
    )
    return LaunchDescription([*ARGUMENTS, profile, OpaqueFunction(function=start)])
