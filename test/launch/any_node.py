# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Stands for a node of another package: takes every parameter that it is given, and answers what they are."""

import contextlib

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

if __name__ == "__main__":
    rclpy.init()
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(Node("any", automatically_declare_parameters_from_overrides=True))
    rclpy.try_shutdown()
