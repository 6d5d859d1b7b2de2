# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a download is complete: counts against the published ones, files that lists name, labels against names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from cvloc_ros.datasets import files, ford, kitti, oxford, vigor
from cvloc_ros.datasets.cvfm import COUNT as CVFM_COUNT
from cvloc_ros.datasets.sample import DatasetError
from cvloc_ros.datasets.shards import ShardSamples

Level = Literal["ok", "note", "missing"]
KINDS = ("vigor", "kitti", "oxford", "ford", "cvfm", "shards")
_NEAR_PX = 3.0
_EXPECTED = 0.99


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    text: str


def recognise(root: Path) -> str:
    """Tell which data set lies in a folder.

    Raises:
        DatasetError: none that is known.
    """
    signs = {
        "vigor": any((root / city).is_dir() for city in vigor.CITIES),
        "kitti": (root / "satmap").is_dir() or (root / "raw_data").is_dir(),
        "oxford": (root / "training.txt").is_file() or (root / "test1_j.txt").is_file(),
        "ford": (root / "SatelliteMaps_18").is_dir(),
        "shards": any(root.glob("shard-*.tar")),
        "cvfm": any(root.glob("*.npz")),
    }
    for kind, there in signs.items():
        if there:
            return kind
    msg = f"{root}: none of {', '.join(KINDS)} is recognised here; see docs/training.md for the folders"
    raise DatasetError(msg)


def check(root: Path, kind: str) -> Iterator[Finding]:
    """Look at everything that the lists name; yields as it goes."""
    looks = {"vigor": _vigor, "kitti": _kitti, "oxford": _oxford, "ford": _ford, "cvfm": _cvfm, "shards": _shards}
    yield from looks[kind](root)


def _vigor(root: Path) -> Iterator[Finding]:
    for city in vigor.CITIES:
        if not (root / city).is_dir():
            yield Finding("missing", f"{root / city}")
            continue
        tiles = list((root / city / "satellite").glob("satellite_*.png"))
        yield _count(f"{city}: tiles", len(tiles), vigor.TILES[city])
        labels: vigor.Labels
        for labels in ("corrected", "original"):
            yield from _vigor_labels(root, city, labels)


def _vigor_labels(root: Path, city: str, labels: vigor.Labels) -> Iterator[Finding]:
    for name in ("same_area_balanced_train", "same_area_balanced_test", "pano_label_balanced"):
        path = vigor.label_file(root, city, name, labels)
        if not path.is_file():
            yield Finding("missing" if labels == "corrected" else "note", f"{path} ({labels} labels)")
            continue
        try:
            rows = vigor.read_labels(root, city, name, labels, semi=False)
        except DatasetError as err:
            yield Finding("missing", str(err))
            continue
        yield _count(f"{city}: {name}, {labels}", len(rows), vigor.COUNTS[city, name])
        folder = root / city
        yield _files(f"{city}: panoramas of {name}", (folder / "panorama" / row.panorama for row in rows))
        yield _files(f"{city}: tiles of {name}", (folder / "satellite" / row.tile for row in rows))
        if labels == "corrected":
            away = [np.subtract(vigor.mercator_px(row), (row.down_px, row.left_px)) for row in rows]
            near = float((np.abs(away).max(1) <= _NEAR_PX).mean()) if away else 1.0
            yield Finding(
                "ok" if near >= _EXPECTED else "note",
                f"{city}: {100 * near:.1f} % of the labels of {name} within {_NEAR_PX:g} px of the names' coordinates",
            )


def _kitti(root: Path) -> Iterator[Finding]:
    for split, count in kitti.COUNTS.items():
        try:
            samples = kitti.KittiSamples(root, split)
        except DatasetError as err:
            yield Finding("missing", str(err))
            continue
        yield _count(f"{split}: lines", len(samples), count)
        parts = [kitti.parts_of(root, path) for path in samples.paths]
        for number, what in enumerate(("images", "oxts", "tiles", "calibrations")):
            yield _files(f"{split}: {what}", dict.fromkeys(part[number] for part in parts))


def _oxford(root: Path) -> Iterator[Finding]:
    for split, count in oxford.COUNTS.items():
        try:
            samples = oxford.OxfordSamples(root, split)
        except DatasetError as err:
            yield Finding("missing", str(err))
            continue
        yield _count(f"{split}: lines", len(samples), count)
        yield _files(f"{split}: images", (root / path for path in samples.paths))


def _ford(root: Path) -> Iterator[Finding]:
    names = ford.lists_of(root)
    if not names:
        yield Finding("missing", f"{root}: no list LOG.txt")
    for split in names:
        try:
            samples = ford.FordSamples(root, split)
        except DatasetError as err:
            yield Finding("missing", str(err))
            continue
        yield Finding("ok", f"{split}: {len(samples)} lines (no count is published here)")
        yield _files(f"{split}: images", (image for image, _ in samples.paths))
        yield _files(f"{split}: tiles", dict.fromkeys(tile for _, tile in samples.paths))


def _cvfm(root: Path) -> Iterator[Finding]:
    yield _count("pairs", sum(1 for _ in root.glob("*.npz")), CVFM_COUNT)


def _shards(root: Path) -> Iterator[Finding]:
    samples = ShardSamples(root)
    yield Finding("ok", f"{len(samples)} samples in shards")


def _count(what: str, found: int, published: int) -> Finding:
    if found == published:
        return Finding("ok", f"{what}: {found:,}")
    return Finding("note", f"{what}: {found:,}, {published:,} are published")


def _files(what: str, paths: Iterable[Path]) -> Finding:
    gone, count = [], 0
    for path in paths:
        count += 1
        if not path.is_file():
            gone.append(path)
    if gone:
        return Finding("missing", f"{what}: {len(gone):,} of {count:,}, such as {files.some(gone)}")
    return Finding("ok", f"{what}: all {count:,}")


def worst(findings: Iterable[Finding]) -> Level:
    """Return the worst level."""
    levels = {finding.level for finding in findings}
    return "missing" if "missing" in levels else "note" if "note" in levels else "ok"
