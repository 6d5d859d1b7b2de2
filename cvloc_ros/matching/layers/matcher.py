# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the matchers have in common that run on a device."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

import torch

from cvloc_ros.errors import ModelError
from cvloc_ros.matching.layers.aerial import AerialSide, to_device
from cvloc_ros.types import AerialCode, AerialPatch


class DeviceMatcher(ABC):
    """Base of the matchers: aerial codes that hold the patch on the device, a first run, and what is freed.

    A method adds `name`, `reach_m` and `match` of `types.Matcher`, and `dry_run`.
    """

    name: str
    reach_m: float

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def encode_aerial(self, patch: AerialPatch) -> AerialCode:
        """Put the patch on the device; the crops that frames ask for are encoded once and kept with it."""
        return AerialCode(patch, to_device(patch, self._device))

    @abstractmethod
    def dry_run(self) -> None:
        """Compute once what `match` does, on dummy data of the usual size."""

    def warm_up(self) -> float:
        """Run once on dummy data; return the seconds it took."""
        start = time.perf_counter()
        with torch.inference_mode():
            self.dry_run()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter() - start

    def close(self) -> None:
        """Free cached device memory."""
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _side(self, aerial: AerialCode) -> AerialSide:
        """Return the patch on the device.

        Raises:
            ModelError: the aerial code is another matcher's.
        """
        if not isinstance(aerial.data, AerialSide):
            found = type(aerial.data).__name__
            msg = f"aerial code of another matcher: {found}; encode the patch with {self.name}"
            raise ModelError(msg)
        return aerial.data

    def _grey(self, rows: int, cols: int) -> torch.Tensor:
        """Grey image (1, 3, rows, cols) on the device."""
        return torch.full((1, 3, rows, cols), 0.5, device=self._device)

    def _generator(self, seed: int) -> torch.Generator:
        return torch.Generator(self._device).manual_seed(seed % 2**63)
