# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which matchers there are; each is imported only when it is asked for."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cvloc_ros.config import Matching
from cvloc_ros.errors import ModelError
from cvloc_ros.ground import GroundProjector
from cvloc_ros.matching import shipped
from cvloc_ros.types import Matcher

if TYPE_CHECKING:
    import torch

MATCHERS = {
    "classical": "cvloc_ros.matching.classical:ClassicalMatcher",
    "fg2": "cvloc_ros.matching.fg2.matcher:Fg2Matcher",
    "gridloc": "cvloc_ros.matching.gridloc.matcher:GridLocMatcher",
    "loc2": "cvloc_ros.matching.loc2.matcher:Loc2Matcher",
    "viewbridge": "cvloc_ros.matching.viewbridge.matcher:ViewBridgeMatcher",
}
"""Name to `module:class`; the class is called with (config, device, project_ground)."""


def create(config: Matching, project_ground: GroundProjector) -> Matcher:
    """Make the matcher that the configuration names.

    Raises:
        ModelError: the name is unknown, or the device is not there.
    """
    if config.name not in MATCHERS:
        near = difflib.get_close_matches(config.name, MATCHERS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        msg = f"matcher.name = {config.name!r} is unknown; there are {', '.join(MATCHERS)}{hint}"
        raise ModelError(msg)
    module, name = MATCHERS[config.name].split(":")
    cls = getattr(importlib.import_module(module), name)
    return cast("Matcher", cls(_with_file(config), select_device(config), project_ground))


def weights_file(config: Matching) -> Path | None:
    """Return the file of the matcher's own weights, shipped ones by their name; None for a matcher that has none.

    Raises:
        ModelError: weights are named and are not there, or shipped ones are damaged.
    """
    given = getattr(getattr(config, config.name, None), "weights", "")
    if not given:
        return None
    if given in shipped.NAMES:
        return shipped.locate(config.name, given)
    from cvloc_ros.matching.weights import find_file  # brings torch

    return find_file(given)


def _with_file(config: Matching) -> Matching:
    """Put the path of shipped weights in the place of their name."""
    section = getattr(config, config.name, None)
    if getattr(section, "weights", "") not in shipped.NAMES:
        return config
    own = section.model_copy(update={"weights": str(weights_file(config))})  # type: ignore[union-attr]
    return config.model_copy(update={config.name: own})


def select_device(config: Matching) -> torch.device:
    """Resolve `matcher.device` and set the number of CPU threads.

    Raises:
        ModelError: cuda was asked for and is not available.
    """
    import torch

    if config.threads:
        torch.set_num_threads(config.threads)
    if config.device == "cuda" and not torch.cuda.is_available():
        msg = (
            f"matcher.device = cuda, but this torch ({torch.__version__}) finds no CUDA device; "
            "set matcher.device to auto or cpu, or install a CUDA build of torch and the driver"
        )
        raise ModelError(msg)
    wanted = "cuda" if config.device == "auto" and torch.cuda.is_available() else config.device
    return torch.device("cpu" if wanted == "auto" else wanted)
