# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Weights that are found by name, and are what was shipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from cvloc_ros import resources
from cvloc_ros.config import Config, merge
from cvloc_ros.errors import ConfigError, ModelError
from cvloc_ros.matching import registry, shipped


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with one file of weights."""

    def find(relative: str) -> Path:
        path = tmp_path / relative
        if path.is_file():
            return path
        msg = f"{relative} was not found in {tmp_path}; install cvloc_ros again"
        raise ConfigError(msg)

    made = tmp_path / shipped.FOLDER
    made.mkdir(parents=True)
    weights = made / "fg2_small.safetensors"
    weights.write_bytes(b"weights")
    (tmp_path / shipped.DIGESTS).write_text(f"{resources.sha256(weights)}  {weights.name}\n")
    monkeypatch.setattr(resources, "find", find)
    return made


def named(matcher: str):
    return merge(Config(), {"matcher": {"name": matcher, matcher: {"weights": "small"}}}).matcher


def test_a_name_stands_for_the_shipped_file(folder):
    assert registry.weights_file(named("fg2")) == folder / "fg2_small.safetensors"


def test_a_file_that_was_changed_is_refused(folder):
    with (folder / "fg2_small.safetensors").open("ab") as file:
        file.write(b"!")
    with pytest.raises(ModelError, match=r"not what was shipped.*install the package again"):
        registry.weights_file(named("fg2"))


def test_a_file_without_a_digest_is_refused(folder):
    (folder / "SHA256SUMS").write_text("")
    with pytest.raises(ModelError, match="says nothing"):
        registry.weights_file(named("fg2"))


def test_missing_ones_are_named_with_the_key(folder):
    with pytest.raises(ModelError, match=r"matcher\.loc2\.weights = small: .*loc2_small\.safetensors"):
        registry.weights_file(named("loc2"))


def test_a_path_is_a_path(folder, tmp_path):
    own = tmp_path / "own.safetensors"
    own.write_bytes(b"")
    config = merge(Config(), {"matcher": {"name": "fg2", "fg2": {"weights": str(own)}}})
    assert registry.weights_file(config.matcher) == own
