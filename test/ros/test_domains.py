# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Domains of processes that must not hear each other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from cvloc_ros.errors import CvlocError
from cvloc_ros.ros import domains


@pytest.fixture
def claims(monkeypatch):
    monkeypatch.setattr(domains, "_claims", [])
    yield domains._claims
    for claim in domains._claims:
        claim.close()


def test_a_demo_beside_a_test_does_not_send_its_clock_to_the_tests_node(claims):
    """Each claim is another domain, in this process and in others."""
    code = "from cvloc_ros.ros.domains import claim_domain; print(claim_domain(), flush=True); input()"
    others = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        theirs = [int(other.stdout.readline()) for other in others]
        mine = [domains.claim_domain(), domains.claim_domain()]
        assert len({*theirs, *mine}) == 5
        assert int(os.environ["ROS_DOMAIN_ID"]) not in [*theirs, *mine], "the tests' own domain is claimed, too"
    finally:
        for other in others:
            other.communicate("\n")


def test_a_domain_where_somebody_talks_without_a_claim_is_left_out(claims, monkeypatch):
    first = domains.claim_domain()
    claims.pop().close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as participant:
        participant.bind(("", 7410 + 250 * first))
        monkeypatch.setattr(domains, "DOMAINS", range(first, first + 1))
        with pytest.raises(CvlocError, match=f"from {first} to {first} is free"):
            domains.claim_domain()
    assert domains.claim_domain() == first
