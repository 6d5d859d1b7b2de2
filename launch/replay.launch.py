# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plays a bag to the localizer, with its clock, and shows the result in RViz.

The arguments of `cvloc.launch.py` hold here as well. For figures use `cvloc replay`, which needs no ROS, misses no
image and gives the same file twice.
"""

from pathlib import Path

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    Shutdown,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

HERE = Path(__file__).resolve().parent

ARGUMENTS = [
    DeclareLaunchArgument("bag", description="Bag to play: its folder, or an .mcap or .db3 file."),
    DeclareLaunchArgument("bag_rate", default_value="1.0", description="Speed; 0.5 is half of real time."),
    DeclareLaunchArgument("bag_start", default_value="0.0", description="Seconds to skip at the begin of the bag."),
    DeclareLaunchArgument(
        "bag_delay", default_value="5.0",
        description="Seconds that the node has to start before the first message; above 0.",
    ),
    DeclareLaunchArgument(
        "bag_loop", default_value="false", choices=["true", "false"],
        description="Begin again at the end; the node forgets its history when the clock jumps back.",
    ),
    DeclareLaunchArgument(
        "exit_at_end", default_value="false", choices=["true", "false"],
        description="Stop node and RViz when the bag has ended.",
    ),
]


def play(context: LaunchContext) -> list[Action]:
    """Start the player; --clock belongs to it as use_sim_time belongs to the node."""
    given = {argument.name: LaunchConfiguration(argument.name).perform(context) for argument in ARGUMENTS}
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
    at_end = [Shutdown(reason="the bag has ended")] if given["exit_at_end"] == "true" else None
    return [ExecuteProcess(cmd=command, output="screen", on_exit=at_end)]


def generate_launch_description() -> LaunchDescription:
    """Entry point of `ros2 launch`."""
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(HERE / "cvloc.launch.py")),
        launch_arguments={"use_sim_time": "true"}.items(),
    )
    # Declared again with the defaults that suit a replay: both ends of the transport are ours, and somebody watches.
    defaults = [
        DeclareLaunchArgument(
            "rviz", default_value="true", choices=["true", "false"], description="Start RViz with our layout."
        ),
        DeclareLaunchArgument(
            "fastdds", default_value="true", choices=["true", "false"],
            description="Use config/fastdds.xml for player and node.",
        ),
    ]
    return LaunchDescription([*ARGUMENTS, *defaults, node, OpaqueFunction(function=play)])
