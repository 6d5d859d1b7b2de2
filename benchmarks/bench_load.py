# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node under load: four cameras of 1280x720 at 30 Hz and odometry at 100 Hz over DDS, longer than it can follow.

`python -m benchmarks.bench_load [--transport raw|compressed] [--seconds 20]`. Three processes, as on a vehicle: this
one sends, another one receives, the node is the shipped one with a session that decodes all four images and then works
for 60 ms, so that images come faster than they are used. The node is watched from within by a timer of its executor and
by a slot that notes times; the product is not changed for it. Beside it a process that only sleeps tells how late this
machine wakes anybody. Exit code 1 where a check fails.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
OUT = Path("out/load")
CAMERAS = ("front", "left", "rear", "right")
WIDTH, HEIGHT, RATE_HZ, ODOM_HZ, JPEG_QUALITY = 1280, 720, 30.0, 100.0, 90
WORK_S, WATCH_S, SECONDS, START_S, WARM_UP_S, ASK_S = 0.06, 0.01, 20.0, 60.0, 2.0, 0.1
PERIOD_MS, BLOCKED_MS, CARRIED = 1e3 / RATE_HZ, 20.0, 0.95
METHOD = f"a session that decodes four images and works for {WORK_S * 1e3:g} ms; wall clock, after {WARM_UP_S:g} s"


def load(transport: str, seconds: float) -> dict[str, Any]:
    """Run node, sender and receiver; return what they noted, in milliseconds."""
    from cvloc_ros.cli.processes import private_environment
    from cvloc_ros.ros.domains import claim_domain

    OUT.mkdir(parents=True, exist_ok=True)
    env = private_environment(claim_domain())
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), env["PYTHONPATH"]])
    notes = {name: OUT / f"{name}.json" for name in ("node", "send", "receive", "sleep")}
    for path in notes.values():
        path.unlink(missing_ok=True)
    arguments = {
        "node": _node_arguments(transport),
        "receive": [], "sleep": [],
        "send": [transport, str(seconds)],
    }  # fmt: skip
    running = {}
    for name in ("node", "receive", "sleep", "send"):
        command = [sys.executable, __file__, name, str(notes[name].resolve()), *arguments[name]]
        with (OUT / f"{name}.log").open("wb") as log:
            running[name] = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
        running["send"].wait(seconds + 2 * START_S)
    finally:
        for process in running.values():
            process.send_signal(2)
        for process in running.values():
            process.wait(30)
    lacking = [name for name, path in notes.items() if not path.is_file()]
    if lacking:
        msg = f"{', '.join(lacking)} ended without an answer; see {OUT}/*.log"
        raise SystemExit(msg)
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in notes.items()}


def _node_arguments(transport: str) -> list[str]:
    values = {"camera_names": f"[{','.join(CAMERAS)}]", "output.min_interval_s": "0.0", "inputs.wait_s": "0.3",
              "inputs.sync_tolerance_s": "0.01", "tiles.source": "none", "geo.datum": "[47.0, 8.0, 0.0]"}  # fmt: skip
    for name in CAMERAS:
        values |= {f"cameras.{name}.image_topic": f"{name}/image", f"cameras.{name}.transport": transport,
                   f"cameras.{name}.camera_info_topic": f"{name}/camera_info"}  # fmt: skip
    return ["--ros-args", *(part for key, value in values.items() for part in ("-p", f"{key}:={value}"))]


def send(path: Path, transport: str, seconds: float) -> None:
    """Send images and odometry at their rates, as well as this process can; note what it reached."""
    import rclpy
    from nav_msgs.msg import Odometry
    from rclpy.qos import QoSProfile

    rclpy.init()
    node = rclpy.create_node("sender")
    message, suffix = _image(transport)
    cameras = [node.create_publisher(type(message), f"{name}/image{suffix}", QoSProfile(depth=2)) for name in CAMERAS]
    odometry, odom = node.create_publisher(Odometry, "odom", QoSProfile(depth=100)), Odometry()
    odom.header.frame_id, odom.child_frame_id, odom.pose.pose.orientation.w = "odom", "base_link", 1.0
    end = time.monotonic() + START_S
    while any(item.get_subscription_count() == 0 for item in (*cameras, odometry)) and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(1.0)
    begin, sets, odoms, stamps = time.monotonic(), 0, 0, []
    while (now_s := time.monotonic() - begin) < seconds:
        if now_s * ODOM_HZ >= odoms:
            odoms += 1
            _stamp(odom, time.time_ns())
            odometry.publish(odom)
        if now_s * RATE_HZ >= sets:
            sets = int(now_s * RATE_HZ) + 1  # what cannot be sent in time is left out, as a camera does
            stamps.append(time.time_ns())
            _stamp(message, stamps[-1])
            for camera in cameras:
                camera.publish(message)
        due_s = min(sets / RATE_HZ, odoms / ODOM_HZ)
        time.sleep(max(0.0, due_s - (time.monotonic() - begin)))
    size = len(message.data)
    path.write_text(json.dumps({"stamps": stamps, "odometry": odoms, "seconds": seconds, "bytes": size}))
    time.sleep(1.0)
    node.destroy_node()
    rclpy.try_shutdown()


