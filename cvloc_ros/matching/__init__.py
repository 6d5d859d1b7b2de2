# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Matchers: one file a method, chosen by name in `registry`."""
