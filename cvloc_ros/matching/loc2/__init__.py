# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Loc² (arXiv 2509.09792): image tokens matched to an aerial grid; the matches alone are lifted by depth."""

from cvloc_ros.matching.loc2.checkpoint import convert
from cvloc_ros.matching.loc2.matcher import Loc2Matcher
from cvloc_ros.matching.loc2.network import Loc2Network

__all__ = ["Loc2Matcher", "Loc2Network", "convert"]
