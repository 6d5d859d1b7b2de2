# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One reader for every bag: ROS 2 sqlite3 and mcap (folder or file, whole or cut off by a crash) and ROS 1."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import yaml
from rosbags.typesys.store import Typestore

from cvloc_ros.errors import BagError
from cvloc_ros.evaluation import salvage
from cvloc_ros.evaluation.salvage import RawMessage, Topic

REORDER_NS = 1_000_000_000
"""Parts of one recording overlap in log time by less than this."""


class BagMessage(NamedTuple):
    """One deserialised message; `type` is spelled `package/msg/Name` for ROS 1 as well."""

    topic: str
    type: str
    log_time_ns: int
    message: Any


@dataclass(slots=True)
class _Part:
    """One file (or one whole bag) with what is needed to read it."""

    topics: list[Topic]
    read: Callable[[Collection[str]], Iterator[RawMessage]]
    deserialize: Callable[[bytes, str], Any]
    store: Callable[[], Typestore]


@dataclass(slots=True)
class Bag:
    """An open bag. Use as a context manager; `notes` tells people what is damaged or was left out."""

    path: Path
    custom: dict[str, str]
    notes: list[str]
    topics: dict[str, Topic] = field(default_factory=dict)
    _parts: list[_Part] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)

    @classmethod
    def open(cls, path: Path | str) -> Bag:
        """Open a bag folder, an .mcap, .db3 or .bag file.

        Raises:
            BagError: it does not exist, its storage is unknown, nothing of it can be read, or it holds no message.
        """
        path = Path(path).expanduser()
        if not path.exists():
            msg = f"{path}: no such bag; give a bag folder or an .mcap, .db3 or .bag file"
            raise BagError(msg)
        bag = cls(path, _custom_data(path), [])
        try:
            bag._open_parts()
            bag.topics = _merged(bag._parts)
            bag._check_content()
        except BaseException:
            bag.close()
            raise
        return bag

    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """Yield messages of `topics` (None: all) in log-time order, ties in the order of recording.

        A message that cannot be deserialised is left out and counted in `notes`.
        """
        wanted = set(self.topics if topics is None else topics)
        streams = [_tagged(part, wanted) for part in self._parts]
        broken: dict[str, int] = {}
        for part, raw in _in_order(streams, 0 if self._sorted else REORDER_NS):
            try:
                message = part.deserialize(raw.data, raw.type)
            except salvage.READ_FAULTS as err:
                if not broken.get(raw.topic):
                    self.notes.append(f"{raw.topic}: a message cannot be deserialised ({type(err).__name__}: {err})")
                broken[raw.topic] = broken.get(raw.topic, 0) + 1
                continue
            yield BagMessage(raw.topic, raw.type, raw.log_time_ns, message)
        self.notes.extend(f"{topic}: {count} messages left out" for topic, count in sorted(broken.items()))

    def raw_messages(self) -> Iterator[tuple[RawMessage, Typestore]]:
        """Yield every message as recorded, with the types of its file."""
        streams = [_tagged(part, set(self.topics)) for part in self._parts]
        for part, raw in _in_order(streams, 0 if self._sorted else REORDER_NS):
            yield raw, part.store()

    def find(self, *types: str) -> list[Topic]:
        """Return the topics of the given types (short names such as NavSatFix), by name."""
        return sorted((t for t in self.topics.values() if t.type.split("/")[-1] in types), key=lambda t: t.name)

    def close(self) -> None:
        """Close all files."""
        self._parts.clear()
        self._stack.close()

    def __enter__(self) -> Bag:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        """Close all files."""
        self.close()

    @property
    def _sorted(self) -> bool:
        return len(self._parts) == 1 and not self.notes

    def _check_content(self) -> None:
        if not any(topic.count for topic in self.topics.values()):
            msg = f"{self.path}: the bag holds no message; was the recorder running, and were its topics published?"
            raise BagError(msg)

    def _open_parts(self) -> None:
        files = _files(self.path)
        damage = {file: salvage.damage(file) for file in files}
        complete = self.path.is_file() or (self.path / "metadata.yaml").is_file()
        if complete and not any(damage.values()):
            try:
                self._parts.append(_indexed(self.path, self._stack, self.notes))
                return
            except BagError as err:
                if self.path.is_file() or not files:
                    raise
                self.notes.append(f"{err}; its files are read one by one")
        elif not files:
            msg = f"{self.path}: no .mcap or .db3 file; sqlite3 and mcap storage are read, others: `ros2 bag convert`"
            raise BagError(msg)
        elif not complete:
            self.notes.append("metadata.yaml is missing (was the recorder killed?); the files are read one by one")
        for file in files:
            self._parts.append(self._open_file(file, damage[file]))

    def _open_file(self, file: Path, damage: str) -> _Part:
        if not damage:
            try:
                return _indexed(file, self._stack, self.notes)
            except BagError as err:
                damage = str(err)
        found = salvage.open_damaged(file, self._stack)
        count = sum(topic.count for topic in found.topics)
        self.notes.append(f"{file.name}: {damage}; {count} messages could be read")
        return _Part(found.topics, found.read, found.store.deserialize_cdr, lambda: found.store)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]

    def order(file: Path) -> tuple[int, str]:
        number = file.stem.rpartition("_")[2]
        return (int(number) if number.isdigit() else -1, file.name)

    return sorted((f for f in path.iterdir() if f.suffix in salvage.STORAGES), key=order)