def _stamp(message: Any, at_ns: int) -> None:
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(at_ns, 10**9)


def _image(transport: str) -> tuple[Any, str]:
    from sensor_msgs.msg import CompressedImage, Image

    from cvloc_ros.ros.standins import byte_array

    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    picture = cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    if transport == "raw":
        return Image(height=HEIGHT, width=WIDTH, encoding="bgr8", step=3 * WIDTH, data=byte_array(picture)), ""
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return CompressedImage(format="jpeg", data=byte_array(data)), "/compressed"


def receive(path: Path) -> None:
    """Note when the pose of each stamp arrived, and how long the node takes to answer a service."""
    import rclpy
    from geometry_msgs.msg import PoseWithCovarianceStamped
    from std_srvs.srv import SetBool

    rclpy.init()
    node = rclpy.create_node("receiver")
    arrived: dict[int, int] = {}
    answers_ms: list[float] = []
    client = node.create_client(SetBool, "/cvloc/enable")

    def ask() -> None:
        begin = time.monotonic()
        if client.service_is_ready():
            answer = client.call_async(SetBool.Request(data=True))  # it is enabled already
            answer.add_done_callback(lambda _: answers_ms.append((time.monotonic() - begin) * 1e3))

    def on_pose(pose: Any) -> None:
        arrived[pose.header.stamp.sec * 10**9 + pose.header.stamp.nanosec] = time.time_ns()

    node.create_subscription(PoseWithCovarianceStamped, "/cvloc/pose", on_pose, 10)
    node.create_timer(ASK_S, ask)
    with contextlib.suppress(KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        rclpy.spin(node)
    path.write_text(json.dumps({"arrived": list(arrived.items()), "answers_ms": answers_ms}))


def sleep(path: Path) -> None:
    """Note how late a process that does nothing is woken."""
    late_ms = []
    try:
        while True:
            due = time.monotonic() + WATCH_S
            time.sleep(WATCH_S)
            late_ms.append((time.monotonic() - due) * 1e3)
    except KeyboardInterrupt:
        path.write_text(json.dumps({"late_ms": late_ms}))


def rows_of(noted: dict[str, Any], transport: str) -> list[dict[str, Any]]:
    """Make rows {name, unit, p50, p95, n, note, max} of what was noted; stamps of the warm-up are left out."""
    sent, node = noted["send"], noted["node"]
    first_ns = sent["stamps"][0] + round(WARM_UP_S * 1e9)
    arrived = dict(noted["receive"]["arrived"])
    used = [item for item in node["used"] if item["stamp"] >= first_ns]
    late = {name: noted[name]["late_ms"][round(WARM_UP_S / WATCH_S):] for name in ("node", "sleep")}
    spans = {
        "image out to set complete": [item["put"] - item["stamp"] for item in used],
        "queue: complete to taken": [item["taken"] - item["put"] for item in used],
        "wait for odometry": [item["begun"] - item["taken"] for item in used],
        "decode of four images": [item["decoded"] - item["begun"] for item in used],
        "work of the stand-in": [item["done"] - item["decoded"] for item in used],
        "publish to pose in": [arrived[item["stamp"]] - item["done"] for item in used if item["stamp"] in arrived],
        "image out to pose in": [arrived[item["stamp"]] - item["stamp"] for item in used if item["stamp"] in arrived],
    }
    size = f"4 x {WIDTH}x{HEIGHT} {transport}, {sent['bytes'] / 1e3:.0f} kB each"
    rate_hz = len(sent["stamps"]) / sent["seconds"]
    rows = [_row(f"load: {name}", [ns * 1e-6 for ns in values], size) for name, values in spans.items()]
    return [
        *rows,
        _row("load: service answered", noted["receive"]["answers_ms"][round(WARM_UP_S / ASK_S):],
             "~/enable, asked by another process"),
        _row("load: executor late", late["node"], f"timer of {WATCH_S * 1e3:g} ms on the node's executor"),
        _row("load: executor blocked", blocked(noted["node"])[round(WARM_UP_S / WATCH_S):],
             "the same without the time that the machine gave it no processor"),
        _row("load: executor busy", noted["node"]["busy_ms"][round(WARM_UP_S / WATCH_S):],
             "processor time of its thread between two of these"),
        _row("load: machine late", late["sleep"], "the same in a process that only sleeps: what the machine does"),
        _row("load: sets of images sent", [rate_hz], f"of {RATE_HZ:g} a second; {size}", "1/s"),
        _row("load: odometry sent", [sent["odometry"] / sent["seconds"]], f"of {ODOM_HZ:g} a second", "1/s"),
        _row("load: sets used", [len(used) / max(sent["seconds"] - WARM_UP_S, 1e-9)], "the others were dropped", "1/s"),
    ]


def blocked(node: dict[str, list[float]]) -> list[float]:
    """Return how long the node itself kept its executor from a timer: the delay less the wait for a processor, ms."""
    return [max(0.0, late - starved) for late, starved in zip(node["late_ms"], node["starved_ms"], strict=True)]


def _row(name: str, values: list[float], note: str, unit: str = "ms") -> dict[str, Any]:
    data = values or [float("nan")]
    p50, p95 = np.percentile(data, [50, 95])
    note = f"{note}; max {max(data):.1f}" if len(values) > 1 else note
    return {"name": name, "unit": unit, "p50": float(p50), "p95": float(p95), "n": len(values), "note": note,
            "max": float(max(data))}  # fmt: skip


def checks(noted: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, tuple[bool, str]]:
    """Judge; {what: (passed, what was found)}."""
    by_name = {row["name"].removeprefix("load: "): row for row in rows}
    queue, late = by_name["queue: complete to taken"], by_name["executor late"]
    own, busy = by_name["executor blocked"], by_name["executor busy"]
    sets, odometry = by_name["sets of images sent"]["p50"], by_name["odometry sent"]["p50"]
    older = [item for item in noted["node"]["used"] if item["newest"] > item["stamp"]]
    used = noted["node"]["used"]
    return {
        "this machine carries the load at all": (
            sets >= CARRIED * RATE_HZ and odometry >= CARRIED * ODOM_HZ,
            f"{sets:.1f} sets and {odometry:.0f} odometry messages a second; else the rest says nothing"),
        "the newest set is always the one used": (bool(used) and not older, f"{len(older)} of {len(used)} were older"),
        f"queue delay p95 below one period, {PERIOD_MS:.1f} ms": (
            queue["p95"] < PERIOD_MS, f"{queue['p95']:.1f} ms"),
        f"executor never blocked more than {BLOCKED_MS:g} ms": (
            own["max"] <= BLOCKED_MS and busy["max"] <= BLOCKED_MS,
            f"{own['max']:.1f} ms, busy {busy['max']:.1f} ms; with the machine's part {late['max']:.1f} ms"),
    }  # fmt: skip


def serve(path: Path, arguments: list[str]) -> int:
    """Run the node with the stand-in of a session, watched."""
    from benchmarks.load_node import serve as run_node

    return run_node(path, arguments, WORK_S)


def run(transport: str = "compressed", seconds: float = SECONDS) -> list[dict[str, Any]]:
    """Load for a while; raises where a check fails."""
    noted = load(transport, seconds)
    rows = rows_of(noted, transport)
    failed = [f"{name}: {found}" for name, (passed, found) in checks(noted, rows).items() if not passed]
    if failed:
        raise SystemExit("\n".join(failed))
    return rows


def main() -> int:
    """Load as asked for; table, out/load/load.json, exit code."""
    from benchmarks.__main__ import keep

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transport", choices=("raw", "compressed"), default="compressed")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    noted = load(options.transport, options.seconds)
    rows = rows_of(noted, options.transport)
    judged = checks(noted, rows)
    keep(OUT / f"load_{options.transport}.json", rows, METHOD, checks=judged)
    for name, (passed, found) in judged.items():
        sys.stdout.write(f"{'pass' if passed else 'FAIL'}  {name}: {found}\n")
    return 0 if all(passed for passed, _ in judged.values()) else 1


PARTS = {
    "node": lambda path, *rest: sys.exit(serve(path, [sys.argv[0], *rest])), "receive": receive, "sleep": sleep,
    "send": lambda path, transport, seconds: send(path, transport, float(seconds)),
}  # fmt: skip

if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] in PARTS:
        PARTS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
    else:
        sys.exit(main())
