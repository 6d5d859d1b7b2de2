# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""report.html: one page that opens offline."""
