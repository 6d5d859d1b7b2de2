# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which data sets there are, as settings, and how each is opened."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cvloc_ros.config import Section, param
from cvloc_ros.datasets.sample import DatasetError, Samples
from cvloc_ros.datasets.simulated import Simulated


class Data(Section):
    """Where samples come from."""

    source: Literal["simulated", "shards"] = param(
        "simulated", "simulated: made when they are needed. shards: what `cvloc data make` wrote."
    )
    root: str = param("", "Folder of the data set (not for simulated).")
    split: str = param("", "Part of the data set, such as train, test1, same_area_train.")
    simulated: Simulated = Field(default_factory=Simulated)


def open_samples(data: Data) -> Samples:
    """Open a data set.

    Raises:
        DatasetError: it is not there or not complete; what is missing is named.
    """
    if data.source == "simulated":
        from cvloc_ros.datasets.simulated import open_simulated

        return open_simulated(data.simulated)
    if not data.root:
        msg = f"data.root is empty; name the folder of {data.source}"
        raise DatasetError(msg)
    from cvloc_ros.datasets.shards import ShardSamples

    return ShardSamples(data.root)
