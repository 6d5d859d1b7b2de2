# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc demo`: a simulated drive, localized by the real ROS 2 node."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from cvloc_ros.cli.processes import Process, private_environment
from cvloc_ros.cli.simulate import progress_bar
from cvloc_ros.errors import CvlocError

if TYPE_CHECKING:
    from cvloc_ros.simulation.scene import Scene

EXIT_FAILED = 1
_START_S = 60.0
_PARAMETERS = "node.yaml"
_PICTURES_HZ = 0.5
_HILLS_M, _MAP_ERROR_M, _MAP_PIXEL_M = 2.0, 0.25, 0.2


def demo(
    out: Path = Path("out/demo"),
    seed: int = 7,
    seconds: float = 64.0,
    rate: float = 1.0,
    domain: int | None = None,
    threads: int = 1,
    renderer: Literal["auto", "gl", "flat"] = "auto",
) -> int:
    """Make a simulated drive, play it to the node over DDS, and write a report. Nothing is downloaded.

    Args:
        out: Folder for drive/, bag/ (what the node answered), report.html, metrics.json and node.log.
        seed: Chooses the simulated town, the route and all errors; the drive is kept for the next time.
        seconds: Length of the drive.
        rate: Speed of the playback; 1 is real time.
        domain: ROS domain of node and player; by default one that nobody else on this machine uses.
        threads: CPU threads of the matcher; 0 lets it choose.
        renderer: gl needs OpenGL by EGL; flat shows a plane and needs none; auto takes gl where there is one.
    """
    from cvloc_ros.ros.domains import claim_domain

    if importlib.util.find_spec("rclpy") is None:
        msg = "the demo needs rclpy, which this Python lacks; run `make demo`, or install requirements/ros-wheels.txt"
        raise CvlocError(msg)
    scene = _scene(seed, seconds, renderer)
    drive, recording = out / "drive", out / "bag"
    _prepare(scene, drive, recording)
    parameters = _parameters(scene, drive, out, threads)
    chosen = claim_domain() if domain is None else domain
    _say(f"node and player talk on ROS_DOMAIN_ID={chosen}, on this machine only\n")
    with Process(
        "cvloc_ros.ros.main",
        ["--ros-args", "--params-file", str(parameters), "-p", "use_sim_time:=true"],
        private_environment(chosen),
        out / "node.log",
    ) as node:
        fault = _play(scene, drive / "bag", recording, node, rate, chosen)
        if not fault and node.running and node.stop() != 0:
            fault = f"the node ended with code {node.code} when it was asked to stop"
    if fault:
        return _failed(fault, node)
    return _evaluate(parameters, drive, recording, out, node)


def _scene(seed: int, seconds: float, renderer: str) -> Scene:
    """A town with hills and a map that is a little off, as maps are; without OpenGL a plain one."""
    from cvloc_ros.simulation.gl.context import open_context, unavailable
    from cvloc_ros.simulation.scene import Scene

    plain = Scene(seed=seed, duration_s=seconds)
    if renderer == "gl":
        open_context()
    why = unavailable() if renderer == "auto" else ""
    if why:
        _say(f"the drive is rendered as a flat world: {why}\n")
    if why or renderer == "flat":
        return plain
    return replace(plain, renderer="gl", terrain_m=_HILLS_M, map_error_m=_MAP_ERROR_M, map_pixel_m=_MAP_PIXEL_M)


def _prepare(scene: Scene, drive: Path, recording: Path) -> None:
    from cvloc_ros.simulation import writer

    if writer.is_complete(scene, drive):
        _say(f"simulated drive of {drive} is kept\n")
    else:
        writer.write_drive(scene, drive, progress_bar)
    if recording.exists():
        if not (recording.parent / _PARAMETERS).is_file():
            msg = f"{recording} was not made by a demo; choose another --out"
            raise CvlocError(msg)
        shutil.rmtree(recording)


def _parameters(scene: Scene, drive: Path, out: Path, threads: int) -> Path:
    from cvloc_ros.simulation import writer

    tree = writer.node_parameters(scene, drive)
    parameters = tree["/**"]["ros__parameters"]
    parameters["matcher"] = {"threads": threads}
    parameters["output"] = {"tf_mode": "map_to_odom", "debug_rate_hz": _PICTURES_HZ}
    path = out / _PARAMETERS
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    return path


def _play(scene: Scene, bag: Path, recording: Path, node: Process, rate: float, domain: int) -> str:
    """Play the drive with a progress bar; return what went wrong, or ""."""
    topics = ["/fix", "/odom", "/tf", "/tf_static"]
    for camera in scene.cameras:
        topics += [f"/camera/{camera.name}/image/compressed", f"/camera/{camera.name}/camera_info"]
    arguments = [str(bag), "--record", str(recording), "--rate", str(rate), "--timeout", str(_START_S), "--pictures"]
    for topic in topics:
        arguments += ["--wait", topic]
    log = node.log.with_name("player.log")
    _say("waiting for the node\n")
    with Process("cvloc_ros.ros.playback", arguments, private_environment(domain), log, read=True) as player:
        with progress_bar(1, "played over DDS") as bar:
            for report in player.messages():
                bar.total = report["total"]
                bar.set_postfix(statuses=report["status"], poses=report["pose"], refresh=False)
                bar.update(report["sent"] - bar.n)
                if not node.running:
                    return f"the node ended with code {node.code}"
        code = player.stop()
        if not node.running:
            return f"the node ended with code {node.code}"
        return f"the player failed: {player.tail(5)}" if code else ""


def _evaluate(parameters: Path, drive: Path, recording: Path, out: Path, node: Process) -> int:
    from cvloc_ros import config
    from cvloc_ros.evaluation.live import evaluate_live

    _say("evaluating\n")
    replayed = evaluate_live(config.load(parameters), drive / "bag", recording, out)
    _say(table(replayed.metrics))
    if not replayed.metrics["published"]:
        return _failed("the node published no pose", node)
    _say(f"\nreport: {out / 'report.html'}\n")
    return 0


def table(metrics: Mapping[str, Any]) -> str:
    """Return the main numbers as text; everything in it is simulated."""
    ours, gnss = metrics["position_error_m"], metrics["gnss_position_error_m"]
    counts = f"images {metrics['images']}, attempts {metrics['attempts']}, published {metrics['published']}"
    lines = [
        "",
        f"simulated drive: {counts}, more than 3 m off {metrics['false_accepts_3m_count']}",
        "statuses: " + ", ".join(f"{name} {count}" for name, count in metrics["statuses"].items()),
        "",
        f"{'position error, m':<22}{'median':>9}{'95 %':>9}{'max':>9}",
        *(
            f"{name:<22}" + "".join(f"{_number(values[key], 2):>9}" for key in ("median", "p95", "max"))
            for name, values in (("this node", ours), ("GNSS alone", gnss))
        ),
        "",
        f"{'latency, ms':<22}{'p50':>9}{'95 %':>9}",
        *(
            f"{name:<22}{_number(values['p50'], 1):>9}{_number(values['p95'], 1):>9}"
            for name, values in {**metrics["latency_ms"]["stages"], "image to pose": metrics["latency_ms"]}.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _failed(fault: str, node: Process) -> int:
    sys.stderr.write(f"\ncvloc demo: {fault}\nlast lines of {node.log}:\n{node.tail()}\n")
    return EXIT_FAILED


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


