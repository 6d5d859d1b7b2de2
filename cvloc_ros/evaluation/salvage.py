# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is left of a bag file that the recorder never closed: read as far as it goes, without changing it."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import struct
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.interfaces import Connection, Qos, QosDurability, QosReliability
from rosbags.rosbag2.metadata import parse_qos
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from cvloc_ros.errors import BagError
from cvloc_ros.evaluation import carve

STORAGES = (".mcap", ".db3")
MCAP_MAGIC = b"\x89MCAP0\r\n"
SQLITE_MAGIC = b"SQLite format 3\0"

READ_FAULTS = (Exception,)
"""Readers, decompressors and decoders raise nearly anything on damaged bytes."""


class RawMessage(NamedTuple):
    """A message as recorded."""

    topic: str
    type: str
    log_time_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of a bag. `reliability` is reliable, best_effort or "" where the bag does not say."""

    name: str
    type: str
    count: int
    reliability: str = ""
    latched: bool = False

    def joined(self, other: Topic) -> Topic:
        """Add the messages of another part or publisher of the same topic."""
        weakest = "best_effort" if "best_effort" in (self.reliability, other.reliability) else self.reliability
        return replace(
            self, count=self.count + other.count, reliability=weakest, latched=self.latched or other.latched
        )


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What could be read of one file."""

    topics: list[Topic]
    read: Callable[[Collection[str]], Iterator[RawMessage]]
    store: Typestore


def default_typestore() -> Typestore:
    """Return the types for bags without definitions (Humble's sqlite3 bags)."""
    return get_typestore(Stores.ROS2_HUMBLE)


def topic_of(connection: Connection) -> Topic:
    """Describe a connection of rosbags."""
    profiles = getattr(connection.ext, "offered_qos_profiles", [])
    latched = bool(getattr(connection.ext, "latching", False))
    return _topic(connection.topic, connection.msgtype, connection.msgcount, profiles, latched=latched)


def damage(file: Path) -> str:
    """Tell in words what is wrong with the file's end; empty where it was closed properly.

    Raises:
        BagError: the file is empty or no bag at all.
    """
    if file.suffix == ".bag":
        return ""
    with file.open("rb") as stream:
        head = stream.read(100)
        size = stream.seek(0, 2)
        stream.seek(max(size - len(MCAP_MAGIC), 0))
        tail = stream.read()
    if head.startswith(MCAP_MAGIC):
        return "" if size > 16 and tail == MCAP_MAGIC else "cut off before its end was written"
    if head.startswith(SQLITE_MAGIC):
        return _sqlite_damage(file, head, size)
    kind = "is empty" if not size else f"is neither mcap nor sqlite3 (it starts with {head[:8]!r})"
    msg = f"{file}: {kind}; nothing can be read from it"
    raise BagError(msg)


def open_damaged(file: Path, stack: ExitStack) -> Salvaged:
    """Open a damaged file; temporary copies are removed with `stack`.

    Raises:
        BagError: not even the list of topics survived.
    """
    try:
        return _open_mcap(file) if file.suffix == ".mcap" else _open_sqlite(file, stack)
    except BagError:
        raise
    except READ_FAULTS as err:
        msg = f"{file}: nothing can be read from it ({str(err) or type(err).__name__})"
        raise BagError(msg) from err


def _topic(name: str, kind: str, count: int, profiles: list[Qos], *, latched: bool = False) -> Topic:
    offered = {profile.reliability for profile in profiles}
    if QosReliability.BEST_EFFORT in offered:
        reliability = "best_effort"
    else:
        reliability = "reliable" if QosReliability.RELIABLE in offered else ""
    latched = latched or any(profile.durability is QosDurability.TRANSIENT_LOCAL for profile in profiles)
    return Topic(name, kind, count, reliability, latched)


def _typestore(definitions: dict[str, tuple[str, str]]) -> Typestore:
    store = get_typestore(Stores.EMPTY)
    if not definitions:
        return default_typestore()
    types: dict[str, Any] = {}
    for kind, (form, text) in definitions.items():
        if form == "ros2msg":
            types.update(get_types_from_msg(text, kind))
        else:
            for part in re.split(r"^=+\nIDL: .*\n", text, flags=re.MULTILINE):
                types.update(get_types_from_idl(part) if part.strip() else {})
    store.register(types)
    return store


