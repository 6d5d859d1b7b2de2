# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Finds the files that are installed beside the code (configuration, launch files, weights, views); digests."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cvloc_ros.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE = "cvloc_ros"


def find(relative: str) -> Path:
    """Return the path of a shipped file such as "config/cvloc.yaml".

    Looked for in this order: the source tree, each prefix of AMENT_PREFIX_PATH, the prefix of this Python.

    Raises:
        ConfigError: the file is in none of them.
    """
    tried = []
    for folder in _folders():
        path = folder / relative
        if path.is_file():
            return path
        tried.append(str(path))
    msg = f"{relative} was not found in {', '.join(tried)}; install {_PACKAGE} again or give the path of the file"
    raise ConfigError(msg)


def sha256(path: Path) -> str:
    """Return the digest of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _folders() -> Iterator[Path]:
    root = Path(__file__).resolve().parent.parent
    if (root / "package.xml").is_file() or (root / "pyproject.toml").is_file() or (root / ".git").exists():
        yield root
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        if prefix:
            yield Path(prefix) / "share" / _PACKAGE
    yield Path(sys.prefix) / "share" / _PACKAGE
    for parent in Path(__file__).resolve().parents:
        # <prefix>/lib/pythonX.Y/site-packages/cvloc_ros: the prefix is above, also with `pip --user` and colcon.
        if (parent / "share" / _PACKAGE).is_dir():
            yield parent / "share" / _PACKAGE
