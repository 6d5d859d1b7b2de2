# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""docs/ros.md names what the node offers."""

from __future__ import annotations

import re
from pathlib import Path

from cvloc_ros import reference
from cvloc_ros.ros import debug, outputs

TEXT = (Path(__file__).parents[2] / "docs" / "ros.md").read_text(encoding="utf-8")


def rows() -> dict[str, str]:
    return {match[1]: match[2] for match in re.finditer(r"^\| `([^`]+)` \| `([^`]+)` \|", TEXT, re.MULTILINE)}


def test_topics_and_their_types():
    offered = {name: kind for name, (kind, _) in outputs.TOPICS.items()}
    for name, kind in offered.items():
        assert rows()[name] == f"{kind.__module__.split('.')[0]}/{kind.__name__}"
    assert set(debug.PICTURES) | {debug.POINTS, debug.MAP, "~/status", "/diagnostics"} < set(rows())


def test_services_of_a_running_node(rig):
    made = rig()
    offered = {item.srv_name.replace(f"/{made.namespace}/cvloc", "~") for item in made.node.services}
    documented = {name for name, kind in rows().items() if kind.startswith("std_srvs/")}
    assert documented == {name for name in offered if name in {"~/enable", "~/trigger", "~/reset", "~/prefetch"}}


def test_parameters_that_are_named_exist():
    known = {key.name for key in reference.parameters()}
    sections = {name.split(".")[0] for name in known}
    for name in re.findall(r"`([a-z_]+\.[a-z_.<>]+)`", TEXT):
        if name.split(".")[0] in sections:
            assert name in known, name
