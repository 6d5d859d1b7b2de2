# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Suite files: what ships can be run and keeps its seeds apart; what is wrong in a file is named with its key."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from cvloc_ros.datasets.simulated import Simulated as Worlds
from cvloc_ros.errors import ConfigError
from cvloc_ros.evaluation.suite.axes import AXES
from cvloc_ros.evaluation.suite.plan import make_plan
from cvloc_ros.evaluation.suite.spec import Recorded, Simulated, find, load, shipped

ROOT = Path(__file__).resolve().parents[3]
TUNING = range(500_000, 600_000)
TRAINING = range(400_000)
FIRST_EVALUATION = 900_000

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def made(text: str) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return made


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_suite_can_be_planned(name: str) -> None:
    plan = make_plan(load(find(name)))
    assert len(plan.jobs) >= 3
    assert all(skip.name.condition.startswith("cameras=") for skip in plan.skipped)


def test_paths_of_simulated_drives_begin_at_the_suite(write: Write) -> None:
    path = write("title: t\ndrives: {a: {seed: 1, world: 'imagery:maps/a.tif', heights: b.tif, motion: c.npz}}\n")
    drive = load(path).drives["a"]
    assert isinstance(drive, Simulated)
    assert drive.world == f"imagery:{path.parent / 'maps' / 'a.tif'}"
    assert (drive.heights, drive.motion) == (path.parent / "b.tif", path.parent / "c.npz")


def test_sweeps_hold_every_axis() -> None:
    assert set(load(find("sweeps")).sweeps) == set(AXES) - {"sensors"}


def seeds_of(path: Path) -> dict[str, int]:
    return {name: drive.seed for name, drive in load(path).drives.items() if isinstance(drive, Simulated)}


def test_each_drive_has_a_seed_of_its_own_and_of_its_purpose() -> None:
    taken: dict[int, str] = {}
    for suite, path in shipped().items():
        for drive, seed in seeds_of(path).items():
            right = seed in TUNING if suite == "tuning" else seed >= FIRST_EVALUATION
            assert right, f"{suite}.{drive}: seed {seed}; docs/evaluation.md says which are free"
            assert seed not in taken, f"{suite}.{drive} and {taken[seed]} are the same world"
            taken[seed] = f"{suite}.{drive}"
        assert not any(drive.world.startswith("imagery:") for drive in load(path).drives.values()), "name its area here"


def test_seeds_of_the_evaluation_appear_nowhere_else() -> None:
    """Training, tuning, benchmarks, demo and the commands of the documents draw their worlds elsewhere."""
    folders = "config/train", "benchmarks", "docs", "cvloc_ros/cli", "cvloc_ros/datasets", "cvloc_ros/training"
    files = [path for name in folders for path in (ROOT / name).rglob("*") if path.suffix in (".yaml", ".py", ".md")]
    files.remove(ROOT / "docs" / "evaluation.md")  # shows how to write a suite
    for path in [*files, ROOT / "README.md", ROOT / "Makefile", shipped()["tuning"]]:
        for line in path.read_text(encoding="utf-8").splitlines():
            for number in re.findall(r"seed\w*\W{1,12}(\d+)", line):
                assert int(number) < FIRST_EVALUATION, f"{path}: {line.strip()}"


def test_worlds_of_training_are_none_of_the_evaluation() -> None:
    files = sorted((ROOT / "config" / "train").glob("*.yaml"))
    assert files
    for path in files:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        for part, allowed in (("data", (TRAINING,)), ("validation", (TRAINING, TUNING))):
            if "simulated" in tree.get(part, {}):
                drawn = Worlds.model_validate(tree[part]["simulated"])
                ends = drawn.seed(0), drawn.seed(drawn.worlds - 1)
                assert any(ends[0] in seeds and ends[1] in seeds for seeds in allowed), f"{path}: {part} draws {ends}"


