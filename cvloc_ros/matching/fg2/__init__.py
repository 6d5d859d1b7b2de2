# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""FG² (Xia and Alahi, CVPR 2025): ground features, lifted into a plane by selecting heights, match aerial features.

Two modes. `published` keeps every property of the seven released checkpoints, the unfortunate ones included, because
those weights need them. `mended` is for newly trained models: cell centres, one residual, a consistent frame of the
pose, images normalised, panoramas without a seam, candidates outside the image never chosen, several cameras.
"""
