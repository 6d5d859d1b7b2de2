# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc weights` as a user meets it; the files are made here, nothing is fetched."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import pytest
import torch

from cvloc_ros.cli.main import main
from cvloc_ros.matching.fg2 import checkpoint as fg2
from cvloc_ros.matching.fg2.network import Fg2Network
from cvloc_ros.matching.fg2.settings import VARIANTS, Fg2Settings
from cvloc_ros.matching.gridloc import model as gridloc
from cvloc_ros.matching.gridloc.settings import GridLocSettings
from cvloc_ros.matching.gridloc.vgg import Vgg16
from cvloc_ros.matching.layers import dinov2
from cvloc_ros.matching.loc2 import checkpoint as loc2
from cvloc_ros.matching.viewbridge import model as viewbridge
from cvloc_ros.matching.viewbridge.settings import ViewBridgeSettings

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        msg = "cvloc weights must not use the network"
        raise AssertionError(msg)

    monkeypatch.setattr(socket.socket, "connect", refuse)


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["weights", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def published(tmp_path: Path) -> Path:
    torch.save({key: torch.full(shape, 0.5) for key, shape in loc2.published_shapes().items()}, tmp_path / "model.pt")
    return tmp_path / "model.pt"


def test_list_tells_what_from_where_and_the_licence(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "list")
    assert code == 0
    for text in ("matcher.fg2.weights", "matcher.loc2.weights", "matcher.depth.weights", "dinov2_vitl14_pretrain.pth",
                 "matcher.viewbridge.weights", "matcher.gridloc.weights", "vgg16-397923af.pth",
                 "1WUViQcX9m0PE9FePbWklisBS88sHOyMK", "Apache-2.0", "CC-BY-NC-4.0", "AGPL-3.0", "never downloads"):
        assert text in out


def test_convert_and_verify_loc2(capsys: pytest.CaptureFixture[str], published: Path, tmp_path: Path) -> None:
    out = tmp_path / "loc2.safetensors"
    code, said, _ = call(capsys, "convert", "loc2", published, out)
    assert code == 0
    assert "163 tensors" in said
    for file, text in ((published, "Loc², as published"), (out, "Loc², converted or trained, geometry published")):
        code, said, _ = call(capsys, "verify", file)
        assert code == 0
        assert text in said
        assert "21," in said  # million numbers
        assert hashlib.sha256(file.read_bytes()).hexdigest() in said
    assert call(capsys, "convert", "loc2", published, out)[0] == 2  # not over a file that is there


def test_the_digest_is_compared(capsys: pytest.CaptureFixture[str], published: Path) -> None:
    right = hashlib.sha256(published.read_bytes()).hexdigest()
    assert call(capsys, "verify", published, "--sha256", right.upper())[0] == 0
    code, _, err = call(capsys, "verify", published, "--sha256", "0" * 64)
    assert code == 2
    assert right in err


@pytest.mark.slow
def test_fg2_is_converted_with_its_queries(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with torch.device("meta"):
        state = Fg2Network(VARIANTS["kitti"]).state_dict()
    names = {fg2.published_key(key): tuple(value.shape) for key, value in state.items()}
    names.pop("grd_grid_queries")
    assert len(names) == 331
    file, out = tmp_path / "model.pt", tmp_path / "fg2.safetensors"
    torch.save({key: torch.full(shape, 0.5) for key, shape in names.items()}, file)
    code, said, _ = call(capsys, "verify", file)
    assert (code, "FG², as published" in said) == (0, True)
    code, _, err = call(capsys, "convert", "fg2", file, out)
    assert (code, "--variant" in err) == (2, True)
    assert call(capsys, "convert", "fg2", file, out, "--variant", "kitti")[0] == 0
    code, said, _ = call(capsys, "verify", out)
    assert (code, "FG², converted" in said, "332 tensors" in said) == (0, True, True)
    assert call(capsys, "convert", "loc2", file, tmp_path / "no.safetensors")[0] == 2
    assert not (tmp_path / "no.safetensors").exists()


def test_backbones_are_recognised_by_their_size(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    state = dinov2.create("vits14_reg").state_dict()
    torch.save(state, tmp_path / "dino.pth")
    code, said, _ = call(capsys, "verify", tmp_path / "dino.pth")
    assert (code, "DINOv2 vits14_reg" in said) == (0, True)
    state.pop("blocks.3.attn.qkv.bias")
    torch.save(state, tmp_path / "dino.pth")
    code, _, err = call(capsys, "verify", tmp_path / "dino.pth")
    assert (code, "blocks.3.attn.qkv.bias" in err) == (2, True)


def test_models_of_a_training_are_recognised(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plane = Fg2Settings(cells=8, heights=2, backbone="conv", channels=32, widths=(32, 16), rounds=1, projector_layers=1)
    bridge = viewbridge.create(ViewBridgeSettings(plane), "", torch.device("cpu"))
    grid = gridloc.create(GridLocSettings(backbone="conv", channels=32, width=32), torch.device("cpu"))
    viewbridge.save(bridge, tmp_path / "viewbridge.safetensors")
    gridloc.save(grid, tmp_path / "gridloc.safetensors")
    for name, text in {"viewbridge": "ViewBridge, backbone conv", "gridloc": "GridLoc, backbone conv"}.items():
        code, said, _ = call(capsys, "verify", tmp_path / f"{name}.safetensors")
        assert (code, text in said, "all finite" in said) == (0, True, True), name
    with torch.no_grad():
        grid.network.head[0].weight[0, 0] = torch.nan
    gridloc.save(grid, tmp_path / "broken.safetensors")
    code, _, err = call(capsys, "verify", tmp_path / "broken.safetensors")
    assert (code, "head.0.weight" in err) == (2, True)


def test_vgg_is_recognised_with_or_without_its_classifier(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    state = {key: torch.zeros(value.shape, dtype=torch.float16) for key, value in Vgg16().state_dict().items()}
    for more in ({}, {"classifier.6.bias": torch.zeros(1000)}):
        torch.save({**state, **more}, tmp_path / "vgg.pth")
        code, said, _ = call(capsys, "verify", tmp_path / "vgg.pth")
        assert (code, "VGG-16" in said) == (0, True)
    state.pop("features.0.bias")
    torch.save(state, tmp_path / "vgg.pth")
    code, _, err = call(capsys, "verify", tmp_path / "vgg.pth")
    assert (code, "features.0.bias" in err) == (2, True)


def test_faults_are_one_message_and_exit_code_2(capsys: pytest.CaptureFixture[str], published: Path) -> None:
    folder = published.parent
    torch.save({"layer.weight": torch.zeros(2)}, folder / "other.pt")
    (folder / "cut.pt").write_bytes(published.read_bytes()[:1000])
    (folder / "depth").mkdir()
    (folder / "depth" / "config.json").write_text("{")
    texts = {"other.pt": "no model that is known", "cut.pt": "cut off", "absent.pt": "not exist", "depth": "cannot be"}
    for name, text in texts.items():
        code, out, err = call(capsys, "verify", folder / name)
        assert (code, out) == (2, ""), name
        assert text in err
        assert "Traceback" not in err
    assert call(capsys, "convert", "loc2", published, folder / "out.pt")[0] == 2
    assert call(capsys, "convert", "loc2", published, folder / "o.safetensors", "--variant", "kitti")[0] == 2
