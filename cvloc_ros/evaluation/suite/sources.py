# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Digests of what results depend on: source code by its imports, files and folders by their content."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

from cvloc_ros.errors import CvlocError

_ROOT = Path(__file__).resolve().parents[3]
_DATA = (".glsl", ".yaml", ".npz")
_PRESENTATION = ("cvloc_ros.evaluation.report", "cvloc_ros.evaluation.outputs", "cvloc_ros.overlays")
"""Imported by the replay, but for pictures and files alone."""
_LIBRARIES = ("numpy", "opencv-python-headless", "torch", "scipy", "pyproj", "moderngl", "rosbags", "rasterio")
_BLOCK = 1 << 20


@cache
def code_digest(*modules: str) -> str:
    """Return a digest of the source of these modules (see `files`) and of the libraries' versions."""
    whole = hashlib.sha256("\n".join(_versions()).encode())
    for path in sorted(files(*modules)):
        whole.update(str(path.relative_to(_ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.hexdigest()


def files(*modules: str) -> set[Path]:
    """Return the files of these modules, of all of cvloc_ros that they import, and the data beside them."""
    found: set[Path] = set()
    waiting, seen = list(modules), set[str]()
    while waiting:
        name = waiting.pop()
        path = None if name in seen or name.startswith(_PRESENTATION) else _file(name)
        seen.add(name)
        if path is None:
            continue
        found.add(path)
        waiting += [*_imports(path, name, path.stat().st_mtime_ns), *filter(None, [name.rpartition(".")[0]])]
    folders = {path.parent for path in found if path.parent.name != "cvloc_ros"}
    return found | {path for folder in folders for path in folder.rglob("*") if path.suffix in _DATA}


def _file(name: str) -> Path | None:
    base = _ROOT.joinpath(*name.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@cache
def _imports(path: Path, name: str, mtime_ns: int) -> tuple[str, ...]:  # noqa: ARG001 - tells when to read it again
    """Return the names in cvloc_ros that a file imports anywhere, also in functions; some name values, not modules."""
    return tuple(_named(path, name))


def _named(path: Path, name: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("cvloc_ros"))
        elif isinstance(node, ast.ImportFrom):
            package = name if path.name == "__init__.py" else name.rpartition(".")[0]
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            if module.startswith("cvloc_ros"):
                yield module
                yield from (f"{module}.{alias.name}" for alias in node.names)


def _versions() -> Iterator[str]:
    for library in _LIBRARIES:
        try:
            yield f"{library} {metadata.version(library)}"
        except metadata.PackageNotFoundError:  # noqa: PERF203 - some may be absent
            yield f"{library} none"


def content_digest(path: Path) -> str:
    """Return a digest of the content of a file, or of all files of a folder and their names.

    Raises:
        CvlocError: it cannot be read.
    """
    try:
        parts = []
        for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
            status = file.stat()
            name = str(file.relative_to(path)) if file != path else ""
            parts.append(f"{name} {_file_digest(file, status.st_size, status.st_mtime_ns)}")
    except OSError as err:
        msg = f"{path}: {err.strerror}"
        raise CvlocError(msg) from err
    return text_digest(*parts)


@cache
def _file_digest(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001 - they tell when to read it again
    whole = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            whole.update(block)
    return whole.hexdigest()


def text_digest(*parts: str) -> str:
    """Return a digest of texts."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode()
        whole.update(len(data).to_bytes(8, "little") + data)
    return whole.hexdigest()
