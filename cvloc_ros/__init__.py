# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cross-view localization for ROS 2: camera images matched against aerial imagery."""

# The generated messages live in the installed package of the same name; this lets a source tree find them.
__path__ = __import__("pkgutil").extend_path(__path__, __name__)
__version__ = "0.1.0"
