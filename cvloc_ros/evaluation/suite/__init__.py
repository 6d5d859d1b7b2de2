# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation of many drives: suites of drives, conditions and matchers, and their summary."""
