# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fits temperature, scale and floor of the published covariance to drives with truth."""
