# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node and the player as processes of their own, talking over DDS on this machine only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import cvloc_ros
from cvloc_ros import resources

STOP_S = 10.0


def private_environment(domain: int) -> dict[str, str]:
    """Return the environment of processes that find each other and nobody else."""
    package = str(Path(cvloc_ros.__file__).resolve().parents[1])
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        **os.environ,
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
        "ROS_DOMAIN_ID": str(domain),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(resources.find("config/fastdds.xml")),
    }


class Process:
    """A Python module run as a process; its standard error, and output unless it is read, goes to a log file."""

    def __init__(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path, *, read: bool = False
    ) -> None:
        """Start it."""
        self.log = log
        with log.open("wb") as stream:
            self._process = subprocess.Popen(  # noqa: S603  this interpreter and modules of this package
                [sys.executable, "-m", module, *arguments],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if read else stream,
                stderr=stream,
                # Ctrl-C reaches this process only; it stops the others in order.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def code(self) -> int | None:
        """Exit code; None while it runs."""
        return self._process.poll()

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield the JSON objects that it writes, one a line, until it ends."""
        for line in self._process.stdout or ():
            if line.startswith(b"{"):
                yield json.loads(line)

    def stop(self) -> int:
        """Interrupt it, wait, and kill it if it does not listen; return the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                self._process.send_signal(number)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(STOP_S)
        return self._process.wait()

    def tail(self, lines: int = 30) -> str:
        """Last lines of the log."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def __enter__(self) -> Process:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        """Stop it."""
        self.stop()
        if self._process.stdout:
            self._process.stdout.close()
