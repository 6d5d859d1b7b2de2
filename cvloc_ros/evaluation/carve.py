# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of an sqlite3 bag whose end is missing, read from its pages one by one.

SQLite itself finds rows through inner pages, and one that is lost hides all rows below it, although they are there.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

LEAF = 13
"""First byte of a page that holds rows of a table."""

_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
"""Bytes of the serial types of integers; 8 and 9 are the constants 0 and 1."""


def messages(file: Path, page: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield (topic id, stamp in ns, data) of every row of `messages` that is there whole, in the order of recording.

    `page` is the page size of the file in bytes. Rows are told from those of other tables by their columns:
    id (null, as it is the row's number), topic_id, timestamp, data.
    """
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        book = _Pages(content, page)
        for _, place in sorted(book.cells()):  # other tables count their rows from 1 as well
            row = _row(book.payload(place))
            if row is not None:
                yield row


class _Pages:
    def __init__(self, content: mmap.mmap, page: int) -> None:
        self._content, self._page = content, page
        self._usable = page - content[20]  # the header states how much of every page is reserved
        self._count = len(content) // page

    def cells(self) -> Iterator[tuple[int, int]]:
        """Yield (number of the row, place of its cell in the file) of all leaves."""
        for number in range(1, self._count):  # page 0 holds the names of the tables
            start = number * self._page
            if self._content[start] != LEAF:
                continue
            (count,) = struct.unpack_from(">H", self._content, start + 3)
            if 8 + 2 * count > self._page:
                continue  # not a leaf, but the middle of a long message that begins like one
            for (offset,) in struct.iter_unpack(">H", self._content[start + 8 : start + 8 + 2 * count]):
                if 8 <= offset < self._usable:
                    _, after = _varint(self._content, start + offset)
                    yield _varint(self._content, after)[0], start + offset

    def payload(self, place: int) -> bytes:
        """Return the record of a cell; shorter than it says where a page of it is missing."""
        size, after = _varint(self._content, place)
        _, begin = _varint(self._content, after)
        local = self._local(size)
        parts, missing = [self._content[begin : begin + local]], size - local
        follow = self._number(begin + local) if missing else 0
        while missing > 0 and 0 < follow <= self._count:
            start = (follow - 1) * self._page
            parts.append(self._content[start + 4 : start + 4 + min(missing, self._usable - 4)])
            missing -= len(parts[-1])
            follow = self._number(start)
        return b"".join(parts) if missing <= 0 else b""

    def _local(self, size: int) -> int:
        """Bytes of a record that lie in the leaf itself (SQLite's file format, section 1.6)."""
        if size <= self._usable - 35:
            return size
        least = (self._usable - 12) * 32 // 255 - 23
        kept = least + (size - least) % (self._usable - 4)
        return kept if kept <= self._usable - 35 else least

    def _number(self, place: int) -> int:
        return int.from_bytes(self._content[place : place + 4], "big")


def _row(record: bytes) -> tuple[int, int, bytes] | None:
    if not record:
        return None
    end, place = _varint(record, 0)
    kinds = []
    while place < min(end, len(record)):
        kind, place = _varint(record, place)
        kinds.append(kind)
    if len(kinds) != 4 or kinds[0] != 0 or kinds[3] < 12 or kinds[3] % 2:
        return None
    numbers = []
    place = end
    for kind in kinds[1:3]:
        if kind in (8, 9):
            numbers.append(kind - 8)
        elif kind in _INTEGERS:
            numbers.append(int.from_bytes(record[place : place + _INTEGERS[kind]], "big", signed=True))
            place += _INTEGERS[kind]
        else:
            return None
    data = record[place:]
    return (numbers[0], numbers[1], data) if len(data) == (kinds[3] - 12) // 2 else None


def _varint(content: mmap.mmap | bytes, place: int) -> tuple[int, int]:
    """Return a number of SQLite's variable length and the place after it."""
    value = 0
    for count in range(9):
        if place >= len(content):
            return 0, place
        byte = content[place]
        place += 1
        if count == 8:
            return (value << 8) | byte, place
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:
            break
    return value, place
