# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image messages and cameras: decoding, camera models, rectified views, the ground seen from above."""
