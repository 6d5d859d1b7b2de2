# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A ROS domain that nobody else on this machine talks on, for demonstrations, benchmarks and tests."""

from __future__ import annotations

import os
import socket

from cvloc_ros.errors import CvlocError

DOMAINS = range(20, 100)
"""Those chosen from: none that people use by habit, and below 102, where ports of Linux clients begin."""

_claims: list[socket.socket] = []


def claim_domain() -> int:
    """Return a ROS_DOMAIN_ID that is this process's own on this machine until it ends.

    Domain d owns the UDP ports 7400 + 250 d to 7649 + 250 d (RTPS 2.5, 9.6.2.3). The last, of a 120th participant, is
    kept bound as the sign that the domain is taken; the port of the first participant tells of whoever left no sign.

    Raises:
        CvlocError: all are taken.
    """
    for step in range(len(DOMAINS)):
        domain = DOMAINS[(os.getpid() + step) % len(DOMAINS)]
        first = 7400 + 250 * domain
        sign, probe = _bound(first + 249), _bound(first + 10)
        if probe is not None:
            probe.close()
        if sign is not None and probe is not None:
            _claims.append(sign)
            return domain
        if sign is not None:
            sign.close()
    msg = f"no ROS domain from {DOMAINS[0]} to {DOMAINS[-1]} is free on this machine; name one"
    raise CvlocError(msg)


def _bound(port: int) -> socket.socket | None:
    """Bind a UDP port that nobody has; None where somebody does."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.bind(("", port))
    except OSError:
        made.close()
        return None
    return made
