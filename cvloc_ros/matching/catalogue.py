# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which weights there are, where they come from and under which licence; and what a file of weights is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cvloc_ros.errors import ModelError
from cvloc_ros.matching import weights
from cvloc_ros.matching.layers import dinov2, dinov3
from cvloc_ros.resources import sha256

_DINO = "https://dl.fbaipublicfiles.com/dinov2"
_HUB = "https://huggingface.co"


@dataclass(frozen=True, slots=True)
class Source:
    """One download: which key of the configuration wants it, its file, address and licence, and what then to do."""

    name: str
    wanted_by: str
    file: str
    address: str
    licence: str
    then: str


def _dino(size: str, suffix: str = "") -> Source:
    file = f"dinov2_{size}{suffix and '_reg4'}_pretrain.pth"
    return Source(
        f"DINOv2 {size}{suffix}", "matcher.*.backbone_weights", file, f"{_DINO}/dinov2_{size}/{file}", "Apache-2.0",
        "use as it is (or a Hugging Face folder: "
        f"{_HUB}/facebook/dinov2-{'with-registers-' if suffix else ''}{_HUB_SIZE[size]})",
    )  # fmt: skip


def _dino3(size: str) -> Source:
    return Source(
        f"DINOv3 {size}", "matcher.*.backbone_weights", "folder: config.json, model.safetensors",
        f"{_HUB}/facebook/dinov3-{size}-pretrain-lvd1689m",
        "DINOv3 License (not an open-source one; it has to be accepted at the address before the files are given out)",
        f"use as it is, backbone dinov3_{size}; needs transformers",
    )  # fmt: skip


_HUB_SIZE = {"vits14": "small", "vitb14": "base", "vitl14": "large"}
_AUTHORS = "not stated apart from the code ({code}); ask the authors before other use than research"
SOURCES = (
    *(_dino(size, suffix) for suffix in ("", "_reg") for size in _HUB_SIZE),
    *(_dino3(name.removeprefix("dinov3_")) for name in dinov3.CHANNELS),
    Source(
        "FG² (seven checkpoints: VIGOR, KITTI)", "matcher.fg2.weights", "model.pt (242,332,222 bytes, 331 keys)",
        "https://drive.google.com/drive/folders/1WUViQcX9m0PE9FePbWklisBS88sHOyMK",
        _AUTHORS.format(code="GPL-3.0"), "cvloc weights convert fg2 FILE OUT --variant ...; backbone DINOv2 vitl14",
    ),
    Source(
        "Loc² (checkpoints: VIGOR, KITTI)", "matcher.loc2.weights", "model.pt (163 keys)",
        "https://drive.google.com/drive/folders/1JQHSxN-IRViKdFri2m9JtLMR_JdFLBIO",
        _AUTHORS.format(code="AGPL-3.0"), "cvloc weights convert loc2 FILE OUT; backbone DINOv2 vitl14",
    ),
    Source(
        "ViewBridge (none published)", "matcher.viewbridge.weights", "best/model.safetensors of a training", "train it",
        "your own", "cvloc train config/train/published_viewbridge_vigor.yaml (or small_viewbridge_sim.yaml)",
    ),
    Source(
        "GridLoc (none published)", "matcher.gridloc.weights", "best/model.safetensors of a training", "train it",
        "your own", "cvloc train config/train/published_gridloc_vigor.yaml (or _oxford, small_gridloc_sim.yaml)",
    ),
    Source(
        "VGG-16, ImageNet", "backbone_weights of a training of GridLoc", "vgg16-397923af.pth",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "BSD-3-Clause (torchvision); ImageNet, of which they were made, is for research", "use as it is",
    ),
    Source(
        "Depth Anything V2 metric, small (outdoor)", "matcher.depth.weights", "folder: config.json, model.safetensors",
        f"{_HUB}/depth-anything/Depth-Anything-V2-Metric-Outdoor-Small-hf",
        "Apache-2.0 (Base and Large: CC-BY-NC-4.0, no commercial use)", "use as it is, source depth_anything",
    ),
    Source(
        "Depth Anything V2 relative, small", "matcher.depth.weights", "folder: config.json, model.safetensors",
        f"{_HUB}/depth-anything/Depth-Anything-V2-Small-hf",
        "Apache-2.0 (Base and Large: CC-BY-NC-4.0, no commercial use)", "use as it is, source depth_anything",
    ),
    Source(
        "UniK3D ViT-L (all cameras, panoramas)", "matcher.depth.weights", "folder: config.json, model.safetensors",
        f"{_HUB}/lpiccinelli/unik3d-vitl", "CC-BY-NC-4.0, no commercial use; read it before you use it",
        "install the package unik3d; use as it is, source unik3d",
    ),
)  # fmt: skip
"""Nothing of this is ever downloaded by cvloc itself."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a file of weights is: model, number of tensors and of their elements, digest and size of the file."""

    model: str
    tensors: int
    numbers: int
    sha256: str
    size_bytes: int


