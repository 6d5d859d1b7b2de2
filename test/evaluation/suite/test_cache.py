# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is kept, under which key, and what is not taken for whole."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cvloc_ros.errors import CvlocError
from cvloc_ros.evaluation.suite import sources
from cvloc_ros.evaluation.suite.cache import Cache, Finished, default_root, drive_key
from cvloc_ros.evaluation.suite.job import task_of
from cvloc_ros.evaluation.suite.plan import Job, make_plan
from cvloc_ros.evaluation.suite.record import RunRecord
from cvloc_ros.evaluation.suite.spec import load
from cvloc_ros.simulation.scene import FRONT, Scene

ROOT = Path(__file__).resolve().parents[3]
TINY = Scene(
    seed=3, duration_s=1.0, size_m=(60.0, 60.0), resolution_m=0.5, image_rate_hz=1.0, map_zooms=(17,),
    cameras=(replace(FRONT, width=160, height=100, focal_px=100.0),),
)  # fmt: skip


def job(tmp_path: Path, drive: str = "{seed: 1, renderer: flat}", rest: str = "") -> Job:
    path = tmp_path / "suite.yaml"
    path.write_text(f"title: t\ndrives:\n  a: {drive}\n{rest}", encoding="utf-8")
    return make_plan(load(path)).jobs[0]


def key(made: Job) -> str:
    return task_of(made, None, report=False).key


def test_equal_runs_have_equal_keys(tmp_path: Path) -> None:
    assert key(job(tmp_path)) == key(job(tmp_path, "{seed: 1, renderer: flat, world: town}"))


@pytest.mark.parametrize(
    ("drive", "rest"),
    [
        ("{seed: 2, renderer: flat}", ""),
        ("{seed: 1, renderer: flat, seconds: 9}", ""),
        ("{seed: 1, renderer: flat, gnss_m: 9}", ""),
        ("{seed: 1, renderer: flat, yaw_deg: 5}", ""),
        ("{seed: 1, renderer: flat, yaw_deg: 6}", ""),
        ("{seed: 1, renderer: flat, window_m: 9}", ""),
        ("{seed: 1, renderer: flat, outages: [[1, 2]]}", ""),
        ("{seed: 1, renderer: flat}", "config: {estimation.min_score: 0.2}"),
        ("{seed: 1, renderer: flat}", "matchers: {classical: {matcher.keyframes: 4}}"),
        ("{seed: 1, renderer: flat}", "matchers: {loc2: {}}"),
        ("{bag: suite.yaml, map: x}", ""),
    ],
)
def test_whatever_changes_the_result_changes_the_key(tmp_path: Path, drive: str, rest: str) -> None:
    assert key(job(tmp_path, drive, rest)) != key(job(tmp_path))


def test_names_do_not_matter_but_for_the_drawn_yaw(tmp_path: Path) -> None:
    """A condition that changes nothing shares its result with the base."""
    assert key(job(tmp_path, rest="conditions: {same: {}}")) == key(job(tmp_path))


@pytest.mark.parametrize("name", ["bag", "map.mbtiles", "weights.bin", "truth.tum"])
def test_files_count_by_their_content(tmp_path: Path, name: str) -> None:
    for file in ("bag", "map.mbtiles", "weights.bin", "truth.tum"):
        (tmp_path / file).write_text("one")
    text = "{bag: bag, map: map.mbtiles, truth: truth.tum}", "matchers: {fg2: {matcher.fg2.weights: weights.bin}}"
    before = key(job(tmp_path, *text))
    (tmp_path / name).write_text("another")
    assert key(job(tmp_path, *text)) != before
    (tmp_path / name).write_text("one")
    assert key(job(tmp_path, *text)) == before


def test_missing_bag_is_told_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(CvlocError, match=r"nothing.*No such file"):
        key(job(tmp_path, "{bag: nothing, map: m}"))


def test_code_that_takes_part_counts_and_other_code_does_not() -> None:
    replay = sources.files("cvloc_ros.evaluation.run")
    names = {str(path.relative_to(ROOT)) for path in replay}
    assert {"cvloc_ros/session.py", "cvloc_ros/estimation/gates.py", "cvloc_ros/config/__init__.py"} <= names
    assert not {name for name in names if name.startswith(("cvloc_ros/ros", "cvloc_ros/cli", "cvloc_ros/simulation"))}
    assert not {name for name in names if "/report/" in name or "/fg2/network" in name}
    drives = {str(path.relative_to(ROOT)) for path in sources.files("cvloc_ros.simulation.writer")}
    assert {"cvloc_ros/simulation/gl/renderer.py", "cvloc_ros/simulation/gl/shaders/ground.frag.glsl"} <= drives
    assert {"cvloc_ros/geo/projection.py", "cvloc_ros/simulation/sensors.py"} <= drives
    assert not {name for name in drives if name.startswith("cvloc_ros/evaluation")}


