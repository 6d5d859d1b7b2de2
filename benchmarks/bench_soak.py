# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Soak of the node: a simulated drive in a loop with faults, and rounds of its lifecycle; truth is known.

`python -m benchmarks.bench_soak --minutes 30` plays at the highest rate that the machine carries: the clock of the
drive stands still while the node, a process of its own with the classical matcher, works on an image. Each loop loses
a camera, both cameras, GNSS and the tile server for a while, and ends with a clock that goes back. Between loops the
node is taken down and up again many times, and its tile cache is emptied. Exit code 1 where a check fails.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from benchmarks.soak_parts import Driver, Tape, TileServer

OUT = Path("out/soak")
MINUTES, CYCLES, LOOP_S, BURSTS = 30.0, 200, 64.0, 4
WRONG_M, FLAT, RECOVERY_S = 3.0, 0.05, 20.0
FAULTS = {"no tiles": (0.0, 8.0), "no rear": (14.0, 20.0), "no cameras": (24.0, 30.0), "no gnss": (34.0, 49.0)}
"""Seconds of each loop. Without tiles a loop has to begin: later on, the cache would hide it."""
REAL_TIME_S = 28.0
"""So long a loop with an empty cache is played in real time: the pauses between requests to a server are."""
METHOD = "simulated drive in a loop, flat renderer, classical matcher with one thread; times are wall clock"
ROUND = ("configure", "activate", "deactivate", "cleanup")


@dataclass(slots=True)
class Seen:
    """What came of it. `errors_m` are of all poses; `loops` and `rounds` hold one sample of the process each."""

    errors_m: list[float] = field(default_factory=list)
    wrong: list[dict[str, Any]] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    stages_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    loops: list[dict[str, Any]] = field(default_factory=list)
    rounds: list[dict[str, Any]] = field(default_factory=list)
    round_s: list[float] = field(default_factory=list)
    refused: int = 0
    late: list[str] = field(default_factory=list)
    """Faults after which no pose came for too long."""
    executor: dict[str, list[float]] = field(default_factory=dict)
    """Delay of a timer on the node's executor, and processor time of its thread between two, milliseconds."""
    simulated_s: float = 0.0
    wall_s: float = 0.0
    exit_code: int | None = None
    tracebacks: int = 0


def soak(minutes: float, cycles: int) -> Seen:
    """Run it; see the module."""
    from benchmarks.soak_parts import Driver, Tape, TileServer, parameters, prepare
    from cvloc_ros.cli.processes import Process, private_environment
    from cvloc_ros.ros.domains import claim_domain

    drive = prepare(OUT / "drive", LOOP_S)
    tape = Tape(drive)
    environment = private_environment(claim_domain())
    os.environ.update(environment)
    notes = OUT / "watched.json"
    notes.unlink(missing_ok=True)
    seen, loops = Seen(), max(2, round(minutes * 60.0 / LOOP_S))
    with TileServer(drive) as server:
        file = str(parameters(drive, OUT, server.url))
        arguments = [str(notes), "--ros-args", "--params-file", file, "-p", "use_sim_time:=true"]
        with Process("benchmarks.watched", arguments, environment, OUT / "node.log") as node, Driver(tape) as driver:
            _run(driver, server, seen, loops, cycles, node.pid)
            seen.exit_code = node.stop()
        if notes.is_file():
            seen.executor = json.loads(notes.read_text(encoding="utf-8"))
        seen.tracebacks = node.log.read_text(encoding="utf-8", errors="replace").count("Traceback")
    return seen


