# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a map file says about itself: free text and flags that a reader of results must see."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path


def map_notes(source: str) -> dict[str, str]:
    """Return the metadata of an .mbtiles file, or of `metadata.json` in a tile folder; empty for other sources."""
    path = Path(source.removeprefix("file://")).expanduser()
    try:
        if path.suffix == ".mbtiles" and path.is_file():
            with closing(sqlite3.connect(f"file:{path.resolve()}?mode=ro", uri=True)) as db:
                return {str(key): str(value) for key, value in db.execute("SELECT name, value FROM metadata")}
        if path.is_dir() and (path / "metadata.json").is_file():
            tree = json.loads((path / "metadata.json").read_text(encoding="utf-8"))
            return {str(key): str(value) for key, value in tree.items()} if isinstance(tree, dict) else {}
    except (sqlite3.Error, OSError, ValueError):
        pass
    return {}


def is_simulated(notes: dict[str, str]) -> bool:
    """Tell whether a map or a bag says that it is simulated."""
    flag = notes.get("simulated", "").lower()
    return flag in ("1", "true", "yes") or "simulat" in " ".join(notes.values()).lower()
