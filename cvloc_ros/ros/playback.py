# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The executable `playback`: plays a bag to a node over DDS and records the node's answers.

Progress goes to stdout, one JSON object a line: `state` (waiting, playing, finishing, done), `sent`, `total`, and the
number of messages heard by topic.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import rclpy
from rclpy.context import Context
from rclpy.node import Node

from cvloc_ros.errors import CvlocError
from cvloc_ros.ros.player import MATCH_TIMEOUT_S, Player
from cvloc_ros.ros.recorder import Recorder

_REPORT_S = 0.25
_QUIET_S = 1.5
_FINISH_S = 20.0


def main(args: Sequence[str] | None = None) -> int:
    """Play a bag once; return 1, with the reason on stderr, where that is not possible."""
    options = _parser().parse_args(args)
    context = Context()
    rclpy.init(args=[], context=context)
    node = Node("cvloc_player", context=context)
    try:
        with Player(node, options.bag) as player, Recorder(
            context, options.record, player.now_ns, options.node, pictures=options.pictures
        ) as recorder:
            return _run(player, recorder, options)
    except CvlocError as err:
        sys.stderr.write(f"{err}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        node.destroy_node()
        context.try_shutdown()


def _run(player: Player, recorder: Recorder, options: argparse.Namespace) -> int:
    told = 0.0

    def report(state: str, sent: int, *, at_once: bool = True) -> None:
        nonlocal told
        if not at_once and time.monotonic() - told < _REPORT_S:
            return
        told = time.monotonic()
        sys.stdout.write(json.dumps({"state": state, "sent": sent, "total": player.total, **recorder.counts}) + "\n")
        sys.stdout.flush()

    def connected() -> bool:
        report("waiting", 0, at_once=False)
        return recorder.connected()

    missing = player.wait_for(options.wait, options.timeout, connected)
    if missing:
        sys.stderr.write(f"after {options.timeout:g} s nobody receives {', '.join(missing)}\n")
        return 1
    sent = 0
    for _ in player.play(options.rate, lambda: not recorder.fault):
        sent += 1
        report("playing", sent, at_once=False)
    report("finishing", sent)
    player.idle(lambda: recorder.quiet_for(_QUIET_S), _FINISH_S)
    report("done", sent)
    if recorder.fault:
        sys.stderr.write(f"recording stopped: {recorder.fault}\n")
    return 1 if recorder.fault else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="playback", description=__doc__)
    parser.add_argument("bag", type=Path, help="bag to play")
    parser.add_argument("--record", type=Path, required=True, help="bag to write; must not exist")
    parser.add_argument("--node", default="cvloc", help="name of the node whose answers are recorded")
    parser.add_argument("--rate", type=float, default=1.0, help="speed; 1 is real time")
    parser.add_argument("--wait", action="append", default=[], metavar="TOPIC", help="wait until it is received")
    parser.add_argument("--timeout", type=float, default=MATCH_TIMEOUT_S, help="longest wait in seconds")
    parser.add_argument("--pictures", action="store_true", help="record ~/debug/overlay as well")
    return parser


if __name__ == "__main__":
    sys.exit(main())