def _run(driver: Driver, server: TileServer, seen: Seen, loops: int, cycles: int, pid: int) -> None:
    from benchmarks.soak_parts import sample

    done, fresh = 0, True
    _round(driver, seen)  # the first one loads libraries
    seen.rounds.append({"after": 0, **sample(pid), **driver.entities()})
    _clear_cache()
    driver.change("configure", "activate")
    for loop in range(loops):
        begin = time.monotonic()
        _drive(driver, server, seen, loop, fresh=fresh)
        seen.wall_s += time.monotonic() - begin
        seen.loops.append({"loop": loop, "wall_s": time.monotonic() - begin, **sample(pid)})
        fresh = False
        due = cycles * ((loop + 1) * BURSTS // loops) // BURSTS
        if due > done or loop == loops - 1:
            driver.change("deactivate", "cleanup")
            for _ in range(done, due):
                _round(driver, seen)
            done, fresh = due, True
            seen.rounds.append({"after": done, **sample(pid), **driver.entities()})
            _clear_cache()
            driver.change("configure", "activate")
        sys.stderr.write(f"loop {loop + 1} of {loops}: {seen.loops[-1]} rounds {done}\n")
    driver.change("deactivate", "cleanup")
    seen.refused = driver.refused


def _round(driver: Driver, seen: Seen) -> None:
    begin = time.monotonic()
    driver.change(*ROUND)
    seen.round_s.append(time.monotonic() - begin)


def _clear_cache() -> None:
    shutil.rmtree(OUT / "cache", ignore_errors=True)


def _drive(driver: Driver, server: TileServer, seen: Seen, loop: int, *, fresh: bool) -> None:
    """Play the tape once, with its faults, and judge what the node says."""
    driver.connect()
    begin = time.monotonic()
    poses_s: list[float] = []
    for item in driver.tape.items:
        at_s = (item.log_ns - driver.tape.start_ns) * 1e-9
        down = {name for name, (begin, end) in FAULTS.items() if begin <= at_s < end}
        server.up = "no tiles" not in down
        if fresh and at_s < REAL_TIME_S:
            time.sleep(max(0.0, begin + at_s - time.monotonic()))
        lost = item.camera and ("no cameras" in down or (item.camera == "rear" and "no rear" in down))
        if lost or (item.topic == "/fix" and "no gnss" in down):
            continue
        driver.send(item)
        if item.ends_set or (item.camera == "front" and "no rear" in down):
            driver.wait_for(item.stamp_ns)
        for pose in driver.taken_poses():
            poses_s.append((pose.stamp_ns - driver.tape.start_ns) * 1e-9)
            _judge(pose, driver.tape, seen, loop, sorted(down))
    for status in driver.taken_statuses():
        seen.statuses[status.status] += 1
        for stage, seconds in zip(status.stages, status.stage_s, strict=True):
            seen.stages_ms[stage].append(seconds * 1e3)
    seen.simulated_s += LOOP_S
    for name, (_, end) in FAULTS.items():
        if not any(end <= at_s <= end + RECOVERY_S for at_s in poses_s):
            seen.late.append(f"loop {loop}: no pose for {RECOVERY_S:g} s after {name}")


def _judge(pose: Any, tape: Tape, seen: Seen, loop: int, down: list[str]) -> None:
    truth = tape.truth_at(pose.stamp_ns)
    error_m = float(np.hypot(*(np.array([pose.x_m, pose.y_m]) - truth)))
    seen.errors_m.append(error_m)
    if error_m > WRONG_M:
        at_s = (pose.stamp_ns - tape.start_ns) * 1e-9
        seen.wrong.append({"loop": loop, "at_s": at_s, "error_m": error_m, "sigma_m": pose.sigma_m, "down": down})


def checks(seen: Seen, cycles: int) -> dict[str, tuple[bool, str]]:
    """Judge; {what: (passed, what was found)}."""
    growth = _growth([loop["rss_mb"] for loop in seen.loops])
    first, last = seen.rounds[1], seen.rounds[-1]  # after the first drive: OpenCV starts its threads with an image
    down = last["rss_mb"] / first["rss_mb"] - 1.0
    counts = {key: value for key, value in last.items() if isinstance(value, int) and key != "after"}
    changed = {key: (first[key], last[key]) for key in first if first[key] != last[key]}
    left = {key: values for key, values in changed.items() if key not in ("after", "rss_mb")}
    worst = max(seen.errors_m, default=float("nan"))
    return {
        f"no pose further than {WRONG_M:g} m from truth": (
            not seen.wrong and bool(seen.errors_m), f"{len(seen.errors_m)} poses, worst {worst:.2f} m"),
        f"a pose within {RECOVERY_S:g} s after each fault": (not seen.late, "; ".join(seen.late) or "all"),
        f"memory flat within {FLAT:.0%} after the first loops": (
            max(abs(growth), down) <= FLAT,
            f"{growth:+.1%} of {seen.loops[0]['rss_mb']:.0f} MB, unconfigured {down:+.1%} of {first['rss_mb']:.0f} MB"),
        "no thread, file or DDS entity left": (
            not left, f"{left or counts} after {last['after']} rounds"),
        "all transitions succeed": (
            not seen.refused and last["after"] == cycles, f"{last['after']} rounds, {seen.refused} refused"),
        "the process ends with 0 and without a traceback": (
            seen.exit_code == 0 and not seen.tracebacks, f"code {seen.exit_code}, {seen.tracebacks} tracebacks"),
    }  # fmt: skip


def _growth(values: list[float]) -> float:
    """Growth from the first to the second half of the settled loops: a fifth, and at least one, warms up."""
    settled = values[max(1, len(values) // 5):]
    half = max(1, len(settled) // 2)
    return float(np.median(settled[-half:]) / np.median(settled[:half]) - 1.0)


def rows_of(seen: Seen) -> list[dict[str, Any]]:
    """Make rows {name, unit, p50, p95, n, note} of what was measured."""
    from benchmarks.bench_load import blocked

    values = {
        "position error": (seen.errors_m, "m", "all poses, faults included; simulated"),
        "round of the lifecycle": (seen.round_s, "s", "configure to cleanup, map opened and matcher warmed up"),
        "memory": ([loop["rss_mb"] for loop in seen.loops], "MB", "resident size after each loop, libraries included"),
        "executor late": (seen.executor.get("late_ms"), "ms", "timer of 10 ms on its executor, beside the matcher"),
        "executor blocked": (blocked(seen.executor) if seen.executor else [], "ms",
                             "the same without the time that the machine gave it no processor"),
        "executor busy": (seen.executor.get("busy_ms"), "ms", "processor time of its thread between two of these"),
        **{f"stage {name}": (ms, "ms", "of an attempt, two cameras 640x400") for name, ms in seen.stages_ms.items()},
    }
    rows = [
        {"name": f"soak: {name}", "unit": unit, "p50": float(np.percentile(data, 50)),
         "p95": float(np.percentile(data, 95)), "n": len(data), "note": f"{note}; max {max(data):.4g}"}
        for name, (data, unit, note) in values.items() if data
    ]  # fmt: skip
    speed = seen.simulated_s / max(seen.wall_s, 1e-9)
    note = f"{seen.simulated_s / 60:.1f} simulated minutes in {seen.wall_s / 60:.1f}"
    return [*rows, {"name": "soak: speed", "unit": "x", "p50": speed, "p95": speed, "n": 1, "note": note}]


def run() -> list[dict[str, Any]]:
    """Soak for half an hour; raises where a check fails."""
    seen = soak(MINUTES, CYCLES)
    failed = [f"{name}: {found}" for name, (passed, found) in checks(seen, CYCLES).items() if not passed]
    if failed:
        raise SystemExit("\n".join(failed))
    return rows_of(seen)


def main() -> int:
    """Soak as asked for; table, out/soak/soak.json, exit code."""
    from benchmarks.__main__ import keep

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="simulated time, at least two loops")
    parser.add_argument("--cycles", type=int, default=CYCLES, help="rounds of the lifecycle")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else the node would be left running
    seen = soak(options.minutes, options.cycles)
    judged = checks(seen, options.cycles)
    series = {"wrong": seen.wrong, "loops": seen.loops, "rounds": seen.rounds}
    keep(OUT / "soak.json", rows_of(seen), METHOD, checks=judged, statuses=seen.statuses, **series)
    sys.stdout.write(f"statuses  {dict(seen.statuses)}\n")
    for name, (passed, found) in judged.items():
        sys.stdout.write(f"{'pass' if passed else 'FAIL'}  {name}: {found}\n")
    return 0 if all(passed for passed, _ in judged.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
