# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc data`: store simulated samples, check downloads, measure matchers on samples."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from cvloc_ros.cli.options import Assignments
from cvloc_ros.cli.settings import parse_assignments
from cvloc_ros.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cvloc_ros.datasets.sample import Sample
    from cvloc_ros.datasets.simulated import Simulated


def make(
    root: tyro.conf.Positional[Path],
    *,
    config: Path,
    samples: int = 1000,
    per_shard: int = 256,
    workers: int = 1,
    validation: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> int:
    """Store simulated samples as shards. Shards that are there already stay; what was cut off is made again.

    Args:
        root: Folder for shard-000000.tar and so on.
        config: Training whose simulated data is made, such as config/train/small_fg2_sim.yaml.
        samples: How many, rounded up to whole shards.
        per_shard: Samples of one file.
        workers: Processes that render.
        validation: Make the samples of its evaluations, of held-out worlds.
    """
    from cvloc_ros.training.config import load

    if min(samples, per_shard, workers) < 1:
        msg = f"--samples {samples} --per-shard {per_shard} --workers {workers}: each must be 1 or more"
        raise ConfigError(msg)
    training = load(config)
    chosen = (training.validation if validation else training.data).simulated
    # One world after the other: a shard is read in any order.
    settings = chosen.model_copy(update={"lanes": 1})
    shards = -(-samples // per_shard)
    if shards * per_shard > settings.worlds * settings.per_world:
        msg = f"--samples {samples}: the settings have {settings.worlds} worlds of {settings.per_world}"
        raise ConfigError(msg)
    missing = [number for number in range(shards) if not _path(root, number).exists()]
    _render_all(root, settings, missing, per_shard, workers)
    print(f"{root}: {shards} shards of {per_shard} samples, {len(missing)} of them new")
    return 0


def _render_all(root: Path, settings: Simulated, missing: list[int], per_shard: int, workers: int) -> None:
    import multiprocessing as processes
    from concurrent.futures import ProcessPoolExecutor, as_completed

    from cvloc_ros.cli.simulate import progress_bar

    with progress_bar(len(missing) * per_shard, "samples") as bar:
        if workers == 1:
            for number in missing:
                for _ in _shard(root, settings, number, per_shard):
                    bar.update()
            return
        with ProcessPoolExecutor(workers, processes.get_context("spawn")) as pool:
            jobs = [pool.submit(_render, root, settings, number, per_shard) for number in missing]
            for job in as_completed(jobs):
                bar.update(job.result())


def _render(root: Path, settings: Simulated, number: int, per_shard: int) -> int:
    return sum(1 for _ in _shard(root, settings, number, per_shard))


def _shard(root: Path, settings: Simulated, number: int, per_shard: int) -> Iterator[Sample]:
    os.environ.setdefault("LP_NUM_THREADS", "1")  # before OpenGL starts: as many processes as cores do better
    from cvloc_ros.datasets.shards import write_shard
    from cvloc_ros.datasets.simulated import open_simulated

    source = open_simulated(settings)
    try:
        numbers = range(number * per_shard, (number + 1) * per_shard)
        yield from write_shard(_path(root, number), (source[index] for index in numbers))
    finally:
        source.close()


def _path(root: Path, number: int) -> Path:
    return root / f"shard-{number:06d}.tar"


def check(
    root: tyro.conf.Positional[Path],
    *,
    kind: Literal["auto", "vigor", "kitti", "oxford", "ford", "cvfm", "shards"] = "auto",
) -> int:
    """Tell what of a data set is there, and what is missing. Exits with 1 if something is.

    Args:
        root: Folder of the data set.
        kind: Which one it is; auto recognises it.
    """
    from cvloc_ros.datasets.check import check as look
    from cvloc_ros.datasets.check import recognise, worst

    which = recognise(root) if kind == "auto" else kind
    print(f"{root}: {which}")
    found = []
    for finding in look(root, which):
        print(f"  {finding.level:8}{finding.text}", flush=True)
        found.append(finding)
    return 1 if worst(found) == "missing" else 0


def measure(
    config: tyro.conf.Positional[Path],
    *,
    matcher: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME")] = (),
    settings: Assignments = (),
    samples: int = 64,
    shards: Path | None = None,
) -> int:
    """Measure matchers on the held-out samples of a training, their single matches too; print a table.

    Matches are measured as in the CVFM benchmark: shares of the 30 strongest within 5, 10 and 15 px of 0.12 m, and of
    valid ones. Matchers that score poses instead of matching points have none.

    Args:
        config: Training whose validation data and priors are taken, such as config/train/small_viewbridge_sim.yaml.
        matcher: Matcher to measure; may be repeated. By default the method of the training.
        settings: Any configuration key, such as matcher.fg2.weights=FILE; may be repeated.
        samples: How many.
        shards: Folder of stored samples to take instead; matches are measured where they were stored with depth.
    """
    from cvloc_ros.config import merge, parse
    from cvloc_ros.training.config import load
    from cvloc_ros.training.held_out import measure as run

    data: dict[str, Any] = {"simulated": {"depth": True}}
    data |= {} if shards is None else {"source": "shards", "root": str(shards)}
    training = load(config, {"run": {"evaluate": samples, "pictures": 0}, "validation": data})
    base = merge(parse({**training.localizer}), parse_assignments(settings))
    shown = ("samples", "position_median_m", "yaw_median_deg", "published", "false_3m", "match_within_5px",
             "match_within_10px", "match_within_15px", "match_valid")  # fmt: skip
    print("| matcher | " + " | ".join(shown) + " |\n" + "|---" * (len(shown) + 1) + "|")
    for name in matcher or (training.method,):
        found = run(training, merge(base, {"matcher": {"name": name}}))
        cells = [f"{found[key]:g}" if key in found else "-" for key in shown]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    return 0


COMMANDS = {"make": make, "check": check, "measure": measure}
