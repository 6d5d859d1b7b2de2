# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The executable as a process: start, stop, exit codes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
import rclpy
from rig import wait_for

from cvloc_ros.types import LocalizationResult, Status

NO_CUDA = pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there is a CUDA device")
SCRIPT = Path(__file__).with_name("fake_localizer.py")
GOOD = ["-p", "geo.datum:=[47.0, 8.0, 0.0]", "-p", "tiles.source:=stripes"]


def launch(namespace: str, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, str(SCRIPT), "--ros-args", "-r", f"__ns:=/{namespace}", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("pause_s", [0.0, 0.02])
def test_second_sigint_during_shutdown_does_no_harm(pause_s):
    name = f"stop{round(pause_s * 100)}"
    process = launch(name, *GOOD)
    watcher = rclpy.create_node("watcher")
    try:
        wait_for(lambda: watcher.count_subscribers(f"/{name}/image"), what="the process's subscription")
        process.send_signal(signal.SIGINT)
        time.sleep(pause_s)
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=15)[0]
    finally:
        process.kill()
        watcher.destroy_node()
    assert "Traceback" not in output
    assert process.returncode == 0, output


UNLUCKY = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import rclpy
from cvloc_ros.ros import main
from fake_session import FakeSession

class Unlucky(main.SingleThreadedExecutor):
    def spin(self):
        rclpy.shutdown()
        self.spin_once()

main.SingleThreadedExecutor = Unlucky
sys.exit(main.main(sys.argv, FakeSession))
"""


def test_context_that_ends_between_two_steps_of_the_executor_is_no_fault():
    command = [sys.executable, "-c", UNLUCKY, str(SCRIPT.parent), "--ros-args", "-r", "__ns:=/unlucky", *GOOD]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


def test_unknown_parameter_ends_the_process_with_an_error():
    process = launch("bad", *GOOD, "-p", "tiles.sauce:=x", "-p", "search.sigma_factor:=99.0")
    output = process.communicate(timeout=30)[0]
    assert process.returncode == 1
    assert "did you mean tiles.source?" in output
    assert "search.sigma_factor = 99.0" in output
    assert "Traceback" not in output


def test_missing_cuda_ends_the_process_with_an_error():
    process = launch("gpu", *GOOD, "-p", "matcher.device:=cuda")
    output = process.communicate(timeout=30)[0]
    assert process.returncode == 1
    assert "CUDA" in output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-p", "geo.datum:=[47.0, 8.0, 0.0]"], "tiles.source is empty"),
        ([*GOOD[:2], "-p", "tiles.source:=/nowhere/map.mbtiles"], "/nowhere/map.mbtiles"),
        (["-p", "tiles.source:=/nowhere/map.mbtiles"], "geo.datum is empty"),
        pytest.param([*GOOD, "-p", "matcher.device:=cuda"], "matcher.device = cuda", marks=NO_CUDA),
        (["--params-file", "/nowhere/params.yaml"], "/nowhere/params.yaml"),
    ],
)
def test_shipped_executable_without_map_or_datum_says_what_is_missing(arguments, words):
    command = [sys.executable, "-m", "cvloc_ros.ros.main", "--ros-args", "-r", "__ns:=/bare", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_interrupt_between_two_messages_of_an_attempt_is_no_fault(rig, monkeypatch):
    made = rig(start=False)
    attempt = LocalizationResult(Status.NO_PRIOR, 1)
    outputs = Mock(publish=Mock(side_effect=RuntimeError("context is invalid")))
    with monkeypatch.context() as patched:
        patched.setattr(made.node, "_outputs", outputs)
        patched.setattr(made.node, "_context", Mock(ok=Mock(side_effect=[True, False])))
        made.node._publish(attempt)
        patched.setattr(made.node, "_context", Mock(ok=Mock(return_value=True)))
        with pytest.raises(RuntimeError, match="context is invalid"):
            made.node._publish(attempt)
