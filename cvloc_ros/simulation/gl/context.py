# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""OpenGL without a window: EGL on a GPU, or llvmpipe on the CPU."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from cvloc_ros.errors import CvlocError

_VERSION = 330
_EGL: dict[str, Any] = {"backend": "egl"}
_kept = threading.local()
_REMEDY = "on Debian and Ubuntu: apt-get install libegl1 libgl1-mesa-dri; or choose --renderer flat"


class GlError(CvlocError):
    """There is no EGL, no driver for it, or no moderngl; the text says which and what to do."""


def open_context() -> Any:
    """Return the moderngl context (OpenGL 3.3) of this thread; what it makes is used in this thread only.

    Raises:
        GlError: it cannot be made on this machine.
    """
    if getattr(_kept, "context", None) is not None:
        return _kept.context
    try:
        import moderngl
    except ImportError as err:
        msg = "rendering needs moderngl, which is not installed: pip install cvloc_ros[sim]; or choose --renderer flat"
        raise GlError(msg) from err
    try:
        context: Any = moderngl.create_context(standalone=True, require=_VERSION, **_EGL)
    except Exception as err:  # moderngl and glcontext raise bare Exception
        msg = f"no OpenGL {_VERSION // 100}.{_VERSION // 10 % 10} by EGL here ({err}); {_REMEDY}"
        raise GlError(msg) from err
    # Switching between contexts is costly and easily forgotten: there is one, and what is not used any more goes.
    context.gc_mode = "auto"
    _kept.context = context
    return context


def unavailable() -> str:
    """Say why nothing can be rendered here; empty where it can."""
    try:
        open_context()
    except GlError as err:
        return str(err)
    return ""


def shader(name: str) -> str:
    """Return the text of a shader of this folder; lines `#include "NAME"` are replaced by that shader."""
    folder = Path(__file__).parent / "shaders"
    lines = []
    for line in (folder / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("#include"):
            line = shader(line.split('"')[1])  # noqa: PLW2901
        lines.append(line)
    return "\n".join(lines)
