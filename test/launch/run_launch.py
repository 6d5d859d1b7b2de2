# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ros2 launch FILE name:=value ...` without the command ros2; LaunchService wants a main thread of its own."""

import sys

from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

if __name__ == "__main__":
    path, *given = sys.argv[1:]
    arguments = [tuple(item.split(":=", 1)) for item in given]
    service = LaunchService(argv=given)
    included = IncludeLaunchDescription(PythonLaunchDescriptionSource(path), launch_arguments=arguments)
    service.include_launch_description(LaunchDescription([included]))
    sys.exit(service.run())
