# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The executable with a fake session, for tests that need a process of its own."""

import sys

from fake_session import FakeSession

from cvloc_ros.ros.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv, FakeSession))