def test_edited_source_changes_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "cvloc_ros" / "geo", tmp_path / "cvloc_ros" / "geo")
    (tmp_path / "cvloc_ros" / "__init__.py").write_text("")
    monkeypatch.setattr(sources, "_ROOT", tmp_path)
    sources.code_digest.cache_clear()
    before = sources.code_digest("cvloc_ros.geo.projection")
    sources.code_digest.cache_clear()
    assert sources.code_digest("cvloc_ros.geo.projection") == before
    (tmp_path / "cvloc_ros" / "geo" / "crs.py").write_text("CHANGED = 1\n")  # imported by projection
    sources.code_digest.cache_clear()
    assert sources.code_digest("cvloc_ros.geo.projection") != before
    sources.code_digest.cache_clear()


MAKE = """
import sys
from pathlib import Path
from cvloc_ros.evaluation.suite.cache import Cache
from cvloc_ros.simulation.scene import Scene
sys.stdin.read()
Cache(Path(sys.argv[1])).drive(Scene.load(Path(sys.argv[2])))
"""
"""A process of its own, not a fork: OpenCV's threads do not survive one, and the child hung on them."""


def test_two_processes_make_one_drive(tmp_path: Path) -> None:
    scene = tmp_path / "tiny.yaml"
    scene.write_text(TINY.to_yaml(), encoding="utf-8")
    command = [sys.executable, "-c", MAKE, str(tmp_path), str(scene)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT) for _ in range(2)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    folder = Cache(tmp_path).drive(TINY)
    written = (folder / "bag" / "metadata.yaml").stat().st_mtime_ns
    assert Cache(tmp_path).drive(TINY) == folder
    assert (folder / "bag" / "metadata.yaml").stat().st_mtime_ns == written


def test_half_written_drive_is_made_again(tmp_path: Path) -> None:
    folder = Cache(tmp_path).drive(TINY)
    (folder / "scene.yaml").rename(folder / "scene.yaml.part")  # where the writer was cut off
    (folder / "bag" / "metadata.yaml").unlink()
    Cache(tmp_path).drive(TINY)
    assert (folder / "scene.yaml").is_file() and (folder / "bag" / "metadata.yaml").is_file()


def test_key_of_a_drive_holds_its_settings_and_the_files_that_it_names(tmp_path: Path) -> None:
    motion = tmp_path / "motion.npz"
    motion.write_bytes(b"one")
    moved = replace(TINY, motion=str(motion))
    before = drive_key(moved)
    assert before != drive_key(TINY) != drive_key(replace(TINY, seed=4))
    motion.write_bytes(b"two")
    sources._file_digest.cache_clear()
    assert drive_key(moved) != before


def test_broken_result_is_no_result(tmp_path: Path, by_hand: Callable[..., RunRecord]) -> None:
    cache = Cache(tmp_path)
    cache.save("k", Finished(by_hand([{"off": (1, 0, 0)}])))
    assert cache.load("k", report=False) is not None
    path = tmp_path / "results" / "k.npz"
    path.write_bytes(path.read_bytes()[:200])
    assert cache.load("k", report=False) is None and not path.exists()


def test_result_without_report_is_none_where_one_is_wanted(
    tmp_path: Path, by_hand: Callable[..., RunRecord]
) -> None:
    cache = Cache(tmp_path)
    cache.save("k", Finished(by_hand([{}])))
    assert cache.load("k", report=True) is None
    cache.save("k", Finished(by_hand([{}]), b"<html>"))
    found = cache.load("k", report=True)
    assert found is not None and found.report == b"<html>"


def test_folder_that_cannot_be_written_is_told_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CvlocError, match=r"cannot be written.*--cache"):
        Cache(tmp_path / "file" / "below")


def test_full_disk_leaves_no_part_of_a_drive(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk."""
    script = f"""
import resource, signal, sys
from pathlib import Path
from cvloc_ros.errors import CvlocError
from cvloc_ros.evaluation.suite.cache import Cache
from cvloc_ros.simulation.scene import Scene
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
scene = Scene.from_yaml('''{TINY.to_yaml()}''')
try:
    Cache(Path({str(tmp_path)!r})).drive(scene)
except CvlocError as err:
    sys.exit(f"told: {{err}}")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert "told: " in done.stderr and "--cache" in done.stderr and "free some space" in done.stderr, done.stderr[-800:]
    assert [path for path in (tmp_path / "drives").iterdir() if path.is_dir()] == []


def test_size_and_clearing(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.drive(TINY)
    assert cache.size_mb() > 0.01
    cache.clear()
    assert cache.size_mb() == 0


def test_default_folder_is_below_that_of_the_tile_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "cvloc_ros" / "evaluate"
