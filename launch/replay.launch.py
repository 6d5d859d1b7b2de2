# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plays a bag to the localizer and shows the result in RViz: `cvloc.launch.py` with the defaults of a replay.

For figures use `cvloc replay`, which needs no ROS, misses no image and gives the same file twice.
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

HERE = Path(__file__).resolve().parent
SWITCH = ["true", "false"]

ARGUMENTS = [
    DeclareLaunchArgument("bag", description="Bag to play: its folder, or an .mcap or .db3 file."),
    DeclareLaunchArgument(
        "rviz", default_value="true", choices=SWITCH, description="Start RViz with our layout; somebody watches."
    ),
    DeclareLaunchArgument(
        "fastdds", default_value="true", choices=SWITCH,
        description="Use config/fastdds.xml for player and node; both ends of the transport are ours.",
    ),
]
"""Declared again where a replay has another default; the others come with `cvloc.launch.py`."""


def generate_launch_description() -> LaunchDescription:
    """Entry point of `ros2 launch`."""
    node = IncludeLaunchDescription(PythonLaunchDescriptionSource(str(HERE / "cvloc.launch.py")))
    return LaunchDescription([*ARGUMENTS, node])
