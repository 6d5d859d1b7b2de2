# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node `cvloc`: topics in, `Session` in the middle, topics out.

A frame's way: `Inputs.on_image` -> slot -> `Worker` -> `Session.localize` -> `Outputs.publish`.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile

from cvloc_ros.buffers import NewestSlot
from cvloc_ros.config import Config
from cvloc_ros.errors import ConfigError, CvlocError
from cvloc_ros.image_sets import ImageSet
from cvloc_ros.other_filter import SOURCES
from cvloc_ros.ros import diagnostics, memory
from cvloc_ros.ros.datum_check import DatumCheck
from cvloc_ros.ros.entities import Entities
from cvloc_ros.ros.health import Health
from cvloc_ros.ros.inputs import Inputs
from cvloc_ros.ros.outputs import Outputs
from cvloc_ros.ros.params import Parameters
from cvloc_ros.ros.prefetch import Prefetch
from cvloc_ros.ros.services import Services
from cvloc_ros.ros.tf import TfInput, TfOutput
from cvloc_ros.ros.worker import Worker
from cvloc_ros.session import Session
from cvloc_ros.types import LocalizationResult, Status

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR
DIAGNOSTICS_PERIOD_S = 1.0
STEADY = ClockType.STEADY_TIME


class CvlocNode(LifecycleNode):
    """Managed node. configure opens map and matcher, activate opens the taps; each has its exact opposite."""

    def __init__(self, *, open_session: Callable[[Config], Session] = Session.open, **node_options: Any) -> None:
        """Declare the parameters; `open_session` makes the session of a configuration."""
        super().__init__("cvloc", **node_options)
        self._open_session = open_session
        self.parameters = Parameters(self)
        self.health = Health()
        self.enabled = True
        self.triggered = False
        self._session: Session | None = None
        self._outputs: Outputs | None = None
        self._tf_output: TfOutput | None = None
        self._prefetch: Prefetch | None = None
        self._offered: Services | None = None
        self._inputs: Inputs | None = None
        self._datum_check: DatumCheck | None = None
        self._tf_input: TfInput | None = None
        self._worker: Worker | None = None
        self._slot: NewestSlot[ImageSet] = NewestSlot()
        self._dropped_before = 0
        self._failure = ""
        self._silent = False
        self._told: dict[str, str] = {}
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
        self.create_timer(DIAGNOSTICS_PERIOD_S, self.publish_diagnostics, clock=Clock(clock_type=STEADY))
        back = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1_000_000), on_clock_change=False)
        self._jump_handle = self.get_clock().create_jump_callback(back, post_callback=self._on_time_jump)
        self._change_state = self._service_change_state.callback
        self._service_change_state.callback = self._on_change_state
        self._bare = Entities(self)

    # --- lifecycle

    def start(self) -> bool:
        """Configure and activate; False, with the reason logged, where one of them fails."""
        return self.trigger_configure() == SUCCESS and self.trigger_activate() == SUCCESS

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Check the parameters, open map and matcher and warm up."""
        return self._transition("configure", self._configure, partial(super().on_configure, state), undo=self._cleanup)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the taps: publishers, worker, subscriptions."""
        undo = partial(self._quieten, state)
        return self._transition("activate", partial(super().on_activate, state), self._activate, undo=undo)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the taps; map and matcher stay."""
        return self._transition("deactivate", partial(self._quieten, state))

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free map, matcher and device."""
        return self._transition("cleanup", self._cleanup, partial(super().on_cleanup, state))

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Do what deactivate and cleanup do, from any state; a fault ends in the same state."""
        return self._transition("shutdown", self.release, partial(super().on_shutdown, state), undo=self.release)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything after a fault in a transition, so that configure can be tried again."""
        steps = (self.release, self._bare.restore, partial(super().on_error, state))
        return SUCCESS if self._succeeds("error handling", *steps) else FAILURE

    def _on_change_state(self, request: Any, response: Any) -> Any:
        """Refuse a transition that the state does not have; rclpy would end the process."""
        try:
            return self._change_state(request, response)
        except RuntimeError as err:
            state = self._state_machine.current_state[1]
            self.get_logger().error(f"transition {request.transition.id} is refused in state {state}: {err}")
            response.success = False
            return response

    def release(self) -> None:
        """Stop the worker and free everything; harmless when there is nothing to free."""
        with ExitStack() as closing:
            closing.callback(self._cleanup)
            closing.callback(self._deactivate)

    def destroy_node(self) -> None:
        """Free everything, then destroy the node."""
        try:
            self.release()
        finally:
            self._jump_handle.unregister()
            super().destroy_node()

    def _transition(
        self, name: str, *steps: Callable[[], Any], undo: Callable[[], Any] | None = None
    ) -> TransitionCallbackReturn:
        """Run the steps. A fault is undone and answered with FAILURE, which leaves the state as it was.

        What cannot be undone is an ERROR: `on_error` frees everything, and the node is unconfigured.
        """
        before = Entities(self)
        if self._succeeds(name, *steps):
            self._failure = ""
            return SUCCESS
        return FAILURE if undo is not None and self._succeeds(f"undoing {name}", undo, before.restore) else ERROR

    def _succeeds(self, name: str, *steps: Callable[[], Any]) -> bool:
        """Run the steps and show what they raise; rclpy would swallow an exception of a transition without a word."""
        try:
            for step in steps:
                step()
        except CvlocError as err:
            self._failure = f"{name} failed: {err}"
            self.get_logger().error(self._failure)
        except Exception as err:  # noqa: BLE001  shown, and answered with FAILURE or ERROR
            self._failure = f"{name} failed: {type(err).__name__}: {err}"
            self.get_logger().error(f"{name} failed:\n{traceback.format_exc()}")
        else:
            return True
        return False

    def _configure(self) -> None:
        config = self.parameters.current
        if config.prior.source in SOURCES and config.output.tf_mode != "none":
            msg = (
                f"prior.source {config.prior.source} with output.tf_mode {config.output.tf_mode}: the node would "
                "search where it says that it is; set output.tf_mode to none"
            )
            raise ConfigError(msg)
        self._session = self._open_session(config)
        seconds = self._session.warm_up()
        self.get_logger().info(f"map and matcher {config.matcher.name} are open; warm-up took {seconds:.2f} s")
        self._tf_output = TfOutput(self, config, self._session, self.health)
        self._outputs = Outputs(
            self, lambda: self.parameters.current, self._session, self._tf_output, self.health, lambda: self.dropped
        )
        self._prefetch = Prefetch()
        self._offered = Services(self)

    def _activate(self) -> None:
        config, session, outputs = self.parameters.current, self._session, self._outputs
        if session is None or outputs is None or self._tf_output is None:
            msg = "activate before configure"
            raise RuntimeError(msg)
        outputs.publish_datum()
        memory.settle()
        self._slot = NewestSlot()
        self._worker = Worker(
            session, self._slot, lambda: self.parameters.current, lambda: self.get_clock().now().nanoseconds,
            self._publish, self._cleared, self.get_logger(),
        )  # fmt: skip
        self._worker.start()
        self._tf_input = TfInput(self, config, session, self._tf_output, self.health)
        self._inputs = Inputs(
            self, config, session, self._slot, self.health, self._worker.report, self.on_clock_jump
        )
        self._inputs.wanted = lambda: self.enabled or self.triggered
        self._inputs.patience_s = lambda: self.parameters.current.inputs.wait_s
        self._datum_check = DatumCheck(self, config, session, self.health)

    def _deactivate(self) -> None:
        """Close the taps, each of them, whatever one of them raises."""
        with ExitStack() as closing:
            if self._tf_output is not None:
                closing.callback(self._tf_output.clear)
            if self._worker is not None:
                closing.callback(self._stop, self._worker)
            for part in (self._tf_input, self._inputs, self._datum_check):
                if part is not None:
                    closing.callback(part.close)
            self._inputs = self._tf_input = self._datum_check = None

    def _stop(self, worker: Worker) -> None:
        worker.stop()
        self._dropped_before += self._slot.dropped
        self._worker = None

    def _quieten(self, state: LifecycleState) -> None:
        """Close the taps and the publishers."""
        with ExitStack() as closing:
            closing.callback(super().on_deactivate, state)
            closing.callback(self._deactivate)

    def _cleanup(self) -> None:
        with ExitStack() as closing:
            if self._session is not None:
                closing.callback(memory.give_back)
            for part in (self._session, self._tf_output, self._outputs, self._prefetch, self._offered):
                if part is not None:
                    closing.callback(part.close)  # the last one first
            self._offered = self._prefetch = self._outputs = self._tf_output = self._session = None

    # --- between executor and worker

    @property
    def dropped(self) -> int:
        """Images that newer ones replaced before they were looked at, since the node started."""
        return self._dropped_before + (self._slot.dropped if self._worker is not None else 0)

    @property
    def is_active(self) -> bool:
        """Whether images are being taken."""
        return self._worker is not None

    def set_enabled(self, *, enabled: bool) -> None:
        """Pause or go on; pausing is said once on ~/status."""
        if self.enabled and not enabled and self._worker is not None:
            now_ns = self.get_clock().now().nanoseconds
            self._worker.report(LocalizationResult(Status.DISABLED, now_ns, ("paused by the service ~/enable",)))
        self.enabled = enabled

    def request_reset(self) -> None:
        """Forget history, keyframes and own poses before the next attempt."""
        if self._worker is not None and self._worker.request_reset() and self._inputs is not None:
            self._inputs.clear()

    def start_prefetch(self) -> tuple[bool, str]:
        """Fetch tiles around the vehicle in the background."""
        if self._prefetch is None or self._session is None:
            return False, "the node is not configured"
        radius_m = self.parameters.current.tiles.prefetch_radius_m
        return self._prefetch.start(self._session.aerial, self.health.place(), radius_m)

    def on_clock_jump(self, text: str) -> None:
        """Clear slot, buffers and history: the clock or the stamps went back."""
        if self._worker is None or not self._worker.request_reset():
            return
        if self._inputs is not None:
            self._inputs.clear()
        self.health.jump(text)

    def _on_time_jump(self, jump: Any) -> None:
        delta_s = jump["delta"] * 1e-9 if isinstance(jump, dict) else jump.delta.nanoseconds * 1e-9
        self.on_clock_jump(f"the clock went back by {-delta_s:.1f} s")

    def _cleared(self) -> None:
        """Let the outputs start afresh; runs in the worker after the session's reset."""
        if self._outputs is not None and self._tf_output is not None:
            self._outputs.clear()
            self._tf_output.clear()

    def _publish(self, result: LocalizationResult) -> None:
        if result.estimate is not None or result.candidate is not None:
            self.triggered = False
        if self._outputs is None or not self.context.ok():
            return
        try:
            self._outputs.publish(result)
        except Exception:
            if self.context.ok():  # else Ctrl-C came between two messages, which is no fault
                raise

    # --- diagnostics

    def publish_diagnostics(self) -> None:
        """Publish the state on /diagnostics; called every second of wall time in any state."""
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        config = None if self._session is None else self.parameters.current
        if self._session is not None:
            for what, text in self._session.troubles().items():
                self.health.trouble(what, text)
        name = self.get_fully_qualified_name().lstrip("/")
        seen, situation = self.health.snapshot(), self._situation(config)
        message.status = diagnostics.statuses(name, config, seen, situation)
        self._diagnostics.publish(message)
        silent = [] if config is None else diagnostics.silent_cameras(config, seen, situation)
        self._tell_silence(silent if config is not None and len(silent) == len(config.camera_names) else [])
        for status in message.status:
            self._log_news(status)

    def _tell_silence(self, texts: list[str]) -> None:
        """Say once on ~/status that the images of all cameras stay out; who waits for a pose looks there."""
        if texts and not self._silent and self._worker is not None:
            now_ns = self.get_clock().now().nanoseconds
            self._worker.report(LocalizationResult(Status.NO_IMAGE, now_ns, tuple(texts)))
        self._silent = bool(texts)

    def _log_news(self, status: Any) -> None:
        """Log a fault when it appears and when it is over; who runs the node by hand sees no /diagnostics."""
        before = self._told.get(status.name, "")
        # Ages and counts change all the time and are no news.
        news = "" if status.level == diagnostics.OK else re.sub(r"[\d.]+", "#", status.message)
        if news == before:
            return
        self._told[status.name] = news
        if news and status.level == diagnostics.WARN:
            self.get_logger().warning(f"{status.name}: {status.message}")
        elif news:
            self.get_logger().error(f"{status.name}: {status.message}")
        else:
            self.get_logger().info(f"{status.name}: well again")

    def _situation(self, config: Config | None) -> diagnostics.Situation:
        inputs, states = self._inputs, {True: "active", False: "inactive" if config is not None else "unconfigured"}
        feeds = {} if inputs is None or config is None else dict(zip(config.cameras, inputs.feeds, strict=True))
        return diagnostics.Situation(
            state=states[self.is_active],
            enabled=self.enabled,
            device=str(getattr(self._session, "device", config.matcher.device if config is not None else "")),
            dropped_images=self.dropped,
            incomplete_sets=0 if inputs is None else inputs.incomplete_sets,
            image_topics={name: feed.topic for name, feed in feeds.items()},
            reliability={name: "reliable" if feed.reliable else "best_effort" for name, feed in feeds.items()},
            prefetch="" if self._prefetch is None else self._prefetch.state,
            datum_check="" if self._datum_check is None else self._datum_check.state,
            failure=self._failure,
        )