DRIVE = "title: t\ndrives:\n  a: {seed: 1}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("title: t\ndrives: {a: {sed: 1}}", r"drives\.a\.sed: unknown key; did you mean seed\?"),
        ("title: t\ndrives: {a: {}}", r"drives\.a\.seed: is missing"),
        ("title: t\ndrives: {a: {seed: 1, world: twon}}", r"drives\.a\.world = 'twon'.*did you mean town"),
        ("title: t\ndrives: {a: {seed: 1, rig: kity}}", r"drives\.a\.rig = 'kity': rigs are demo, kitti"),
        ("title: t\ndrives: {a: {seed: 1, gnss_m: 0}}", r"drives\.a\.gnss_m = 0: .*0\.1"),
        ("title: t\ndrives: {a: {seed: 1, yaw_deg: none}}", r"drives\.a\.yaw_deg = 'none'"),
        ("title: t\ndrives: {a: {bag: x}}", r"drives\.a\.map: is missing"),
        ("title: t\ndrives: {a: {seed: 1}, a: {seed: 2}}", r"'a' is given twice"),
        ("title: t\ndrives: {a: 3}", r"drives\.a: settings are expected"),
        ("title: t\ndrives: {a/b: {seed: 1}}", r"drives\.a/b: names"),
        ("title: t\ndrives: [a]", r"drives: names with settings"),
        ("title: t", r"drives: is missing"),
        ("title: t\ndrives: {}", r"drives"),
        ("drives: {a: {seed: 1}}", r"title: is missing"),
        ("- a", r"a mapping with title and drives"),
        ("a: [", r"mine\.yaml: "),
        (DRIVE + "drivse: {}", r"drivse: unknown key; did you mean drives\?"),
        (DRIVE + "defaults: 3", r"defaults: a mapping"),
        (DRIVE + "conditions: {n: {wether: night}}", r"conditions\.n\.wether: unknown key; did you mean weather\?"),
        (DRIVE + "conditions: {n: {outages: [[1, 0]]}}", r"conditions\.n\.outages"),
        (DRIVE + "sweeps: {gnns_m: [1]}", r"sweeps\.gnns_m: no such axis; did you mean gnss_m\?"),
        (DRIVE + "sweeps: {gnss_m: 5}", r"sweeps\.gnss_m: a list of values"),
        (DRIVE + "sweeps: {gnss_m: [5, 500]}", r"sweeps\.gnss_m = 500"),
        (DRIVE + "sweeps: 5", r"sweeps: axes with lists"),
    ],
)
def test_fault_of_a_file_is_named_with_its_key(write: Write, text: str, told: str) -> None:
    path = write(text)
    with pytest.raises(ConfigError, match=told) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_all_faults_are_told_at_once(write: Write) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write("title: t\ndrives: {a: {sed: 1}, b: {seed: 1, rig: x}}\nsweeps: {sped: [1]}"))
    assert len(str(caught.value).splitlines()) == 4


def test_missing_file_and_unknown_suite(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml"):
        load(find(str(tmp_path / "nothing.yaml")))
    with pytest.raises(ConfigError, match=r"did you mean standard\?.*smoke"):
        find("standart")


def test_defaults_are_of_simulated_drives_and_give_way_to_the_drive(write: Write) -> None:
    suite = load(write("title: t\ndefaults: {seconds: 9, gnss_m: 4}\ndrives: {a: {seed: 1}, b: {seed: 2, gnss_m: 8},"
                       " c: {bag: x, map: m.mbtiles}}"))  # fmt: skip
    a, b, c = suite.drives.values()
    assert (a.seconds, a.gnss_m, b.seconds, b.gnss_m, c.gnss_m) == (9, 4, 9, 8, None)


def test_paths_of_a_recorded_drive_are_relative_to_the_file(write: Write) -> None:
    path = write("title: t\ndrives: {a: {bag: ../bags/x, map: m.mbtiles, truth: t.tum, settings: car.yaml},"
                 " b: {bag: /bags/y, map: 'provider:swisstopo'}, c: {bag: z, map: 'https://x/{z}/{x}/{y}.png'}}")
    a, b, c = load(path).drives.values()
    assert isinstance(a, Recorded)
    assert a.bag == path.parent.parent / "bags/x"
    assert (a.truth, a.settings) == (path.parent / "t.tum", path.parent / "car.yaml")
    assert a.map == str(path.parent / "m.mbtiles")
    assert (str(b.bag), b.map, c.map) == ("/bags/y", "provider:swisstopo", "https://x/{z}/{x}/{y}.png")
