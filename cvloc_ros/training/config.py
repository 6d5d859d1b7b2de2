# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a training is: method, data, schedule. One YAML file (`config/train/`) holds it all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from cvloc_ros.config import Section, explain, merge_into, param, walk
from cvloc_ros.datasets.catalogue import Data
from cvloc_ros.errors import ConfigError


class PriorDraw(Section):
    """How wrong the prior is that the search window is made of: drawn anew whenever a sample is seen."""

    shape: Literal["normal", "uniform", "given"] = param(
        "normal", "normal: GNSS-like, the sigmas below. uniform: within ± the sigmas below, as published for KITTI. "
        "given: what the lines of a published test state (drawn as for uniform where there is nothing).",
    )  # fmt: skip
    sigma_m: float = param(5.0, "Standard deviation on each axis (uniform: half range).", unit="m", ge=0, le=100)
    sigma_deg: float = param(5.0, "Standard deviation of the yaw (uniform: half range).", unit="deg", ge=0, le=180)
    yaw_known: bool = param(True, "false: the prior's yaw is drawn from the whole circle, and said to be unknown.")


class Augment(Section):
    """Changes of the pictures while training, with geometry that stays exact; 0 switches each off."""

    photometric: float = param(1.0, "Brightness, contrast, gamma, colour, blur, noise of both sides.", ge=0, le=3)
    occlusion: float = param(0.3, "Share of the images with boxes over them.", ge=0, le=1)
    tilt_deg: float = param(1.5, "Spread of pitch and roll by which images are turned.", unit="deg", ge=0, le=15)
    focal: float = param(0.08, "Spread of the factor on the focal length (pinhole).", ge=0, le=0.5)
    mounting: float = param(
        1.0, "How wrong the mounting is that the method is told: 1 is 0.2 degrees and 2 cm (sigma).", ge=0, le=10
    )
    turn: bool = param(True, "Turn the map, and the truth with it, by any angle.")
    drop_views: float = param(0.3, "Share of the samples of which a part of the views is taken away.", ge=0, le=1)
    odometry: float = param(0.02, "Error of the way between keyframes, share of the way.", ge=0, le=0.5)


class Optimiser(Section):
    """Steps of the optimiser; its rate is a function of the step alone."""

    name: Literal["adam", "adamw"] = param("adamw", "Adam (as published for FG² and others) or AdamW.")
    rate: float = param(1e-3, "Largest learning rate.", gt=0, le=1)
    backbone_rate: float = param(1.0, "Factor on the rate of a backbone that is trained, too.", ge=0, le=10)
    weight_decay: float = param(0.01, "Of AdamW.", ge=0, le=1)
    warm_up: int = param(200, "Steps in which the rate rises.", ge=0)
    schedule: Literal["cosine", "constant"] = param("cosine", "cosine: down to a hundredth at the last step.")
    clip: float = param(1.0, "Largest norm of the gradient; 0 does not clip.", ge=0)


class Run(Section):
    """Length, batches, what is written when."""

    steps: int = param(10_000, "Steps of the optimiser.", ge=1)
    batch: int = param(16, "Samples of a step, over all processes.", ge=1, le=4096)
    seed: int = param(0, "Chooses weights, order, priors, changes and draws.", ge=0)
    precision: Literal["no", "bf16"] = param("no", "no: single precision. bf16: mixed precision.")
    threads: int = param(1, "CPU threads of torch; 0 leaves its default.", ge=0, le=256)
    workers: int = param(2, "Processes that make samples, for each training process; 0: none.", ge=0, le=128)
    average: float = param(0.998, "Weight of the past in the averaged weights that are evaluated and kept; 0: none.",
                           ge=0, lt=1)
    evaluate_every: int = param(500, "Steps between evaluations.", ge=1)
    evaluate: int = param(64, "Samples of an evaluation.", ge=1)
    pictures: int = param(2, "Pictures of matches of an evaluation.", ge=0, le=16)
    save_every: int = param(250, "Steps between checkpoints.", ge=1)
    keep: int = param(2, "Checkpoints that are kept beside the best.", ge=1)
    patience: int = param(0, "Evaluations without a better one before the training ends; 0: it runs to its end.", ge=0)
    log_every: int = param(20, "Steps between entries of the curves.", ge=1)


class Training(Section):
    """One training."""

    method: Literal["fg2", "gridloc", "loc2", "viewbridge"] = param("fg2", "Which matcher is trained.")
    variant: str = param("", "Named settings of the method that `settings` change, such as kitti, vigor, car.")
    settings: dict[str, Any] = param({}, "Settings of the model, as its header states them.")
    weights: str = param("", "Weights to start from; empty: random ones.")
    start_from: str = param("", "Weights of another method to start from: parts that both have are taken over.")
    backbone_weights: str = param("", "File or folder of DINOv2 or VGG weights, for models that need them.")
    loss: dict[str, float] = param({}, "Weights of the parts of the loss and counts, as the method names them.")
    localizer: dict[str, Any] = param({}, "Configuration of the localizer in evaluations, such as matcher.fg2.ransac.")
    data: Data = Field(default_factory=Data)
    validation: Data = Field(default_factory=lambda: Data.model_validate({"simulated": {"purpose": "tuning"}}))
    prior: PriorDraw = Field(default_factory=PriorDraw)
    validation_prior: PriorDraw | None = param(None, "How wrong it is in evaluations; left out: as in training.")
    augment: Augment = Field(default_factory=Augment)
    optimiser: Optimiser = Field(default_factory=Optimiser)
    run: Run = Field(default_factory=Run)


def load(path: Path | str, changes: Mapping[str, Any] | None = None) -> Training:
    """Read a file of settings; `changes` (a tree of sections) replace single ones.

    Raises:
        ConfigError: it cannot be read, or holds keys or values that are refused; each is named.
    """
    try:
        tree = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        msg = f"{path}: {err}"
        raise ConfigError(msg) from err
    if not isinstance(tree, dict):
        msg = f"{path}: a mapping of sections is expected, found {type(tree).__name__}"
        raise ConfigError(msg)
    merge_into(tree, changes or {})
    return parse(tree, str(path))


def parse(tree: dict[str, Any], source: str = "training") -> Training:
    """Validate a nested mapping.

    Raises:
        ConfigError: one line for each fault.
    """
    try:
        return Training.model_validate(tree)
    except ValidationError as err:
        known = [key for key, _ in walk(Training)]
        raise ConfigError("\n".join(f"{source}: {explain(fault, known)}" for fault in err.errors())) from err
