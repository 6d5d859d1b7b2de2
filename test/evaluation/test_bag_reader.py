# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags of every storage, whole, cut off, killed, empty and unreadable."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cvloc_ros.errors import BagError
from cvloc_ros.evaluation.bag import Bag

DATA = Path(__file__).parents[2].parent / "shared" / "data"
MakeBag = Callable[..., Path]


def stamps(path: Path) -> list[tuple[int, str]]:
    with Bag.open(path) as bag:
        return [(m.log_time_ns, m.topic) for m in bag.messages()]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3", "ros1"])
def test_whole_bag_is_read_in_log_time_order(make_bag: MakeBag, storage: str) -> None:
    path = make_bag(storage)
    with Bag.open(path) as bag:
        read = list(bag.messages())
        assert bag.notes == []
        assert bag.topics["/odom"].count == 40
        assert bag.topics["/fix"].type == "sensor_msgs/msg/NavSatFix"
    assert len(read) == sum(topic.count for topic in bag.topics.values())
    assert [m.log_time_ns for m in read] == sorted(m.log_time_ns for m in read)
    image = next(m for m in read if m.topic == "/camera/front/image/compressed")
    assert image.message.header.stamp.sec == 1_700_000_000
    assert stamps(path) == stamps(path)


@pytest.mark.parametrize(("storage", "suffix"), [("mcap", ".mcap"), ("sqlite3", ".db3")])
def test_file_and_folder_without_metadata_are_read(make_bag: MakeBag, storage: str, suffix: str) -> None:
    path = make_bag(storage)
    whole = stamps(path)
    assert stamps(next(path.glob(f"*{suffix}"))) == whole
    (path / "metadata.yaml").unlink()
    with Bag.open(path) as bag:
        assert "metadata.yaml is missing" in bag.notes[0]
        assert [(m.log_time_ns, m.topic) for m in bag.messages()] == whole


def test_only_the_topics_asked_for_are_read(make_bag: MakeBag) -> None:
    with Bag.open(make_bag()) as bag:
        assert {m.topic for m in bag.messages(["/fix", "/nothing"])} == {"/fix"}


def test_latched_topics_and_custom_data_are_known(make_bag: MakeBag) -> None:
    with Bag.open(make_bag(custom={"simulated": "true"})) as bag:
        assert bag.topics["/tf_static"].latched
        assert bag.topics["/tf_static"].reliability == "reliable"
        assert not bag.topics["/tf"].latched
        assert bag.custom == {"simulated": "true"}


@pytest.mark.parametrize("share", [0.9, 0.5])
def test_cut_off_mcap_is_read_as_far_as_it_goes(make_bag: MakeBag, share: float) -> None:
    path = make_bag(steps=3000, cameras=("front",))
    file = next(path.glob("*.mcap"))
    whole = stamps(path)
    (path / "metadata.yaml").unlink()
    os.truncate(file, int(file.stat().st_size * share))
    for way in (path, file):
        with Bag.open(way) as bag:
            found = [(m.log_time_ns, m.topic) for m in bag.messages()]
            assert "cut off" in " ".join(bag.notes)
        assert found == whole[: len(found)]
        assert 0 < len(found) < len(whole)


@pytest.mark.parametrize("keep_metadata", [True, False])
def test_cut_off_sqlite_is_read_as_far_as_it_goes(make_bag: MakeBag, keep_metadata: bool) -> None:
    path = make_bag("sqlite3", steps=600)
    file = next(path.glob("*.db3"))
    whole = stamps(path)
    os.truncate(file, int(file.stat().st_size * 0.6) + 7)
    before = file.read_bytes()
    if not keep_metadata:
        (path / "metadata.yaml").unlink()
    with Bag.open(path) as bag:
        found = [(m.log_time_ns, m.topic) for m in bag.messages()]
        assert "cut off" in " ".join(bag.notes)
    assert found == whole[: len(found)]
    assert len(found) > len(whole) // 4
    assert file.read_bytes() == before


