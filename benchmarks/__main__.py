# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`make bench`: every `bench_*.py` beside this file in a process of its own, with the hardware they ran on.

Each has `run() -> list of rows` with name, unit, p50, p95, n (repetitions) and note (conditions). The rows are also
written to out/bench.json. Arguments pick files: `python -m benchmarks imaging node`.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "out" / "bench.json"


def main(picked: list[str]) -> int:
    """Run all or the picked benchmarks; print a table as they end."""
    names = sorted(path.stem for path in HERE.glob("bench_*.py"))
    unknown = [name for name in picked if f"bench_{name}" not in names]
    if unknown:
        print(f"no benchmark {unknown}; there are {[name.removeprefix('bench_') for name in names]}", file=sys.stderr)
        return 2
    hardware = describe_machine()
    print("\n".join(f"{key:12} {value}" for key, value in hardware.items()))
    print("method       each row is the wall time of n repetitions after one that is not counted\n")
    print(f"{'':52}{'p50':>10}{'p95':>10} unit     n  conditions")
    rows: list[dict[str, Any]] = []
    failed = False
    for name in [f"bench_{name}" for name in picked] or names:
        found = run_apart(name)
        failed |= found is None
        for row in found or ():
            print(f"{row['name']:52}{row['p50']:10.2f}{row['p95']:10.2f} {row['unit']:5}{row['n']:5}  {row['note']}")
            rows.append(row)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"hardware": hardware, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    return int(failed)


def describe_machine() -> dict[str, str]:
    """Say what the numbers depend on."""
    cpu = _first("/proc/cpuinfo", "model name")
    memory = int(_first("/proc/meminfo", "MemTotal").split()[0]) / 2**20
    return {
        "processor": f"{cpu}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "date": time.strftime("%Y-%m-%d"),
    }


def run_apart(name: str) -> list[dict[str, Any]] | None:
    """Run one file in a new process, so that threads and memory of one do not bear on the next; None if it failed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "--child", name], cwd=HERE.parent, stdout=subprocess.PIPE, text=True
    )
    output, _ = process.communicate()
    if process.returncode:
        print(f"{name} failed with exit code {process.returncode}", file=sys.stderr)
        return None
    rows: list[dict[str, Any]] = json.loads(output.splitlines()[-1])
    return rows


def child(name: str) -> int:
    """Run one file here; its rows and the peak of memory go to standard output as one line of JSON."""
    rows = importlib.import_module(f"benchmarks.{name}").run()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    title = f"memory, {name.removeprefix('bench_')}"
    rows.append({"name": title, "unit": "MB", "p50": peak, "p95": peak, "n": 1, "note": "peak of the whole process"})
    print("\n" + json.dumps(rows))
    return 0


def _first(path: str, key: str) -> str:
    """Return what stands behind the colon of the first line with this key; "0" where there is none."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "0")


if __name__ == "__main__":
    sys.exit(child(sys.argv[2]) if sys.argv[1:2] == ["--child"] else main(sys.argv[1:]))
