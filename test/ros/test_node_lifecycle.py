# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Transitions: what each opens its opposite closes, and a fault in one is told and answered with FAILURE."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path

import pytest
from fake_session import FakeSession
from geometry_msgs.msg import PoseWithCovarianceStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.lifecycle import TransitionCallbackReturn
from rig import stamp_now, wait_for

from cvloc_ros.errors import TileSourceError
from cvloc_ros.ros.inputs import Inputs

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR
ROUND = ("configure", "activate", "deactivate", "cleanup")


def label(made) -> str:
    return made.node._state_machine.current_state[1]


def topics(node) -> set[str]:
    return {item.topic_name for item in [*node.publishers, *node.subscriptions]}


def test_whole_round_twice_leaves_nothing_behind(rig):
    made = rig(start=False)
    node = made.node
    bare, threads = topics(node), threading.active_count()
    timers, services = len(list(node.timers)), len(list(node.services))
    for _ in range(2):
        assert made.transition("configure") == SUCCESS
        configured = topics(node)
        assert made.transition("activate") == SUCCESS
        assert label(made) == "active"
        assert f"/{made.namespace}/image" in topics(node)
        assert made.transition("deactivate") == SUCCESS
        assert topics(node) == configured
        assert made.transition("cleanup") == SUCCESS
        assert topics(node) == bare
        assert made.session.closed
    assert threading.active_count() == threads
    assert (len(list(node.timers)), len(list(node.services))) == (timers, services)
    assert len(made.sessions) == 2


def counts(node) -> dict[str, int]:
    """Native threads and files of the process, and what the node has of each kind of entity."""
    kinds = ("publishers", "subscriptions", "timers", "services", "clients", "waitables", "guards")
    entities = {kind: len(list(getattr(node, kind))) for kind in kinds}
    return {name: len(list(Path("/proc/self", name).iterdir())) for name in ("task", "fd")} | entities


def test_25_rounds_leave_no_thread_file_entity_or_object(rig):
    made = rig(start=False)
    node = made.node
    for name in ROUND:  # the first round loads libraries
        made.transition(name)
    before, made_parts = counts(node), []
    for _ in range(25):
        assert [made.transition(name) for name in ROUND[:2]] == [SUCCESS, SUCCESS]
        parts = (node._session, node._outputs, node._inputs, node._worker, node._tf_input, node._tf_output)
        made_parts += [weakref.ref(part) for part in parts]
        del parts
        assert [made.transition(name) for name in ROUND[2:]] == [SUCCESS, SUCCESS]
    made.sessions.clear()
    gc.collect()
    assert counts(node) == before
    assert [ref() for ref in made_parts if ref() is not None] == []


def test_garbage_collector_leaves_an_active_node_alone_and_finds_all_after_cleanup(rig):
    """A full round of the collector stopped all callbacks for 0.1 s."""
    made = rig()
    assert gc.get_freeze_count() > 10_000
    assert [made.transition(name) for name in ("deactivate", "cleanup")] == [SUCCESS, SUCCESS]
    assert gc.get_freeze_count() == 0


def test_localizes_again_after_deactivate_and_activate(rig):
    made = rig()
    made.listen("~/pose", PoseWithCovarianceStamped)
    made.ready_to_drive()
    made.send_image(stamp_now())
    made.wait("~/pose")
    assert made.transition("deactivate") == SUCCESS
    assert made.transition("activate") == SUCCESS
    made.ready_to_drive()
    made.send_image(stamp_now())
    made.wait("~/pose", 2)


def test_shutdown_from_active_frees_everything(rig):
    made = rig()
    assert made.transition("shutdown") == SUCCESS
    assert label(made) == "finalized"
    assert made.session.closed


def test_error_of_the_map_fails_configure_with_its_message(rig):
    def closed_map(config):
        msg = "map.mbtiles does not exist; set tiles.source"
        raise TileSourceError(msg)

    made = rig(start=False, session=closed_map)
    assert made.transition("configure") == FAILURE
    assert label(made) == "unconfigured"
    assert "map.mbtiles does not exist" in made.node._failure


def test_unexpected_error_fails_configure_and_it_can_be_tried_again(rig):
    tries = []

    def second_time(config):
        tries.append(config)
        if len(tries) == 1:
            msg = "never seen before"
            raise ZeroDivisionError(msg)
        return FakeSession(config)

    made = rig(start=False, session=second_time)
    assert made.transition("configure") == FAILURE
    assert made.transition("configure") == SUCCESS


