# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recognises placeholder pictures of any look: no photograph has the same bytes at many places."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cvloc_ros.tiles.store import TileKey

SUSPECT_PLACES = 8
"""The same bytes at this many places are a placeholder, not imagery."""
_REMEMBERED = 8192


class Places:
    """Counts, for the contents seen last, at how many places each was seen."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._seen: OrderedDict[bytes, set[TileKey]] = OrderedDict()

    def note_all(self, contents: Mapping[TileKey, bytes]) -> dict[TileKey, int]:
        """Note what was seen and return for each the number of places, at most `SUSPECT_PLACES`.

        All are noted before any is counted, so that a placeholder all over one view is known at first sight.
        """
        for key, content in contents.items():
            self._note(content, key)
        return {key: len(self._seen.get(content, (key,))) for key, content in contents.items()}

    def _note(self, content: bytes, key: TileKey) -> None:
        places = self._seen.setdefault(content, set())
        self._seen.move_to_end(content)
        if len(places) < SUSPECT_PLACES:
            places.add(key)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
