# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rendering of simulated worlds with relief, light and shadow by OpenGL without a window (EGL)."""
