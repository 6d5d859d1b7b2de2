# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""docs/ros.md names what the node offers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from cvloc_ros import config, reference
from cvloc_ros.cli.main import COMMANDS
from cvloc_ros.config import Config
from cvloc_ros.ros import debug, outputs
from cvloc_ros.types import Status

TEXT = (Path(__file__).parents[2] / "docs" / "ros.md").read_text(encoding="utf-8")


def rows(section: str) -> dict[str, tuple[str, str]]:
    """First name -> first type and QoS of the table in a section."""
    text = TEXT.split(f"\n## {section}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1:4] for line in text.splitlines() if line.startswith("|") and "`" in line]
    return {ticked(name)[0]: (ticked(kind)[0], qos.strip()) for name, kind, qos in cells}


def ticked(text: str) -> list[str]:
    return re.findall("`([^`]+)`", text)


def type_name(kind: Any) -> str:
    return f"{kind.__module__.split('.')[0]}/{kind.__name__}"


def qos_words(profile: QoSProfile) -> str:
    if profile.durability == DurabilityPolicy.TRANSIENT_LOCAL:
        return f"latched {profile.depth}"
    reliable = profile.reliability == ReliabilityPolicy.RELIABLE
    return f"{'reliable' if reliable else 'best effort'} {profile.depth}"


def test_outputs_of_a_running_node(rig):
    made = rig()
    own = f"/{made.namespace}/cvloc/"
    found = {
        item.topic_name.replace(own, "~/"): (type_name(item.msg_type), qos_words(item.qos_profile))
        for item in made.node.publishers
        if item.topic_name.startswith((own, "/diagnostics")) and not item.topic_name.endswith("/transition_event")
    }
    assert set(debug.PICTURES) | set(outputs.TOPICS) <= set(found)
    assert {**rows("Outputs"), **found} == rows("Outputs")
    assert rows("Outputs").keys() - found.keys() <= outputs.OPTIONAL.keys()


def test_inputs_of_a_running_node(rig):
    keys = ("inputs.filter_topic", "inputs.heading_topic", "inputs.imu_topic", "cameras.camera.depth_topic",
            "cameras.camera.mask_topic")  # fmt: skip
    made = rig(**{key.replace(".", "__"): key.replace(".", "_") for key in keys})
    found = {
        item.topic_name.removeprefix(f"/{made.namespace}/"): (type_name(item.msg_type), qos_words(item.qos_profile))
        for item in made.node.subscriptions if item.topic_name.startswith((f"/{made.namespace}/", "/tf"))
    }  # fmt: skip
    told = {name.replace("<name>", "camera"): value for name, value in rows("Inputs").items()}
    told = {name.replace(".", "_"): value for name, value in told.items()}
    assert found.pop("/tf_static") == (told["/tf"][0], "latched 100")
    assert found.keys() == told.keys()
    for name, (kind, qos) in found.items():
        assert kind == told[name][0]
        follows = name == "image" or name.startswith("cameras_")  # the reliability of the publishers
        assert (qos.split()[-1] in told[name][1]) if follows else told[name][1].startswith(qos)


def test_services_of_a_running_node(rig):
    made = rig()
    offered = {item.srv_name.replace(f"/{made.namespace}/cvloc", "~") for item in made.node.services}
    documented = set(re.findall(r"(?m)^\| `(~/\w+)` \| `std_srvs/", TEXT))
    assert documented == {name for name in offered if name in {"~/enable", "~/trigger", "~/reset", "~/prefetch"}}


def test_parameters_that_are_named_exist():
    known = {key.name for key in reference.parameters()}
    sections = {name.split(".")[0] for name in known}
    for name in re.findall(r"`([a-z_]+\.[a-z_.<>]+)`", TEXT):
        if name.split(".")[0] in sections:
            assert name in known, name


def test_statuses_of_the_readme_are_those_of_the_code():
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    table = readme.split("### Statuses")[1].split("\n### ")[0]
    told = [name for line in table.splitlines() if line.startswith("| `") for name in ticked(line.split("|")[1])]
    assert sorted(told) == sorted(status.value for status in Status)


def test_commands_and_settings_of_the_first_vehicle_exist(tmp_path):
    root = Path(__file__).parents[2]
    page = (root / "docs" / "first-vehicle.md").read_text(encoding="utf-8")
    settings = tmp_path / "my_car.yaml"
    settings.write_text(page.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    assert config.load(settings).camera_names == ["front", "rear"]
    assert set(re.findall(r"\bcvloc ([a-z]+) ", page)) <= set(COMMANDS)
    assert "cvloc doctor live --config" in page
    launch = "".join(path.read_text(encoding="utf-8") for path in (root / "launch").glob("*.launch.py"))
    given = set(re.findall(r"\b([a-z_]+):=", page))
    assert given
    assert all(f'"{name}"' in launch for name in given)
    known = {key.name for key in reference.parameters(["front"])}
    named = [name for name in ticked(page) if re.fullmatch(r"[a-z]+(\.[a-z_]+)+", name)]
    assert [name for name in named if name.split(".")[0] in Config.model_fields and name not in known] == []
