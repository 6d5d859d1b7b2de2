# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Decoding of image messages to RGB or depth, from plain fields; no message package is needed."""

from cvloc_ros.imaging.compressed import decode_compressed
from cvloc_ros.imaging.raw import DEPTH_ENCODINGS, ENCODINGS, decode_depth, decode_raw

__all__ = ["DEPTH_ENCODINGS", "ENCODINGS", "decode_compressed", "decode_depth", "decode_raw"]