def test_sqlite_whose_inner_pages_are_lost_is_read_page_by_page(make_bag: MakeBag) -> None:
    path = make_bag("sqlite3", steps=600)
    file = next(path.glob("*.db3"))
    whole = stamps(path)
    with sqlite3.connect(file) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'messages'").fetchone()
    db.close()
    with file.open("r+b") as stream:
        stream.seek((root - 1) * 4096)
        stream.write(bytes(4096))
    os.truncate(file, file.stat().st_size - 4096)
    with Bag.open(path) as bag:
        found = [(m.log_time_ns, m.topic) for m in bag.messages()]
    assert found == whole[: len(found)]
    assert len(found) > 0.9 * len(whole)


def test_recorder_killed_with_write_ahead_log_loses_nothing_committed(make_bag: MakeBag, tmp_path: Path) -> None:
    path = make_bag("sqlite3")
    whole = stamps(path)
    file = next(path.glob("*.db3"))
    killed = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("PRAGMA journal_mode=WAL")
rows = db.execute("SELECT id, topic_id, timestamp, data FROM messages ORDER BY id").fetchall()
db.execute("DELETE FROM messages"); db.commit(); db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
db.executemany("INSERT INTO messages VALUES (?, ?, ?, ?)", rows); db.commit()
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", killed, str(file)], check=False).returncode == 9
    assert file.with_name(file.name + "-wal").stat().st_size > 0
    with Bag.open(path) as bag:
        assert "write-ahead log" in " ".join(bag.notes)
        assert [(m.log_time_ns, m.topic) for m in bag.messages()] == whole
    assert file.with_name(file.name + "-wal").stat().st_size > 0


def test_humble_bag_without_definitions_is_read(make_bag: MakeBag) -> None:
    path = make_bag("sqlite3")
    whole = stamps(path)
    with sqlite3.connect(next(path.glob("*.db3"))) as db:
        db.execute("DROP TABLE message_definitions")
        db.execute("DROP TABLE schema")
        db.execute("ALTER TABLE topics DROP COLUMN type_description_hash")
    db.close()
    assert stamps(path) == whole


def test_damaged_message_is_left_out_and_named(make_bag: MakeBag) -> None:
    path = make_bag("sqlite3")
    with sqlite3.connect(next(path.glob("*.db3"))) as db:
        db.execute("UPDATE messages SET data = x'0001' WHERE id = (SELECT min(m.id) FROM messages m JOIN topics t "
                   "ON t.id = m.topic_id WHERE t.name = '/fix')")
    db.close()
    with Bag.open(path) as bag:
        assert len(list(bag.messages(["/fix"]))) == 3
        assert any("/fix" in note and "1 messages left out" in note for note in bag.notes)


def test_empty_bag_is_refused(make_bag: MakeBag) -> None:
    for storage in ("mcap", "sqlite3"):
        with pytest.raises(BagError, match="no message"):
            Bag.open(make_bag(storage, name=storage, rows=[]))


@pytest.mark.parametrize("name", ["noise.mcap", "noise.db3", "noise.bag", "noise.txt"])
@pytest.mark.parametrize("content", [b"", b"this is not a bag" * 100])
def test_unreadable_file_is_refused_with_its_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BagError, match=name):
        Bag.open(tmp_path / name)


def test_missing_path_and_foreign_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="no such bag"):
        Bag.open(tmp_path / "nowhere")
    with pytest.raises(BagError, match="sqlite3 and mcap"):
        Bag.open(tmp_path)


def test_unknown_storage_is_refused(make_bag: MakeBag) -> None:
    path = make_bag("sqlite3")
    next(path.glob("*.db3")).rename(path / "drive.rec")
    text = (path / "metadata.yaml").read_text()
    (path / "metadata.yaml").write_text(text.replace("sqlite3", "foo").replace(".db3", ".rec"))
    with pytest.raises(BagError, match="foo"):
        Bag.open(path)


@pytest.mark.skipif(not DATA.is_dir(), reason="shared/data is absent")
@pytest.mark.parametrize(
    ("name", "count"), [("paris_drive/bag", 6006), ("motion/husky", 16806), ("motion/husky.bag", 16806)]
)
def test_real_bags_are_read(name: str, count: int) -> None:
    with Bag.open(DATA / name) as bag:
        assert sum(1 for _ in bag.messages()) == count
        assert bag.notes == []
