# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc weights`: what to fetch and from where, whether a file is sound, and conversion. Nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

from cvloc_ros.errors import ModelError


def list_sources() -> int:
    """Tell which weights each matcher takes, where they come from and under which licence. Fetch them yourself."""
    from cvloc_ros.matching.catalogue import SOURCES

    for source in SOURCES:
        print(
            f"{source.name}\n  wanted by  {source.wanted_by}\n  file       {source.file}\n"
            f"  from       {source.address}\n  licence    {source.licence}\n  then       {source.then}\n"
        )
    print(
        "cvloc never downloads weights. The publishers state no digests: `cvloc weights verify FILE` reads a file\n"
        "whole, compares every key and shape with those of the model, refuses values that are not finite, and prints\n"
        "its SHA-256, which --sha256 compares."
    )
    return 0


def verify(file: tyro.conf.Positional[Path], *, sha256: str = "") -> int:
    """Tell which model a file of weights holds, and whether it is complete and sound.

    Args:
        file: File of weights, or folder with config.json and weights.
        sha256: Digest that the file must have.
    """
    from cvloc_ros.matching.catalogue import examine

    found = examine(file)
    if sha256 and sha256.lower() != found.sha256:
        msg = f"{file} has SHA-256 {found.sha256}, {sha256.lower()} is required; fetch it again"
        raise ModelError(msg)
    print(f"{file}: {found.model}")
    print(f"{found.tensors} tensors, {found.numbers:,} numbers, all finite; {found.size_bytes:,} bytes")
    print(f"sha256 {found.sha256}")
    return 0


def convert(
    model: tyro.conf.Positional[Literal["fg2", "loc2"]],
    file: tyro.conf.Positional[Path],
    out: tyro.conf.Positional[Path],
    *,
    variant: Literal["", "vigor_known", "vigor_first", "vigor_second", "kitti"] = "",
) -> int:
    """Turn a published checkpoint into a .safetensors file that the matcher takes.

    Args:
        model: Which method the checkpoint is of.
        file: The published checkpoint.
        out: File to write, ending in .safetensors; must not exist.
        variant: For fg2: which of the checkpoints it is (first and second: passes of unknown orientation).
    """
    if out.suffix != ".safetensors" or out.exists():
        fault = "exists already" if out.exists() else "must end in .safetensors"
        msg = f"{out} {fault}; name another file to write"
        raise ModelError(msg)
    if model == "loc2":
        from cvloc_ros.matching.loc2 import checkpoint as loc2

        if variant:
            msg = f"--variant {variant} is for fg2; all Loc² checkpoints have one form: leave it out"
            raise ModelError(msg)
        print(loc2.convert(file, out))
    else:
        from cvloc_ros.matching.fg2 import checkpoint as fg2

        if not variant:
            msg = "fg2 needs --variant: vigor_known, vigor_first, vigor_second or kitti, as its folder is named"
            raise ModelError(msg)
        fg2.convert(file, out, variant)
        print(f"FG² {variant}, queries included")
    print(f"written to {out}")
    return 0


def pack(file: tyro.conf.Positional[Path], out: tyro.conf.Positional[Path]) -> int:
    """Make a file of weights half as large: half precision, with which the matchers work as before.

    Args:
        file: Weights of a training, such as best/model.safetensors.
        out: File to write, ending in .safetensors; must not exist.
    """
    from cvloc_ros.matching import weights

    if out.suffix != ".safetensors" or out.exists():
        fault = "exists already" if out.exists() else "must end in .safetensors"
        msg = f"{out} {fault}; name another file to write"
        raise ModelError(msg)
    print(f"written to {out}: {weights.pack(file, out):,} bytes")
    return 0


COMMANDS = {"list": list_sources, "verify": verify, "convert": convert, "pack": pack}
