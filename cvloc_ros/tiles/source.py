# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every source of a map tells about itself."""

from __future__ import annotations

from typing import Protocol


class Source(Protocol):
    """Something that imagery comes from."""

    @property
    def name(self) -> str:
        """What identifies the source and its content."""
        ...

    @property
    def attribution(self) -> str:
        """Whom to name wherever the imagery is shown."""
        ...

    @property
    def description(self) -> str:
        """One line for people."""
        ...

    @property
    def is_network(self) -> bool:
        """Whether reading may need the network."""
        ...

    @property
    def bounds(self) -> tuple[float, float, float, float] | None:
        """Min x, min y, max x, max y in the CRS; None where they are unknown."""
        ...

    def version(self) -> int:
        """Return a number that grows when content arrived that an earlier read lacked."""
        ...

    def close(self) -> None:
        """Release files, threads and connections."""
        ...
