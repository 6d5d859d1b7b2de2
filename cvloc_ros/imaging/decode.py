# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Decoding of image messages to RGB, from plain fields; no message package is needed."""

from cvloc_ros.imaging.compressed import decode_compressed
from cvloc_ros.imaging.raw import ENCODINGS, decode_raw

__all__ = ["ENCODINGS", "decode_compressed", "decode_raw"]
