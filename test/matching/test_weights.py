# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files of weights: round trip, and each way in which they can be wrong."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import nn

from cvloc_ros.errors import ModelError
from cvloc_ros.matching import weights


@pytest.fixture
def model():
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))


def test_round_trip_with_facts(model, tmp_path):
    path = tmp_path / "model.safetensors"
    weights.write_tensors(path, model.state_dict(), {"model": "test"})
    assert weights.read_facts(path) == {"model": "test"}
    found = weights.read_tensors(tmp_path)  # the folder holds one file
    other = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    weights.load_into(other, found, "the test model", path)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.safetensors"]


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s}])
def test_pytorch_files_wrapped_or_not(wrap, model, tmp_path):
    torch.save(wrap(model.state_dict()), tmp_path / "model.pt")
    assert set(weights.read_tensors(tmp_path / "model.pt")) == set(model.state_dict())
    assert weights.read_facts(tmp_path / "model.pt") == {}


class Evil:
    def __reduce__(self):
        return (eval, ("1 + 1",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Evil(), "never unpickled"),
        ([1, 2, 3], "holds list"),
        ({}, "not named tensors"),
        ({"a": torch.ones(2), "epoch": 3}, "epoch is not tensors"),
        ("text", "holds str"),
    ],
)
def test_a_pickle_that_is_no_state_dict(content, message, tmp_path):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ModelError, match=message):
        weights.read_tensors(tmp_path / "x.pt")


def test_a_plain_pickle_is_not_run(tmp_path):
    (tmp_path / "x.pt").write_bytes(pickle.dumps({"a": Evil()}, protocol=2))
    with pytest.raises(ModelError, match=r"x\.pt"):
        weights.read_tensors(tmp_path / "x.pt")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated_files(suffix, share, model, tmp_path):
    path = tmp_path / f"x{suffix}"
    if suffix == ".pt":
        torch.save(model.state_dict(), path)
    else:
        weights.write_tensors(path, model.state_dict())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match=r"x\."):
        weights.read_tensors(path)


def test_a_page_of_html_instead_of_weights(tmp_path):
    (tmp_path / "x.pt").write_text("<html>quota exceeded</html>")
    with pytest.raises(ModelError, match=r"x\.pt"):
        weights.read_tensors(tmp_path / "x.pt")


def test_no_file_no_folder_or_too_many(tmp_path, model):
    with pytest.raises(ModelError, match="do not exist"):
        weights.find_file(tmp_path / "absent.pt")
    with pytest.raises(ModelError, match="holds no weights"):
        weights.find_file(tmp_path)
    for name in ("a.pt", "b.pt"):
        torch.save(model.state_dict(), tmp_path / name)
    with pytest.raises(ModelError, match="2 files"):
        weights.find_file(tmp_path)


def test_weights_of_another_model_and_values_that_are_not_finite(model):
    with pytest.raises(ModelError, match="another model"):
        weights.load_into(model, nn.Conv2d(3, 3, 3).state_dict(), "the test model", "x.pt")
    broken = {key: value.clone() for key, value in model.state_dict().items()}
    broken["0.weight"][0, 0] = torch.nan
    with pytest.raises(ModelError, match=r"0\.weight hold values that are not finite"):
        weights.load_into(model, broken, "the test model", "x.pt")
    with pytest.raises(ModelError, match="unknown: extra"):
        weights.load_into(model, {**model.state_dict(), "extra": torch.ones(1)}, "the test model", "x.pt")


def test_a_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(ModelError, match="cannot be written"):
        weights.write_tensors(tmp_path / "absent" / "x.safetensors", {"a": torch.ones(1)})
