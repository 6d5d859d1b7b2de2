# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The four services answer at once and do what they say."""

from __future__ import annotations

import threading

import pytest
from rig import stamp_now, wait_for
from std_srvs.srv import SetBool, Trigger

from cvloc_ros.errors import TileSourceError
from cvloc_ros.ros import compat
from cvloc_ros.tiles.prefetch import PrefetchResult


def call(made, name, request=None):
    kind = SetBool if isinstance(request, SetBool.Request) else Trigger
    client = made.vehicle.create_client(kind, f"cvloc/{name}")
    assert client.wait_for_service(10.0)
    future = client.call_async(request or kind.Request())
    wait_for(future.done, what=name)
    return future.result()


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


def test_reset_clears_the_session(rig):
    made = rig()
    made.ready_to_drive()
    assert call(made, "reset").success
    wait_for(lambda: made.session.resets == 1)
    assert made.node.health.snapshot().clock_jumps == 0


def test_services_of_an_inactive_node_say_so(rig):
    made = rig(start=False)
    made.node.trigger_configure()
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
    located.node.trigger_shutdown()
    assert not [thread for thread in threading.enumerate() if thread.name == "cvloc-prefetch"]
