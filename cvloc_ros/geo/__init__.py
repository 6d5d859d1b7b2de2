# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Coordinates: map projection, tile pyramid, boxes, planar poses, rigid transforms and the frame tree."""