def examine(path: Path | str) -> Found:
    """Read a file (or folder) of weights whole and tell which complete, finite model it holds.

    Raises:
        ModelError: it cannot be read, or it is no complete model that is known here; keys that fail are named.
    """
    if (Path(path) / "config.json").is_file():
        return _in_folder(Path(path))
    file = weights.find_file(path)
    tensors = weights.read_tensors(file)
    numbers = sum(value.numel() for value in tensors.values())
    return Found(_recognise(tensors, file), len(tensors), numbers, sha256(file), file.stat().st_size)


def _recognise(tensors: Mapping[str, Tensor], file: Path) -> str:
    stated = weights.read_facts(file).get("model")
    if stated in ("gridloc", "viewbridge"):
        return _trained(stated, file)
    signs: tuple[tuple[Callable[[str], bool], Callable[[Mapping[str, Tensor], Path], str]], ...] = (
        (lambda key: key.startswith(("grd_attention", "rounds.")), _fg2),
        (lambda key: "_projector.resblocks." in key or key.startswith("ground.blocks."), _loc2),
        (lambda key: key.endswith(("cls_token", "patch_embed.proj.weight")), _dinov2),
        (lambda key: key == "features.28.weight", _vgg16),
    )
    for sign, check in signs:
        if any(sign(key) for key in tensors):
            return check(tensors, file)
    some = ", ".join(list(tensors)[:3])
    msg = f"{file} holds {len(tensors)} tensors of no model that is known here ({some}); see cvloc weights list"
    raise ModelError(msg)


def _trained(model: str, file: Path) -> str:
    """Open a model that comes from training alone."""
    if model == "gridloc":
        from cvloc_ros.matching.gridloc.model import open_model as open_gridloc

        return f"GridLoc, backbone {open_gridloc(file, torch.device('cpu')).network.settings.backbone}"
    from cvloc_ros.matching.layers.backbone import OWN
    from cvloc_ros.matching.viewbridge.model import open_model
    from cvloc_ros.matching.viewbridge.settings import ViewBridgeSettings

    backbone = ViewBridgeSettings.from_json(weights.read_facts(file).get("settings", "")).plane.backbone
    if backbone in OWN:
        open_model(file, "", torch.device("cpu"))
    return f"ViewBridge, backbone {backbone}"


def _fg2(tensors: Mapping[str, Tensor], file: Path) -> str:
    from cvloc_ros.matching.fg2 import checkpoint
    from cvloc_ros.matching.fg2.network import Fg2Network
    from cvloc_ros.matching.fg2.settings import VARIANTS

    if "dustbin_score" not in tensors:
        checkpoint.load(file)
        return "FG², converted or trained"
    queries = "grd_grid_queries"
    with torch.device("meta"):
        state = Fg2Network(next(iter(VARIANTS.values()))).state_dict()
    expected = {checkpoint.published_key(key): tuple(value.shape) for key, value in state.items()}
    given = {key: value for key, value in tensors.items() if key != queries}
    weights.check(given, {key: shape for key, shape in expected.items() if key != queries}, "FG²", file)
    return "FG², as published: cvloc weights convert fg2 makes it usable"


