# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The services of the node. Each answers at once and leaves the work to the threads that own it."""

from __future__ import annotations

from typing import Protocol

from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger


class Controlled(Protocol):
    """What the services do to the node."""

    triggered: bool

    @property
    def is_active(self) -> bool:
        """Whether images are being taken."""
        ...

    def set_enabled(self, *, enabled: bool) -> None:
        """Pause or go on."""
        ...

    def request_reset(self) -> None:
        """Forget history."""
        ...

    def start_prefetch(self) -> tuple[bool, str]:
        """Fetch tiles in the background."""
        ...


class Services:
    """~/trigger, ~/enable, ~/reset and ~/prefetch."""

    def __init__(self, node: Node) -> None:
        """Offer the services."""
        self._node = node
        self._controlled: Controlled = node  # type: ignore[assignment]
        self._services = [
            node.create_service(Trigger, "~/trigger", self._trigger),
            node.create_service(SetBool, "~/enable", self._enable),
            node.create_service(Trigger, "~/reset", self._reset),
            node.create_service(Trigger, "~/prefetch", self._prefetch),
        ]

    def close(self) -> None:
        """Withdraw the services."""
        for service in self._services:
            self._node.destroy_service(service)

    def _trigger(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if not self._controlled.is_active:
            response.message = "the node is not active"
            return response
        self._controlled.triggered = True
        response.success = True
        response.message = "images are taken until one attempt has a pose or a candidate; the result comes on ~/status"
        return response

    def _enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._controlled.set_enabled(enabled=request.data)
        response.success = True
        response.message = "enabled" if request.data else "paused"
        return response

    def _reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._controlled.is_active
        response.message = "history is forgotten" if response.success else "the node is not active"
        if response.success:
            self._controlled.request_reset()
        return response

    def _prefetch(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = self._controlled.start_prefetch()
        return response
