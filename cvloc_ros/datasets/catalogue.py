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

    source: Literal["simulated", "shards", "vigor", "kitti", "oxford", "ford", "cvfm"] = param(
        "simulated", "simulated: made when needed. shards: what `cvloc data make` wrote. The others: downloads."
    )
    root: str = param("", "Folder of the data set (not for simulated).")
    split: str = param(
        "", "vigor: same_area_train, same_area_test, cross_area_train, cross_area_test. kitti: train, test1, test2. "
        "oxford: training, validation, test1_j, test2_j, test3_j. ford: name of a list.",
    )  # fmt: skip
    labels: Literal["corrected", "original"] = param("corrected", "Labels of VIGOR.")
    semi_positives: bool = param(False, "VIGOR: the other tiles that show the place of a panorama, too.")
    any_heading: bool = param(False, "VIGOR: panoramas turned by fixed angles of their own; false: north ahead.")
    part: Literal["all", "first_80", "last_20"] = param(
        "all", "Share of the samples, shuffled with seed 0 as published: for a validation apart from the training."
    )
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
    samples = _recorded(data)
    if data.part == "all":
        return samples
    from cvloc_ros.datasets.part import Part

    return Part(samples, first=data.part == "first_80")


def _recorded(data: Data) -> Samples:
    if data.source == "vigor":
        from cvloc_ros.datasets.vigor import VigorSamples

        return VigorSamples(
            data.root, data.split, labels=data.labels, semi_positives=data.semi_positives, any_heading=data.any_heading
        )
    if data.source == "kitti":
        from cvloc_ros.datasets.kitti import KittiSamples

        return KittiSamples(data.root, data.split)
    if data.source == "oxford":
        from cvloc_ros.datasets.oxford import OxfordSamples

        return OxfordSamples(data.root, data.split)
    if data.source == "ford":
        from cvloc_ros.datasets.ford import FordSamples

        return FordSamples(data.root, data.split)
    if data.source == "cvfm":
        from cvloc_ros.datasets.cvfm import CvfmSamples

        return CvfmSamples(data.root)
    from cvloc_ros.datasets.shards import ShardSamples

    return ShardSamples(data.root)
