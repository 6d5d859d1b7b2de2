# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The executable `localizer`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from cvloc_ros.config import Config
from cvloc_ros.ros import memory
from cvloc_ros.ros.node import CvlocNode
from cvloc_ros.session import Session


def main(args: Sequence[str] | None = None, open_session: Callable[[Config], Session] = Session.open) -> int:
    """Run the node until it is interrupted; return 1 where it could not start."""
    code = 0
    node = None
    signal.signal(signal.SIGINT, _interrupt_once)
    memory.map_large_blocks()
    try:
        try:
            rclpy.init(args=None if args is None else list(args))
        except RuntimeError as err:
            # A parameter file that is no valid YAML; a list such as [47.0, 8.0, 0] mixes types and is none either.
            sys.stderr.write(f"{err}\n")
            return 1
        node = CvlocNode(open_session=open_session)
        # Faulty parameters hide the true value; the fault is then shown by configure.
        if (node.parameters.faults or node.parameters.current.autostart) and not node.start():
            code = 1
        else:
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except RuntimeError:
        if rclpy.ok():
            raise  # else a signal ended the context between two steps of the executor, which then fails so
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return code


def _interrupt_once(_number: int, _frame: FrameType | None) -> None:
    """Ctrl-C under ros2 launch arrives twice; the second one must not land between the first and the clean-up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
