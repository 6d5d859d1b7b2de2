# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The four services answer at once and do what they say."""

from __future__ import annotations

import threading

import pytest
from geometry_msgs.msg import PoseWithCovarianceStamped
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rig import stamp_now, wait_for
from std_srvs.srv import SetBool, Trigger

from cvloc_ros.errors import TileSourceError
from cvloc_ros.ros import compat
from cvloc_ros.tiles.prefetch import PrefetchResult


def ask(made, kind, name, request):
    client = made.vehicle.create_client(kind, f"cvloc/{name}")
    assert client.wait_for_service(10.0)
    future = client.call_async(request)
    wait_for(future.done, what=name)
    return future.result()


def call(made, name, request=None):
    kind = SetBool if isinstance(request, SetBool.Request) else Trigger
    return ask(made, kind, name, request or kind.Request())


def gate_sigma(value):
    return Parameter("estimation.gate_sigma", value=value).to_parameter_msg()


def test_paused_node_takes_no_images_and_says_so_once(rig):
    made = rig()
    made.listen("~/status", compat.LocalizationStatus)
    made.ready_to_drive()
    assert call(made, "enable", SetBool.Request(data=False)).success
    made.status("disabled")
    made.send_image(stamp_now())
    made.arrived("image camera")
    assert not made.session.localized
    call(made, "enable", SetBool.Request(data=True))
    made.send_image(stamp_now())
    made.status("ok")


def test_trigger_takes_one_attempt_while_paused(rig):
    made = rig()
    made.listen("~/status", compat.LocalizationStatus)
    made.ready_to_drive()
    call(made, "enable", SetBool.Request(data=False))
    assert call(made, "trigger").success
    made.send_image(stamp_now())
    made.status("ok")
    made.send_image(stamp_now())
    made.arrived("image camera", 2)
    assert len(made.session.localized) == 1


@pytest.fixture
def busy(rig):
    """A node whose worker is in the middle of an attempt until `go_on` is set."""
    made = rig()
    made.listen("~/pose", PoseWithCovarianceStamped)
    made.listen("~/status", compat.LocalizationStatus)
    made.ready_to_drive()
    made.go_on, attempt = threading.Event(), made.session.localize

    def slow(images, age_s=None):
        result = attempt(images, age_s)
        assert made.go_on.wait(20.0)
        return result

    made.session.localize = slow
    made.send_image(stamp_now())
    wait_for(lambda: made.session.localized)
    yield made
    made.go_on.set()


def test_services_and_parameters_answer_while_an_attempt_is_under_way(busy):
    assert not call(busy, "prefetch").success
    assert call(busy, "trigger").success
    assert call(busy, "enable", SetBool.Request(data=False)).success
    assert call(busy, "enable", SetBool.Request(data=True)).success
    changed = ask(busy, SetParameters, "set_parameters", SetParameters.Request(parameters=[gate_sigma(3.0)]))
    assert changed.results[0].successful
    refused = ask(busy, SetParameters, "set_parameters", SetParameters.Request(parameters=[gate_sigma(-1.0)]))
    assert not refused.results[0].successful
    assert not busy.go_on.is_set()
    assert not busy.inbox["~/status"]
    assert busy.session.config.estimation.gate_sigma == 5.0
    busy.go_on.set()
    busy.status("ok")
    busy.send_image(stamp_now())
    wait_for(lambda: len(busy.session.localized) == 2)
    assert busy.session.config.estimation.gate_sigma == 3.0


def test_pose_of_an_attempt_during_a_reset_is_held_back(busy):
    assert call(busy, "reset").success
    busy.go_on.set()
    wait_for(lambda: busy.session.resets == 1)
    status = busy.status("old_stamp")
    assert "reset during the attempt" in status.reasons[0]
    assert not busy.inbox["~/pose"]


def test_parameters_that_cannot_be_applied_are_told_once_and_images_go_on(rig):
    made = rig()
    made.listen("~/status", compat.LocalizationStatus)
    made.ready_to_drive()
    tried = []

    def broken(config):
        tried.append(config)
        msg = "cannot be applied"
        raise RuntimeError(msg)

    made.session.apply = broken
    made.run(lambda: made.node.set_parameters([Parameter("estimation.gate_sigma", value=3.0)]))
    wait_for(lambda: tried)
    made.send_image(stamp_now())
    made.status("ok")
    assert len(tried) == 1


def test_reset_clears_the_session(rig):
    made = rig()
    made.ready_to_drive()
    assert call(made, "reset").success
    wait_for(lambda: made.session.resets == 1)
    assert made.node.health.snapshot().clock_jumps == 0


def test_services_of_an_inactive_node_say_so(rig):
    made = rig(start=False)
    made.transition("configure")
    assert not call(made, "trigger").success
    assert not call(made, "reset").success


class Imagery:
    """Stands for the map: fetches what the test says."""

    def __init__(self, fetch, *, is_network=True) -> None:
        self.prefetch_radius, self.is_network = fetch, is_network


@pytest.fixture
def located(rig):
    """A node that knows where it is."""
    made = rig(tiles__prefetch_radius_m=250.0)
    made.listen("~/status", compat.LocalizationStatus)
    made.ready_to_drive()
    made.send_image(stamp_now())
    made.status("ok")
    return made


def test_prefetch_needs_a_place(rig):
    made = rig()
    made.session.aerial = Imagery(None)
    assert "not known" in call(made, "prefetch").message


def test_prefetch_runs_beside_everything_else(located):
    go_on, asked = threading.Event(), []

    def fetch(centre, radius_m, progress):
        asked.append((centre, radius_m))
        progress(1, 12)
        go_on.wait(10.0)
        return PrefetchResult(tiles=12, fetched=12)

    located.session.aerial = Imagery(fetch)
    assert call(located, "prefetch").success
    wait_for(lambda: located.node._prefetch.state == "1 of 12 tiles")
    assert "under way" in call(located, "prefetch").message
    go_on.set()
    wait_for(lambda: located.node._prefetch.state.startswith("done: 12 fetched"))
    assert asked[0][1] == 250.0
    assert asked[0][0] == pytest.approx([0.0, 11.117], abs=0.1)


def test_prefetch_of_a_local_map_is_refused(located):
    located.session.aerial = Imagery(None, is_network=False)
    answer = call(located, "prefetch")
    assert (answer.success, answer.message) == (False, "the map is local: there is nothing to fetch")


def test_prefetch_that_is_not_allowed_tells_why(located):
    def forbidden(*_):
        msg = "the provider does not allow storing"
        raise TileSourceError(msg)

    located.session.aerial = Imagery(forbidden)
    call(located, "prefetch")
    wait_for(lambda: "does not allow" in located.node._prefetch.state)


def test_prefetch_is_stopped_at_shutdown(located):
    def endless(centre, radius_m, progress):
        wait_for(lambda: not progress(1, 2))
        return PrefetchResult(stopped=True)

    located.session.aerial = Imagery(endless)
    call(located, "prefetch")
    located.transition("shutdown")
    assert not [thread for thread in threading.enumerate() if thread.name == "cvloc-prefetch"]
