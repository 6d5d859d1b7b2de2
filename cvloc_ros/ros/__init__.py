# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The live node: the only place that imports rclpy or a message package."""
