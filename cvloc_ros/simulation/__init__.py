# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Simulated drives: a town from a seed, seen from above and from a vehicle, written as bag and map."""
