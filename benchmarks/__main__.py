# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks [NAME ...]`: time the stages on this machine and print one table; out/bench.json keeps it.

Those of LONG run only when they are named.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import resource
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tqdm import tqdm

import cvloc_ros

HERE = Path(__file__).parent
OUT = Path("out/bench.json")
LONG = ("load", "soak")
METHOD = "wall clock of single calls after a warm-up, median and 95th percentile; compare rows of one run only"


def main(names: list[str]) -> int:
    """Run the named benchmarks (all by default), print the table, write it as JSON."""
    known = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    unknown = set(names) - set(known)
    if unknown:
        sys.stderr.write(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(known)}\n")
        return 2
    rows: list[dict[str, Any]] = []
    for name in tqdm(names or sorted(set(known) - set(LONG)), desc="benchmarks", unit="suite"):
        # A process for each: threads, caches and memory of one must not change another.
        done = subprocess.run(
            [sys.executable, "-c", f"import benchmarks.__main__ as b; b.suite({name!r})"],
            check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        rows += json.loads(done.stdout.splitlines()[-1])
    keep(OUT, rows, METHOD)
    return 0


def keep(path: Path, rows: list[dict[str, Any]], method: str, **more: Any) -> None:
    """Print the table; write it as JSON with the facts of the machine and with what else is given."""
    facts = {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "version": cvloc_ros.__version__,
        "hardware": f"{_processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end",
        "python": platform.python_version(),
        "method": method,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**facts, "rows": rows, **more}, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(_table(facts, rows))


def suite(name: str) -> None:
    """Run one benchmark in this process; its rows are the last line of the output, as JSON."""
    rows: list[dict[str, Any]] = importlib.import_module(f"benchmarks.bench_{name}").run()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    note = "largest resident size of this suite's process, libraries included"
    rows.append({"name": f"{name}: memory", "unit": "MB", "p50": peak_mb, "p95": peak_mb, "n": 1, "note": note})
    sys.stdout.write("\n" + json.dumps(rows) + "\n")


def _table(facts: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    lines = [f"{key:9} {value}" for key, value in facts.items()]
    width = max(len(str(row["name"])) for row in rows)
    lines.append(f"\n{'what':{width}}  {'p50':>9} {'p95':>9} unit  {'n':>5}  note")
    lines += [
        f"{row['name']:{width}}  {row['p50']:9.2f} {row['p95']:9.2f} {row['unit']:4}  {row['n']:5}  {row['note']}"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), "?")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
