# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What training needs of each method: inputs made by the matcher's own functions, losses, files that it takes."""
