# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters: described, checked as a whole, dynamic ones applied at the next frame."""

from __future__ import annotations

from pathlib import Path

import pytest
import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter
from rig import stamp_now, wait_for

from cvloc_ros import config, reference
from cvloc_ros.errors import ConfigError
from cvloc_ros.ros.params import TYPES, Parameters

SHIPPED = Path(__file__).parents[2] / "config" / "cvloc.yaml"


@pytest.fixture
def declared():
    nodes: list[Node] = []

    def make(*cli: str, **values) -> Parameters:
        overrides = [Parameter(name.replace("__", "."), value=value) for name, value in values.items()]
        nodes.append(rclpy.create_node("params", parameter_overrides=overrides, cli_args=list(cli) or None))
        made = Parameters(nodes[-1])
        made.node = nodes[-1]
        return made

    yield make
    for node in nodes:
        node.destroy_node()


def test_defaults_are_those_of_the_tree(declared):
    assert declared().current == config.Config()


def test_shipped_file_is_taken_whole(declared):
    made = declared("--ros-args", "--params-file", str(SHIPPED))
    assert made.current == config.Config()


def test_every_key_is_declared_with_description_and_range(declared):
    made = declared(camera_names=["left", "right"])
    for key in reference.parameters(["left", "right"]):
        described = made.node.describe_parameter(key.name)
        assert described.description.startswith(key.text)
        assert described.read_only is not key.dynamic
        assert bool(described.floating_point_range or described.integer_range) is not (key.low is key.high is None)


def test_empty_lists_keep_their_type(declared):
    parameter = declared().node.get_parameter("geo.datum")
    assert (parameter.type_, list(parameter.value)) == (Parameter.Type.DOUBLE_ARRAY, [])


def test_list_of_integers_is_taken(declared):
    made = declared(matcher__loc2__ground_size=[322, 1232])
    assert made.current.matcher.loc2.ground_size == [322, 1232]


def test_every_kind_of_key_has_a_type_of_parameter():
    assert {key.kind for key in reference.parameters()} <= set(TYPES)


def test_cameras_follow_their_names(declared):
    made = declared(camera_names=["left", "right"], cameras__right__image_topic="r/image")
    assert made.current.cameras["right"].image_topic == "r/image"
    assert made.current.cameras["left"].image_topic == "image"


def test_all_faults_are_told_at_once(declared):
    made = declared(
        search__radius_maxm=30.0, tiles__zoom=1.5, tiles__wait_s=99.0, output__tf_mode="odd",
        cameras__side__model="auto",
    )  # fmt: skip
    text = "\n".join(made.faults)
    assert "did you mean search.radius_max_m?" in text
    assert "tiles.zoom = 1.5: double given, integer expected" in text
    assert "tiles.wait_s = 99.0" in text
    assert "output.tf_mode" in text
    assert "camera side is not in camera_names" in text
    assert len(made.faults) == 5
    with pytest.raises(ConfigError):
        _ = made.current


def test_topic_name_that_ros_refuses_is_told_with_its_key(declared):
    faults = declared(inputs__fix_topic="gnss fix", inputs__odom_topic="~/odom", inputs__imu_topic="").faults
    assert len(faults) == 1
    assert faults[0].startswith("inputs.fix_topic = 'gnss fix': ")


def test_integers_stand_for_doubles_but_text_does_not(declared):
    assert declared(search__radius_max_m=40).current.search.radius_max_m == 40.0
    assert declared(search__radius_max_m="40").faults
    assert declared(tiles__offline=1).faults


def test_datum_of_integers_and_malformed_datum(declared):
    assert declared(geo__datum=[47, 8, 0]).current.geo.datum == [47.0, 8.0, 0.0]
    assert "datum" in declared(geo__datum=[47.0, 8.0]).faults[0]


def test_empty_list_in_a_file_is_an_empty_list(declared, tmp_path):
    path = tmp_path / "empty.yaml"
    path.write_text("/**:\n  ros__parameters:\n    geo:\n      datum: []\n")
    assert declared("--ros-args", "--params-file", str(path)).current.geo.datum == []


def change(made, name, value):
    return made.node.set_parameters([Parameter(name, value=value)])[0]


def test_dynamic_change_is_validated_as_a_whole(declared):
    made = declared()
    before = made.current
    assert not change(made, "search.radius_max_m", 5.0).successful
    assert not change(made, "search.sigma_factor", 0.1).successful
    assert not change(made, "frames.map", "world").successful
    assert made.current is before
    assert change(made, "search.radius_max_m", 80.0).successful
    assert made.current.search.radius_max_m == 80.0
    assert before.search.radius_max_m == 50.0


def test_change_that_something_else_refuses_changes_nothing(declared):
    made = declared()
    both = [Parameter("search.radius_max_m", value=80.0), Parameter("use_sim_time", value="yes")]
    assert not made.node.set_parameters_atomically(both).successful
    assert made.node.get_parameter("search.radius_max_m").value == 50.0
    assert made.current.search.radius_max_m == 50.0


def test_change_is_applied_where_rclpy_says_nothing_afterwards_as_on_humble(declared):
    made = declared()
    if made._told_later:
        made.node.remove_post_set_parameters_callback(made._after_set)
        made._told_later = False
    assert change(made, "search.radius_max_m", 80.0).successful
    assert made.current.search.radius_max_m == 80.0


def test_patience_with_a_lost_camera_may_change_at_run_time(rig):
    topics = {f"cameras__{name}__image_topic": name for name in ("left", "right")}
    made = rig(camera_names=["left", "right"], inputs__wait_s=5.0, **topics)
    made.send_image(stamp_now(), topic="left")
    made.arrived("image left")
    assert not made.session.localized
    made.run(lambda: made.node.set_parameters([Parameter("inputs.wait_s", value=0.01)]))
    wait_for(lambda: made.session.localized, 4.0)


def test_open_bound_is_refused_with_the_limit(declared):
    result = change(declared(), "output.heartbeat_s", 0.0)
    assert not result.successful
    assert "greater than 0" in result.reason


def test_worker_applies_a_change_before_the_next_frame(rig):
    made = rig()
    made.ready_to_drive()
    made.node.set_parameters([Parameter("estimation.gate_sigma", value=3.0)])
    made.send_image(stamp_now())
    wait_for(lambda: made.session.localized)
    assert made.session.config.estimation.gate_sigma == 3.0


def test_unknown_parameter_stops_configuration_with_the_message(rig):
    made = rig(start=False, tiles__sourc="x")
    assert not made.start()
    assert "did you mean tiles.source?" in made.node._failure
    assert not made.sessions
