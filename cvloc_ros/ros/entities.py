# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a node has made of rclpy's entities, to take back what a step that failed half-way made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rclpy.lifecycle import LifecycleNode


class Entities:
    """The subscriptions, timers, clients, services and publishers of a node at one moment."""

    def __init__(self, node: LifecycleNode) -> None:
        """Remember those of now."""
        self._node = node
        self._known = [entity for entity, _ in self._present()]

    def restore(self) -> None:
        """Destroy what came since; a constructor that raised has left it to nobody."""
        for entity, destroy in list(self._present()):
            if not any(entity is known for known in self._known):
                destroy(entity)

    def _present(self) -> Iterator[tuple[Any, Callable[[Any], Any]]]:
        node = self._node
        clock = node.resolve_topic_name("/clock")  # rclpy subscribes when use_sim_time is set, whenever that is
        for kind, destroy in (
            ([item for item in node.subscriptions if item.topic_name != clock], node.destroy_subscription),
            (node.timers, node.destroy_timer),
            (node.clients, node.destroy_client),
            (node.services, node.destroy_service),
            (node.publishers, node.destroy_lifecycle_publisher),
        ):
            for entity in kind:
                yield entity, destroy