def _indexed(path: Path, stack: ExitStack, notes: list[str]) -> _Part:
    from rosbags.highlevel import AnyReader

    try:
        reader = AnyReader([path], default_typestore=salvage.default_typestore())
        stack.enter_context(reader)
    except salvage.READ_FAULTS as err:
        hint = "`rosbag reindex` mends ROS 1 bags" if path.suffix == ".bag" else "`ros2 bag reindex` may mend it"
        msg = f"{path}: cannot be read as a bag ({str(err) or type(err).__name__}); {hint}"
        raise BagError(msg) from err
    topics = [salvage.topic_of(connection) for connection in reader.connections]

    def read(wanted: Collection[str]) -> Iterator[RawMessage]:
        connections = [c for c in reader.connections if c.topic in wanted]
        if not connections:
            return
        try:
            for connection, stamp, data in reader.messages(connections=connections):
                yield RawMessage(connection.topic, connection.msgtype, stamp, data)
        except salvage.READ_FAULTS as err:
            notes.append(f"{path.name}: reading stopped early: {str(err) or type(err).__name__}")

    return _Part(topics, read, reader.deserialize, lambda: reader.typestore)


def _custom_data(path: Path) -> dict[str, str]:
    file = (path if path.is_dir() else path.parent) / "metadata.yaml"
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
        custom = tree["rosbag2_bagfile_information"].get("custom_data") or {}
        return {str(key): str(value) for key, value in custom.items()}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return {}


def _merged(parts: list[_Part]) -> dict[str, Topic]:
    found: dict[str, Topic] = {}
    for topic in (topic for part in parts for topic in part.topics):
        known = found.get(topic.name)
        found[topic.name] = topic if known is None else known.joined(topic)
    return dict(sorted(found.items()))


def _tagged(part: _Part, wanted: Collection[str]) -> Iterator[tuple[_Part, RawMessage]]:
    for raw in part.read(wanted):
        yield part, raw


def _in_order(
    streams: list[Iterator[tuple[_Part, RawMessage]]], horizon_ns: int
) -> Iterator[tuple[_Part, RawMessage]]:
    """Sort within a sliding horizon: recorders write almost in order, so that nothing needs to be held for long."""
    heap: list[tuple[int, int, _Part, RawMessage]] = []
    newest = -(2**63)
    for number, (part, raw) in enumerate(item for stream in streams for item in stream):
        heapq.heappush(heap, (raw.log_time_ns, number, part, raw))
        newest = max(newest, raw.log_time_ns)
        while heap and heap[0][0] <= newest - horizon_ns:
            _, _, first_part, first = heapq.heappop(heap)
            yield first_part, first
    while heap:
        _, _, first_part, first = heapq.heappop(heap)
        yield first_part, first


