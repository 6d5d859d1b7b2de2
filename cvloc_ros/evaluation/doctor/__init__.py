# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of what a vehicle delivers, from a bag or live; start at `examine.examine_bag`."""
