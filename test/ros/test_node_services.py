# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The four services answer at once and do what they say."""

from __future__ import annotations

import threading

from rig import stamp_now, wait_for
from std_srvs.srv import SetBool, Trigger

from cvloc_ros.errors import TileSourceError
from cvloc_ros.ros import compat


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


def test_prefetch_runs_beside_everything_else(rig):
    made = rig()
    assert not call(made, "prefetch").success
    go_on = threading.Event()
    made.session.prefetch = lambda _: "fetched 12 tiles" if go_on.wait(10.0) else ""
    assert call(made, "prefetch").success
    assert "under way" in call(made, "prefetch").message
    go_on.set()
    wait_for(lambda: made.node._prefetch.state == "fetched 12 tiles")


def test_prefetch_that_is_not_allowed_tells_why(rig):
    made = rig()

    def forbidden(stop):
        msg = "the provider does not allow storing"
        raise TileSourceError(msg)

    made.session.prefetch = forbidden
    call(made, "prefetch")
    wait_for(lambda: "does not allow" in made.node._prefetch.state)


def test_prefetch_is_stopped_at_shutdown(rig):
    made = rig()
    made.session.prefetch = lambda stop: wait_for(stop) and "stopped"
    call(made, "prefetch")
    made.node.trigger_shutdown()
    assert not [thread for thread in threading.enumerate() if thread.name == "cvloc-prefetch"]
