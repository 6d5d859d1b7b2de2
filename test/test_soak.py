# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the soak leaves behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

SOAK = """
import os, sys, time
from pathlib import Path
from benchmarks import bench_soak
from cvloc_ros.cli.processes import Process

LOG = Path(sys.argv.pop())

def soak(*_):
    with Process("http.server", ["--bind", "127.0.0.1", "0"], os.environ, LOG) as node:
        print(node.pid, flush=True)
        time.sleep(60.0)

bench_soak.soak = soak
sys.exit(bench_soak.main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_soak_that_is_stopped_leaves_no_node_running(tmp_path, number):
    command = [sys.executable, "-c", SOAK, str(tmp_path / "log")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as bench:
        assert bench.stdout is not None
        node = Path("/proc") / bench.stdout.readline().strip()
        assert node.is_dir()
        bench.send_signal(number)
        bench.wait(timeout=30)
    assert not node.exists()
