# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command as a user meets it: exit codes, messages, settings."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cvloc_ros.cli.main import COMMANDS, join_negative, main
from cvloc_ros.cli.settings import build, parse_assignments, parse_datum
from cvloc_ros.errors import ConfigError

CVLOC = [sys.executable, "-m", "cvloc_ros.cli.main"]


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_lists_all_commands_and_imports_nothing_heavy(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "--help")
    assert code == 0
    assert all(name in out for name in COMMANDS)
    heavy = "('torch', 'cv2', 'numpy', 'rosbags', 'tyro', 'plotly', 'rclpy')"
    probe = "import sys; from cvloc_ros.cli.main import main; main(['--help']); "
    probe += f"sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", probe], check=False, capture_output=True).returncode == 0


def test_no_command_and_unknown_command_are_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys)[0] == 2
    code, _, err = call(capsys, "reply")
    assert code == 2 and "replay" in err


@pytest.mark.parametrize("name", ["replay", "evaluate", "simulate", "doctor", "params", "bag"])
def test_each_command_explains_its_options(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, out, _ = call(capsys, name, "--help")
    assert code == 0 and "usage: cvloc" in out


def test_missing_bag_is_one_message_and_exit_code_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = call(capsys, "replay", str(tmp_path / "nothing"), "--map", "x.mbtiles")
    assert code == 2 and out == ""
    assert err.startswith("cvloc: ") and "no such bag" in err and "Traceback" not in err
    assert call(capsys, "doctor", str(tmp_path / "nothing"))[0] == 2


def test_unknown_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "replay", "bag", "--mapp", "x")[0] == 2


def test_unknown_key_is_refused_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "replay", "bag", "--set", "search.radius_mim_m=15")
    assert code == 2 and "search.radius_min_m" in err


def test_params_prints_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "params")
    assert code == 0 and "radius_min_m" in out


def test_interrupt_ends_with_130(tmp_path: Path) -> None:
    fifo = tmp_path / "config.yaml"
    os.mkfifo(fifo)
    process = subprocess.Popen([*CVLOC, "replay", "bag", "--config", str(fifo)], stderr=subprocess.PIPE, text=True)
    # Opening the fifo for writing returns once the command has opened it for reading.
    with fifo.open("w"):
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err


def test_assignments_are_yaml_and_nest() -> None:
    assert parse_assignments(["search.radius_min_m=15", "geo.datum=[1, 2, 0]", "tiles.offline=true", "tiles.crs="]) == {
        "search": {"radius_min_m": 15}, "geo": {"datum": [1, 2, 0]}, "tiles": {"offline": True, "crs": ""},
    }
    for wrong in ("search", "=1", "a=[1"):
        with pytest.raises(ConfigError):
            parse_assignments([wrong])
    with pytest.raises(ConfigError, match="was given a value"):
        parse_assignments(["a=1", "a.b=2"])


def test_later_layers_win_and_camera_overrides_wait_for_the_bag(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("/**:\n  ros__parameters:\n    tiles: {source: a.mbtiles}\n    search: {radius_min_m: 12.0}\n")
    changes = ["search.radius_min_m=15", "cameras.front.mask_file=m.png"]
    config, cameras = build(file, "b.mbtiles", "-33.8,151.2", changes)
    assert (config.tiles.source, config.search.radius_min_m) == ("b.mbtiles", 15.0)
    assert config.geo.datum == [-33.8, 151.2, 0.0]
    assert cameras == {"front": {"mask_file": "m.png"}}
    with pytest.raises(ConfigError, match=r"absent\.yaml"):
        build(tmp_path / "absent.yaml", "", "", [])


def test_negative_values_are_no_options() -> None:
    assert join_negative(["bag", "--datum", "-33.8,151.2", "--quiet", "--initial-yaw-deg", "-88.6"]) == [
        "bag", "--datum=-33.8,151.2", "--quiet", "--initial-yaw-deg=-88.6",
    ]
    assert parse_datum("-33.8, 151.2,0.1") == [-33.8, 151.2, 0.1]
    for wrong in ("", "1", "a,b", "1,2,3,4"):
        with pytest.raises(ConfigError, match="--datum"):
            parse_datum(wrong)


@pytest.mark.parametrize("option", ["--max-images", "--start", "--duration"])
def test_negative_part_of_a_bag_is_refused(capsys: pytest.CaptureFixture[str], option: str) -> None:
    code, _, err = call(capsys, "replay", "nowhere", option, "-1")
    assert code == 2 and f"{option} -1: give a number" in err


def test_recover_of_nothing_leaves_nothing_behind(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "empty.mcap").write_bytes(b"")
    code, _, err = call(capsys, "bag", "recover", str(tmp_path / "empty.mcap"), str(tmp_path / "out"))
    assert code == 2 and "is empty" in err
    assert not (tmp_path / "out").exists()
