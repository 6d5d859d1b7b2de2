# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One run, from its drive to what is kept of it. The same function runs here and on the workers of a cluster."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import re
import resource
import tempfile
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cvloc_ros.config import Config
from cvloc_ros.errors import CvlocError
from cvloc_ros.estimation import calibration
from cvloc_ros.evaluation.replayed import Replayed
from cvloc_ros.evaluation.run import Options, Watch, replay_bag
from cvloc_ros.evaluation.suite.cache import Cache, Finished, default_root, drive_key
from cvloc_ros.evaluation.suite.plan import Job, resolve
from cvloc_ros.evaluation.suite.record import FORMAT, RunRecord
from cvloc_ros.evaluation.suite.sources import code_digest, content_digest, text_digest
from cvloc_ros.matching.registry import MATCHERS, weights_file

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker is handed: the run, its key, and where drives are kept (None: in the worker's own cache)."""

    job: Job
    key: str
    code: str
    """Digest of source and calibration: a worker that has others refuses."""
    cache: Path | None = None
    report: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a run has no result."""

    reason: str


def task_of(job: Job, cache: Path | None, *, report: bool) -> Task:
    """Return a run with its key: a digest of all that determines its result.

    Raises:
        CvlocError: a file that it names cannot be read, or a setting is refused.
    """
    config, cameras = resolve(job, Path("drive"))
    tree = config.model_dump()
    code = _code(config)
    parts = [str(FORMAT), code, repr((job.yaw_sigma_deg, job.yaw_deg, job.yaw_of_truth, job.outages))]
    if job.scene is not None:
        tree["tiles"]["source"] = ""  # a file of the drive, as are the masks
        tree["cameras"] = {name: {**camera, "mask_file": ""} for name, camera in tree["cameras"].items()}
        parts.append(drive_key(job.scene))
    elif job.recorded is not None:
        parts += [content_digest(job.recorded.bag), job.recorded.truth_topic]
        if job.recorded.truth is not None and str(job.recorded.truth) != "none":
            parts.append(content_digest(job.recorded.truth))
        parts.append(str(job.recorded.truth is None))
    parts.append(repr(_by_content(tree)) + repr(_by_content(cameras)))
    return Task(job, text_digest(*parts)[:32], code, cache, report)


def _code(config: Config) -> str:
    """Digest of what takes part beside the inputs: source (with that of the matcher), weights, calibration."""
    module = MATCHERS.get(config.matcher.name, "").partition(":")[0]
    source = code_digest("cvloc_ros.evaluation.run", "cvloc_ros.evaluation.suite.job", *filter(None, [module]))
    weights = weights_file(config.matcher)
    content = "" if weights is None else content_digest(weights)
    return text_digest(source, content, repr(calibration.find(config, weights)))


def _by_content(value: Any) -> Any:
    """Replace names of files and folders by digests of what is in them."""
    if isinstance(value, Mapping):
        return [(key, _by_content(value[key])) for key in sorted(value)]
    if isinstance(value, (list, tuple)):
        return [_by_content(item) for item in value]
    if isinstance(value, str) and value.startswith("/") and Path(value).exists():
        return content_digest(Path(value))
    return value


def run_task(task: Task) -> Finished | Failed:
    """Make the drive where it is not there yet, replay it, and return what is kept; whatever goes wrong is a reason."""
    try:
        if task.code != _code(resolve(task.job, Path("drive"))[0]):
            return Failed("the worker has another version of cvloc_ros, of its libraries or of the calibration")
        return _run(task)
    except CvlocError as err:
        return Failed(str(err))
    except Exception as err:  # noqa: BLE001 - one run must not end the others
        logger.warning("%s", traceback.format_exc())
        place = traceback.extract_tb(err.__traceback__)[-1]
        return Failed(f"{type(err).__name__}: {err} ({Path(place.filename).name}:{place.lineno})")


def _run(task: Task) -> Finished:
    replayed = replay_job(task.job, task.cache, report=task.report)
    facts = {"memory_peak_mb": round(_peak_mb(), 1), "key": task.key}
    return Finished(RunRecord.of(task.job.name, replayed, facts), _page(replayed) if task.report else None)


def replay_job(job: Job, cache: Path | None, *, report: bool = False, watch: Watch | None = None) -> Replayed:
    """Replay one drive of a suite, which is made where it is not there yet.

    Raises:
        CvlocError: as `replay_bag`, or the drive cannot be made.
    """
    import cv2

    cv2.setNumThreads(1)
    if job.scene is not None:
        folder = Cache(cache or default_root()).drive(job.scene)
        bag, truth, topic = folder / "bag", "", ""
    else:
        assert job.recorded is not None  # noqa: S101 - one of the two, by `resolve`
        folder = Path()
        bag, truth, topic = job.recorded.bag, str(job.recorded.truth or ""), job.recorded.truth_topic
    config, cameras = resolve(job, folder)
    given = job.yaw_sigma_deg is not None
    options = Options(
        bag=bag, out=Path(), truth=truth, truth_topic=topic, cameras=cameras, gnss_outages=job.outages,
        initial_yaw_deg=job.yaw_deg if given else None, initial_yaw_sigma_deg=job.yaw_sigma_deg or 5.0,
        initial_yaw_of_truth=given and job.yaw_of_truth, report=report,
    )  # fmt: skip
    _reset_peak()  # what rendering the drive took is not the matcher's
    return replay_bag(config, options, watch=watch)


def _page(replayed: Replayed) -> bytes:
    from cvloc_ros.evaluation.report.page import write_report

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        write_report(path, replayed)
        return path.read_bytes()


def _reset_peak() -> None:
    """Give back what rendering took and let the kernel forget its peak; where it does not, the peak holds that too."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        logger.debug("the peak of memory counts from the start of process %d", os.getpid())


def _peak_mb() -> float:
    """Return the largest resident memory of this process, libraries and all, since `_reset_peak`."""
    try:
        text = Path("/proc/self/status").read_text(encoding="utf-8")
        found = re.search(r"VmHWM:\s*(\d+) kB", text)
    except OSError:
        found = None
    kilobytes = int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / 1024.0