def _loc2(tensors: Mapping[str, Tensor], file: Path) -> str:
    from cvloc_ros.matching.loc2 import checkpoint
    from cvloc_ros.matching.loc2.network import Loc2Network

    read = checkpoint.read(file)
    if "dustbin_score" in tensors:
        return "Loc², as published: usable as it is; cvloc weights convert loc2 makes a safe file of it"
    bare = {key: value for key, value in read.tensors.items() if not key.startswith("backbone.")}
    first = bare.get("ground.blocks.0.conv1.weight")
    with torch.device("meta"):
        network = Loc2Network(
            channels=1024 if first is None else first.shape[1], widths=checkpoint.widths_of(read, file),
            layers=checkpoint.layers_of(read),
        )  # fmt: skip
    weights.check(bare, {key: tuple(value.shape) for key, value in network.state_dict().items()}, "Loc²", file)
    return f"Loc², converted or trained, geometry {'published' if read.published else 'mended'}"


def _dinov2(tensors: Mapping[str, Tensor], file: Path) -> str:
    given = dinov2.original_keys(tensors)
    channels = given["cls_token"].shape[-1] if "cls_token" in given else 0
    sizes = {size.channels: name for name, size in dinov2.SIZES.items()}
    if channels not in sizes:
        msg = f"{file} is a vision transformer of width {channels}; DINOv2 of {sorted(sizes)} channels is known here"
        raise ModelError(msg)
    name = sizes[channels] + ("_reg" if "register_tokens" in given else "")
    with torch.device("meta"):
        expected = {key: tuple(value.shape) for key, value in dinov2.create(name).state_dict().items()}
    given.setdefault("mask_token", torch.zeros(1, channels))
    weights.check(given, expected, f"DINOv2 {name}", file)
    return f"DINOv2 {name}: backbone {name}"


def _vgg16(tensors: Mapping[str, Tensor], file: Path) -> str:
    from cvloc_ros.matching.gridloc.vgg import Vgg16

    with torch.device("meta"):
        expected = {key: tuple(value.shape) for key, value in Vgg16().state_dict().items()}
    given = {key: value for key, value in tensors.items() if not key.startswith("classifier.")}
    weights.check(given, expected, "VGG-16", file)
    return "VGG-16: backbone_weights of a training of GridLoc"


def _dinov3(folder: Path) -> str:
    width = int(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("hidden_size", 0))
    names = {channels: name for name, channels in dinov3.CHANNELS.items()}
    if width not in names:
        msg = f"{folder} is a DINOv3 of width {width}; {', '.join(map(str, names))} channels are known here"
        raise ModelError(msg)
    dinov3.load(names[width], folder)
    return f"DINOv3: backbone {names[width]}"


def _in_folder(folder: Path) -> Found:
    """Recognise a folder in the layout of `transformers` by its description, and check it by loading."""
    try:
        kind = str(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type", ""))
    except (ValueError, AttributeError, OSError) as err:
        msg = f"{folder / 'config.json'} cannot be read: {err}; fetch it again"
        raise ModelError(msg) from err
    file = weights.find_file(folder)
    tensors = weights.read_tensors(file)
    if kind == "depth_anything":
        from cvloc_ros.matching.depth.depth_anything import DepthAnything

        network = DepthAnything(folder, torch.device("cpu"))
        model = f"Depth Anything V2, {'metric' if network.metric else 'relative'}: source depth_anything"
    elif kind == "dinov3_vit":
        model = _dinov3(folder)
    else:
        model = _recognise(tensors, file)
    numbers = sum(value.numel() for value in tensors.values())
    return Found(model, len(tensors), numbers, sha256(file), file.stat().st_size)
