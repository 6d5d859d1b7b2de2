# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ViewBridge (Xia et al. 2025, arXiv 2508.10716): FG²'s lifting cut off at the surface, and refined similarities.

Neither code nor weights are public, and the equations of the paper could not be read: what follows is made from its
figures and from the configuration that a later paper of the group lists. Each choice of ours is marked where it is made
by "not stated by the source".
"""
