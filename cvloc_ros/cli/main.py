# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command `cvloc`. Each sub-command is imported only when it is called."""

from __future__ import annotations

import difflib
import importlib
import logging
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cvloc_ros
from cvloc_ros.errors import CvlocError

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


class Command(NamedTuple):
    """A function, or a table of functions (`COMMANDS`), in a module."""

    module: str
    name: str
    help: str


COMMANDS = {
    "replay": Command("cvloc_ros.cli.replay", "replay", "Localize a recorded drive; write poses, metrics, a report."),
    "doctor": Command("cvloc_ros.cli.doctor", "doctor", "Check a bag or a running system, and say what to mend."),
    "evaluate": Command("cvloc_ros.cli.evaluate", "evaluate", "Evaluate matchers on the drives of a suite."),
    "calibrate": Command("cvloc_ros.cli.calibrate", "calibrate", "Fit a matcher's covariance to drives with truth."),
    "demo": Command("cvloc_ros.cli.demo", "demo", "Simulate a drive, localize it with the ROS 2 node, show a report."),
    "simulate": Command("cvloc_ros.cli.simulate", "simulate", "Write a simulated drive: bag, map and truth."),
    "tiles": Command("cvloc_ros.cli.tiles", "COMMANDS", "Fetch imagery for a region; report, verify, purge the cache."),
    "weights": Command("cvloc_ros.cli.weights", "COMMANDS", "List, verify, convert the weights of learned matchers."),
    "data": Command("cvloc_ros.cli.data", "COMMANDS", "Store samples; check data sets; measure matchers on samples."),
    "train": Command("cvloc_ros.cli.train", "train", "Train a learned matcher, or go on with a training."),
    "ablate": Command("cvloc_ros.cli.ablate", "ablate", "Train models that differ in one part each; write the table."),
    "mask": Command("cvloc_ros.cli.mask", "mask", "Find the vehicle itself in the pictures of a drive; write masks."),
    "extrinsics": Command("cvloc_ros.cli.extrinsics", "extrinsics", "Refine camera mountings and the map's offset."),
    "bag": Command("cvloc_ros.cli.bag", "COMMANDS", "Recover a bag that a crash cut off."),
    "params": Command("cvloc_ros.cli.params", "params", "Print all parameters as YAML or Markdown."),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command; return its exit code (2 for errors, 130 when interrupted)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        return _dispatch(given)
    except CvlocError as err:
        return _fail(str(err))
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return 0


def _dispatch(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help"):
        sys.stdout.write(overview())
        return 0 if given else EXIT_ERROR
    if given[0] == "--version":
        sys.stdout.write(f"cvloc_ros {cvloc_ros.__version__}\n")
        return 0
    if given[0] not in COMMANDS:
        near = difflib.get_close_matches(given[0], COMMANDS, n=1)
        msg = f"{given[0]}: no such command" + (f"; did you mean {near[0]}?" if near else "; see cvloc --help")
        raise CvlocError(msg)
    return _run(COMMANDS[given[0]], given[0], join_negative(given[1:]))


def overview() -> str:
    """Return the text of `cvloc --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items()]
    head = "cvloc: cross-view localization against aerial imagery\n\nusage: cvloc COMMAND [options]\n\n"
    return head + "\n".join(lines) + "\n\n`cvloc COMMAND --help` tells its options.\n"


def join_negative(arguments: Sequence[str]) -> list[str]:
    """Turn `--datum -33.8,151.2` into `--datum=-33.8,151.2`: the parser takes a leading minus for an option."""
    joined: list[str] = []
    for text in arguments:
        if re.match(r"-\.?\d", text) and joined and joined[-1].startswith("--") and "=" not in joined[-1]:
            joined[-1] += f"={text}"
        else:
            joined.append(text)
    return joined


def _run(command: Command, name: str, arguments: list[str]) -> int:
    try:
        import tyro

        found = getattr(importlib.import_module(command.module), command.name)
    except ImportError as err:
        msg = f"cvloc {name} needs {err.name or err}, which is not installed: pip install cvloc_ros[all]"
        raise CvlocError(msg) from err
    options = (tyro.conf.OmitArgPrefixes, tyro.conf.AvoidSubcommands)
    try:
        if isinstance(found, dict):
            code = tyro.extras.subcommand_cli_from_dict(found, prog=f"cvloc {name}", args=arguments, config=options)
        else:
            function: Callable[..., int | None] = found
            code = tyro.cli(function, prog=f"cvloc {name}", args=arguments, config=options)
    except SystemExit as stop:  # --help and faults of the command line
        return int(stop.code or 0)
    return int(code or 0)


def _fail(text: str) -> int:
    sys.stderr.write("cvloc: " + textwrap.indent(text, "  ").lstrip() + "\n")
    return EXIT_ERROR


if __name__ == "__main__":
    sys.exit(main())
