# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Weights that come with the package: named, and checked before they are used."""

from __future__ import annotations

from pathlib import Path

from cvloc_ros import resources
from cvloc_ros.errors import ConfigError, ModelError

FOLDER = "config/weights"
DIGESTS = f"{FOLDER}/SHA256SUMS"
NAMES = ("small",)
"""`small`: a model of at most 8 MB, trained on simulated worlds on CPUs; its card lies beside it as .md."""


def locate(matcher: str, name: str) -> Path:
    """Return the file of shipped weights.

    Raises:
        ModelError: the package is incomplete, or the file is not the one that was shipped.
    """
    try:
        path = resources.find(f"{FOLDER}/{matcher}_{name}.safetensors")
        digests = resources.find(DIGESTS).read_text(encoding="utf-8")
    except (ConfigError, OSError) as err:
        msg = f"matcher.{matcher}.weights = {name}: {err}"
        raise ModelError(msg) from err
    told = {file: digest for digest, file in (line.split() for line in digests.splitlines() if line.strip())}
    if (found := resources.sha256(path)) != told.get(path.name):
        msg = (
            f"{path} is not what was shipped: its sha256 is {found[:12]}, {DIGESTS} says "
            f"{told.get(path.name, 'nothing')[:12]}; install the package again, or name your own weights by their path"
        )
        raise ModelError(msg)
    return path