def test_failing_warm_up_closes_the_session_again(rig):
    class Cold(FakeSession):
        def warm_up(self):
            msg = "no memory"
            raise TileSourceError(msg)

    made = rig(start=False, session=Cold)
    assert made.transition("configure") == FAILURE
    assert made.session.closed


def test_fault_half_way_through_activate_leaves_no_tap_behind(rig, monkeypatch):
    def broken(inputs):
        msg = "no more sockets"
        raise RuntimeError(msg)

    monkeypatch.setattr(Inputs, "_adapt", broken)
    made = rig(start=False)
    assert made.transition("configure") == SUCCESS
    configured, before = topics(made.node), counts(made.node)
    assert made.transition("activate") == FAILURE
    assert label(made) == "inactive"
    assert "no more sockets" in made.node._failure
    assert (topics(made.node), counts(made.node)) == (configured, before)
    assert not [item for item in made.node.publishers if getattr(item, "is_activated", False)]


@pytest.mark.parametrize(("transition", "part"), [("deactivate", "_inputs"), ("cleanup", "_offered")])
def test_fault_while_closing_is_told_and_frees_everything_else(rig, transition, part):
    def broken():
        msg = "will not close"
        raise RuntimeError(msg)

    made = rig(start=False)
    bare = topics(made.node)
    made.start()
    if transition == "cleanup":
        made.transition("deactivate")
    getattr(made.node, part).close = broken
    assert made.transition(transition) == ERROR
    assert label(made) == "unconfigured"
    assert f"{transition} failed: RuntimeError: will not close" in made.node._failure
    assert made.session.closed
    assert topics(made.node) == bare
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("cvloc-")]
    assert made.start()


def test_cuda_asked_for_and_missing_fails_configure(rig):
    made = rig(start=False, matcher__device="cuda")
    assert not made.start()
    assert "CUDA" in made.node._failure


def test_tf_prior_with_own_tf_output_is_refused(rig):
    made = rig(start=False, prior__source="tf", output__tf_mode="map_to_odom")
    assert not made.start()
    assert "output.tf_mode" in made.node._failure


def test_transitions_by_service(rig):
    made = rig(start=False)
    change = made.vehicle.create_client(ChangeState, "cvloc/change_state")
    state = made.vehicle.create_client(GetState, "cvloc/get_state")
    assert change.wait_for_service(10.0)
    assert state.wait_for_service(10.0)
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        future = change.call_async(ChangeState.Request(transition=Transition(id=transition)))
        wait_for(future.done)
        assert future.result().success
    future = state.call_async(GetState.Request())
    wait_for(future.done)
    assert future.result().current_state.label == "active"


def test_transition_that_the_state_lacks_is_refused_and_the_node_lives(rig):
    made = rig()
    change = made.vehicle.create_client(ChangeState, "cvloc/change_state")
    assert change.wait_for_service(10.0)
    answers = []
    for transition in (Transition.TRANSITION_CLEANUP, 99, Transition.TRANSITION_DEACTIVATE):
        future = change.call_async(ChangeState.Request(transition=Transition(id=transition)))
        wait_for(future.done)
        answers.append(future.result().success)
    assert answers == [False, False, True]
    assert label(made) == "inactive"


@pytest.mark.parametrize("busy", [False, True])
def test_deactivate_waits_for_the_attempt_under_way(rig, busy):
    made = rig()
    made.ready_to_drive()
    if busy:
        made.session.delay_s = 0.3
        made.send_image(stamp_now())
        wait_for(lambda: made.session.localized)
    assert made.transition("deactivate") == SUCCESS
    assert not [thread for thread in threading.enumerate() if thread.name == "cvloc-worker"]


def test_two_nodes_in_two_namespaces_do_not_meet(rig):
    first, second = rig("north"), rig("south")
    for made in (first, second):
        made.listen("~/pose", PoseWithCovarianceStamped)
    first.ready_to_drive()
    second.ready_to_drive()
    first.send_image(stamp_now())
    first.wait("~/pose")
    second.send_image(stamp_now())
    second.wait("~/pose")
    assert [len(made.inbox["~/pose"]) for made in (first, second)] == [1, 1]
    assert [len(made.session.localized) for made in (first, second)] == [1, 1]
