# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Samples in tar files of the WebDataset form: the pieces of one sample share a name up to the first dot.

Written by `cvloc data make`, read by number: the place of every piece is looked up once.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cvloc_ros.datasets.codec import decode, encode
from cvloc_ros.datasets.sample import DatasetError, Sample, SampleError

_PATTERN = "shard-*.tar"


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where the pieces of one sample lie: file, name, and (suffix, offset, size) of each piece."""

    file: int
    name: str
    pieces: tuple[tuple[str, int, int], ...]


class ShardSamples:
    """All samples of a folder of shards, in the order of their names. A shard that is being written is not seen."""

    streamed = False

    def __init__(self, root: Path | str) -> None:
        """Read the lists of contents.

        Raises:
            DatasetError: there are no shards, or one is damaged.
        """
        self._files = sorted(Path(root).glob(_PATTERN))
        if not self._files:
            msg = f"{root} holds no {_PATTERN}; write some with: cvloc data make {root}"
            raise DatasetError(msg)
        self.name = f"shards {Path(root).name}"
        self._entries = [entry for number, file in enumerate(self._files) for entry in _contents(number, file)]

    def __len__(self) -> int:
        """Count them."""
        return len(self._entries)

    def __getitem__(self, index: int) -> Sample:
        """Read a sample.

        Raises:
            SampleError: it is damaged.
        """
        entry = self._entries[index]
        file = self._files[entry.file]
        where = f"{file.name}:{entry.name}"
        try:
            with file.open("rb") as opened:
                pieces = {}
                for suffix, offset, size in entry.pieces:
                    opened.seek(offset)
                    pieces[suffix] = opened.read(size)
        except OSError as err:
            msg = f"{where}: {err}"
            raise SampleError(msg) from err
        return decode(pieces, where)

    def close(self) -> None:
        """Nothing is held."""


def write_shard(path: Path, samples: Iterable[Sample]) -> Iterator[Sample]:
    """Write samples into one shard and yield each when it is in; the file has its name only when it is whole.

    Raises:
        DatasetError: it cannot be written; nothing is left behind.
    """
    part = path.with_name(f"{path.name}.part{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
            for number, sample in enumerate(samples):
                for suffix, data in encode(sample).items():
                    piece = tarfile.TarInfo(f"{number:06d}.{suffix}")
                    piece.size = len(data)
                    tar.addfile(piece, io.BytesIO(data))
                yield sample
        part.replace(path)
    except OSError as err:
        msg = f"{path} cannot be written: {err}; free some space or name another folder"
        raise DatasetError(msg) from err
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _contents(number: int, file: Path) -> list[_Entry]:
    found: dict[str, list[tuple[str, int, int]]] = {}
    try:
        with tarfile.open(file, "r:") as tar:
            for piece in tar:
                name, _, suffix = piece.name.partition(".")
                found.setdefault(name, []).append((suffix, piece.offset_data, piece.size))
    except (OSError, tarfile.TarError) as err:
        msg = f"{file} is damaged: {err}; delete it, and make it again with cvloc data make"
        raise DatasetError(msg) from err
    return [_Entry(number, name, tuple(pieces)) for name, pieces in sorted(found.items())]
