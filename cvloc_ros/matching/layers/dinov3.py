# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""DINOv3 vision transformers (Siméoni et al. 2025) by the classes of `transformers`; weights from a local folder."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cvloc_ros.errors import ModelError

CHANNELS = {"dinov3_vits16": 384, "dinov3_vitb16": 768, "dinov3_vitl16": 1024}
"""Width of each model by its name here; patches are 16 px."""

PATCH = 16


class DinoV3(nn.Module):
    """Patch tokens of the last layer after the final norm, without the class token and the registers.

    Positions are rotary, computed for the size of the image: any size of whole patches is exact.
    """

    patch = PATCH

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.channels = int(model.config.hidden_size)
        self._before = 1 + int(model.config.num_register_tokens)

    def forward(self, image: Tensor) -> Tensor:
        """Map images (B, 3, H, W), normalised, to tokens (B, C, H // 16, W // 16); the rest is cut off."""
        rows, cols = image.shape[2] // self.patch, image.shape[3] // self.patch
        whole = image[:, :, : rows * self.patch, : cols * self.patch]
        tokens: Tensor = self.model(pixel_values=whole).last_hidden_state[:, self._before :]
        return tokens.transpose(1, 2).reshape(len(tokens), self.channels, rows, cols)


def load(name: str, path: Path | str) -> DinoV3:
    """Read a folder with config.json and model.safetensors; nothing is downloaded.

    Raises:
        ModelError: the folder is missing, incomplete or of another model, or transformers has no DINOv3.
    """
    model_class = _model_class()
    folder = Path(path).expanduser()
    if not (folder / "config.json").is_file():
        msg = (
            f"{str(folder)!r} is no folder of DINOv3; backbone {name} needs one with config.json and model.safetensors "
            "(cvloc weights list says where from; its licence has to be accepted there)"
        )
        raise ModelError(msg)
    try:
        model, notes = model_class.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True, attn_implementation="sdpa"
        )
    except Exception as err:  # transformers raises whatever the reader of the file raises
        msg = f"{folder}: not a DINOv3 model: {err}; fetch it again"
        raise ModelError(msg) from err
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if notes[kind]:
            some = ", ".join(str(key) for key in sorted(notes[kind], key=str)[:5])
            msg = f"{folder} does not fit DINOv3: {len(notes[kind])} {kind.replace('_', ' ')}, such as {some}"
            raise ModelError(msg)
    _check(name, model.config, folder)
    return DinoV3(model.eval())


def _check(name: str, config: Any, folder: Path) -> None:
    wanted = (CHANNELS[name], PATCH)
    found = (int(config.hidden_size), int(config.patch_size))
    if found != wanted:
        msg = f"{folder} has {found[0]} channels and patches of {found[1]} px, {name} {wanted[0]} and {wanted[1]}"
        raise ModelError(msg)


def _model_class() -> Any:
    """Return the class of the model."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        transformers: Any = importlib.import_module("transformers")
        return transformers.DINOv3ViTModel
    except (ImportError, AttributeError) as err:
        msg = "backbone dinov3_* needs transformers 4.56 or newer: pip install cvloc_ros[gpu]; or take a DINOv2"
        raise ModelError(msg) from err
