# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""GridLoc: ground tokens attend to aerial tokens, and a head tells the cell of a grid and the offset inside it.

Made after a poster (probably Yuan, Maire, Dayoub 2024: cross-attention between satellite and ground views). It states
two feature extractors, `softmax(QᵀK)V` with ground queries and aerial keys and values, a classification over N x N
cells and a regression of the offset given the cell, for the location alone. All else is not stated by the source and is
marked where it is chosen. Our extension has bins of yaw with offsets, too: a distribution over x, y and yaw.
"""
