# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The folder that keeps simulated drives and results by their content. Whatever is not whole is made again."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from filelock import FileLock

from cvloc_ros.errors import CvlocError
from cvloc_ros.evaluation.suite.record import RunRecord
from cvloc_ros.evaluation.suite.sources import code_digest, content_digest, text_digest
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.writer import is_complete, write_drive

_DRIVES, _RESULTS = "drives", "results"


@dataclass(frozen=True, slots=True)
class Finished:
    """A result of the cache, and the bytes of its report where one was made."""

    record: RunRecord
    report: bytes | None = None


class Cache:
    """Two folders below `root`: `drives/KEY/` and `results/KEY.npz`."""

    def __init__(self, root: Path) -> None:
        """Make the folders.

        Raises:
            CvlocError: they cannot be written.
        """
        self.root = root.expanduser().resolve()
        try:
            for name in (_DRIVES, _RESULTS):
                (self.root / name).mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=self.root / name):
                    pass
        except OSError as err:
            msg = f"{root}: cannot be written: {err.strerror}; choose another folder with --cache"
            raise CvlocError(msg) from err

    def drive(self, scene: Scene) -> Path:
        """Return the folder of a simulated drive, made if it is not there whole; several processes may ask at once.

        Raises:
            CvlocError: it cannot be rendered or written.
        """
        folder = self.root / _DRIVES / drive_key(scene)
        with FileLock(f"{folder}.lock"):
            if not is_complete(scene, folder):
                try:
                    write_drive(scene, folder, _silent)
                except CvlocError as err:
                    shutil.rmtree(folder, ignore_errors=True)
                    msg = str(err).replace("--out", "--cache")
                    raise CvlocError(msg) from err
        return folder

    def load(self, key: str, *, report: bool) -> Finished | None:
        """Return a result; None where there is none, or none that can be read, or no report but one is wanted."""
        path, page = self._result(key, ".npz"), self._result(key, ".html")
        if not path.is_file() or (report and not page.is_file()):
            return None
        try:
            return Finished(RunRecord.load(path), page.read_bytes() if report else None)
        except (CvlocError, OSError):
            path.unlink(missing_ok=True)
            return None

    def save(self, key: str, finished: Finished) -> None:
        """Keep a result.

        Raises:
            CvlocError: the folder cannot be written, or the disk is full.
        """
        if finished.report is not None:
            write_whole(self._result(key, ".html"), finished.report)
        finished.record.save(self._result(key, ".npz"))

    def size_mb(self) -> float:
        """Return what the folder takes on the disk."""
        return sum(path.stat().st_size for path in self.root.rglob("*") if path.is_file()) / 1e6

    def clear(self) -> None:
        """Remove drives and results."""
        for name in (_DRIVES, _RESULTS):
            shutil.rmtree(self.root / name, ignore_errors=True)

    def _result(self, key: str, suffix: str) -> Path:
        return self.root / _RESULTS / f"{key}{suffix}"


def default_root() -> Path:
    """Return $XDG_CACHE_HOME/cvloc_ros/evaluate, or the same below ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "cvloc_ros" / "evaluate"


def drive_key(scene: Scene) -> str:
    """Return the key of a simulated drive: its settings, the files that it names, and the code that makes it."""
    files = [content_digest(Path(name)) for name in (scene.imagery, scene.heights, scene.motion) if name]
    return text_digest(scene.to_yaml(), *files, code_digest("cvloc_ros.simulation.writer"))[:32]


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        CvlocError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as err:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        msg = f"{path}: cannot be written: {err.strerror}; free some space or choose another folder"
        raise CvlocError(msg) from err


def _silent(total: int, title: str) -> AbstractContextManager[Any]:  # noqa: ARG001 - the bar of the suite is shown
    return nullcontext(SimpleNamespace(update=lambda _: None))
