# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera mountings and the offset of the map, refined from a drive whose poses are known."""
