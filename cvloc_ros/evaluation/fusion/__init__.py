# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Preview of what a filter makes of the poses. Not a replacement of robot_localization."""