def mcap_records(file: Path) -> Iterator[Any]:
    """Yield schemas, channels and messages (of `mcap.records`) until the end of the file or the first fault.

    Raises:
        BagError: the package mcap is not installed.
    """
    try:
        from mcap.records import Channel, Message, Schema
        from mcap.stream_reader import StreamReader
    except ImportError as err:
        msg = f"{file}: a cut-off mcap file needs the package mcap: pip install cvloc_ros[bags]"
        raise BagError(msg) from err
    with file.open("rb") as stream:
        try:
            for record in StreamReader(stream).records:
                if isinstance(record, (Schema, Channel, Message)):
                    yield record
        except READ_FAULTS:
            return


def _open_mcap(file: Path) -> Salvaged:
    schemas: dict[int, Any] = {}
    channels: dict[int, Any] = {}
    counts: Counter[int] = Counter()
    for record in mcap_records(file):
        if hasattr(record, "encoding"):
            schemas[record.id] = record
        elif hasattr(record, "topic"):
            channels[record.id] = record
        else:
            counts[record.channel_id] += 1
    types = {key: schemas[channel.schema_id].name for key, channel in channels.items() if channel.schema_id in schemas}
    offers = {key: parse_qos(channels[key].metadata.get("offered_qos_profiles", "")) for key in types}
    topics = [_topic(channels[key].topic, kind, counts[key], offers[key]) for key, kind in sorted(types.items())]
    store = _typestore({s.name: (s.encoding, s.data.decode()) for s in schemas.values()})

    def read(wanted: Collection[str]) -> Iterator[RawMessage]:
        for record in mcap_records(file):
            if hasattr(record, "log_time") and record.channel_id in types:
                topic = channels[record.channel_id].topic
                if topic in wanted:
                    yield RawMessage(topic, types[record.channel_id], record.log_time, record.data)

    return Salvaged(topics, read, store)


def _sqlite_damage(file: Path, head: bytes, size: int) -> str:
    for suffix, text in (("-wal", "its write-ahead log was never merged"), ("-journal", "its last write was undone")):
        extra = file.with_name(file.name + suffix)
        if extra.exists() and extra.stat().st_size:
            return f"the recorder was killed, {text}"
    expected = _expected_size(head)
    return f"cut off: {size} of {expected} bytes are there" if size < expected else ""


def _expected_size(head: bytes) -> int:
    return int(struct.unpack(">I", head[28:32].ljust(4, b"\0"))[0]) * _page_size(head)


def _page_size(head: bytes) -> int:
    size = int(struct.unpack(">H", head[16:18].ljust(2, b"\0"))[0])
    return 65536 if size == 1 else max(size, 512)


def _open_sqlite(file: Path, stack: ExitStack) -> Salvaged:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cvloc-")))
    copy = folder / file.name
    for suffix in ("", "-wal", "-journal"):  # a copy, because SQLite mends the file that it opens
        if (extra := file.with_name(file.name + suffix)).exists():
            shutil.copyfile(extra, folder / extra.name)
    with copy.open("rb") as stream:
        head = stream.read(100)
    page, cut_off = _page_size(head), copy.stat().st_size < _expected_size(head)
    os.truncate(copy, copy.stat().st_size // page * page)  # SQLite would fill up half a page with zeros
    db = sqlite3.connect(copy)
    stack.callback(db.close)
    db.execute("PRAGMA writable_schema=ON")  # otherwise SQLite refuses a file shorter than its header says
    topics: dict[int, tuple[str, str]] = {
        row[0]: (row[1], row[2]) for row in db.execute("SELECT id, name, type FROM topics").fetchall()
    }
    qos = dict(_rows(db, "SELECT id, offered_qos_profiles FROM topics"))
    definitions = {
        kind: (form, text)
        for kind, form, text in _rows(
            db, "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
        )
    }

    def rows() -> Iterator[tuple[Any, ...]]:
        if cut_off:
            return carve.messages(copy, page)
        return _rows(db, "SELECT topic_id, timestamp, data FROM messages ORDER BY id")

    counts = Counter(row[0] for row in rows())
    store = _typestore(definitions)

    def read(wanted: Collection[str]) -> Iterator[RawMessage]:
        for topic_id, stamp, data in rows():
            name, kind = topics.get(topic_id, ("", ""))
            if name in wanted:
                yield RawMessage(name, kind, stamp, data)

    return Salvaged(
        [_topic(*topics[key], counts[key], parse_qos(qos.get(key) or "")) for key in sorted(topics)],
        read,
        store,
    )


def _rows(db: sqlite3.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    """Yield rows until the end or the first damaged page."""
    try:
        yield from db.execute(query)
    except sqlite3.Error:
        return
