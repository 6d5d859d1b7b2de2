# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From scores or matches to a pose with an honest covariance; the prior and the gates."""
