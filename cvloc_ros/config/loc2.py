# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the matcher `loc2` and of the depth that it lifts its matches with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cvloc_ros.config.section import Section, param


class Depth(Section):
    """Where the depth of the image pixels comes from."""

    source: Literal["flat_ground", "measured", "files", "depth_anything", "unik3d"] = param(
        "flat_ground",
        "flat_ground: the road at z = 0 of base. measured: depth that comes with the images (stereo, lidar). files: "
        "depth images in folder. depth_anything, unik3d: a network with local weights.",
    )
    weights: str = param("", "Folder with the weights of the depth network; `cvloc weights list` says where from.")
    folder: str = param("", "Folder of depth images, CAMERA/STAMP_NS with .png, .tiff, .exr or .npy.")
    metres_per_unit: float = param(
        0.001, "Metres for one unit of integer depth files; 0.00390625 (1/256) for KITTI.", unit="m", gt=0, le=1
    )
    max_m: float = param(35.0, "Pixels that are further away are not matched.", unit="m", ge=1, le=1000)


class Loc2(Section):
    """Loc²: matching in the image plane, lifting of the matches by depth."""

    weights: str = param(
        "small", "small: shipped, trained on simulated worlds. Else a file from training, or what `cvloc weights "
        "convert loc2` makes of a published one."
    )
    backbone: str = param(
        "vitl14", "Network that makes tokens: conv; vits14, vitb14, vitl14 (also with _reg); dinov3_vits16, _vitb16, "
        "_vitl16."
    )
    backbone_weights: str = param("", "File or folder with the backbone's weights (not for conv).")
    geometry: Literal["auto", "mended", "published"] = param(
        "auto", "auto: as the weights say. published: grids with their ends included. mended: centres of the cells."
    )
    heading: Literal["any", "north", "up", "right"] = param(
        "any", "Direction that the model was trained for. any: unknown. north: VIGOR with known orientation; panoramas "
        "are rolled by the yaw of the prior until their middle looks north (other cameras as up). up, right: the "
        "aerial image is turned until the camera looks up in it, or to the right as in KITTI.",
    )
    heading_step_deg: float = param(
        2.0, "Both are turned in steps; each turn is encoded anew.", unit="deg", ge=0.1, le=30
    )
    extent_m: float = param(71.0, "Side of the aerial image that is matched.", unit="m", ge=10, le=500)
    crop_step_m: float = param(
        8.0, "The aerial image is moved in steps, so that it serves many frames.", unit="m", ge=0.1, le=50
    )
    aerial_px: int = param(630, "Side of the aerial image given to the backbone.", unit="px", ge=28, le=2048)
    aerial_cells: int = param(41, "Aerial points on each side.", ge=2, le=256)
    ground_size: Annotated[list[int], Field(max_length=2)] = param(
        [], "Rows, columns of the image given to the backbone; empty: 1428 columns for a panorama, else 1232."
    )
    max_views: int = param(8, "Views (the newest) whose tokens are matched; published models take one.", ge=1, le=32)
    matches: int = param(1024, "Matches that are drawn from the matching matrix.", ge=8, le=65536)
    scale: Literal["auto", "free", "fixed"] = param(
        "auto",
        "free: the scale of the depth is found with the pose, as published. fixed: depth is believed to be metric. "
        "auto: fixed for depth of the flat road or measured, free for that of networks and files.",
    )
    ransac_sets: int = param(
        20, "Sets of 100 hypotheses in the search for the scale; 20 as published, 0: all matches agree.", ge=0, le=200
    )
    inlier_m: float = param(2.5, "Matches this close to the pose agree with it.", unit="m", gt=0, le=50)

    @model_validator(mode="after")
    def _check_size(self) -> Loc2:
        if len(self.ground_size) == 1 or any(size < 8 for size in self.ground_size):
            msg = f"ground_size {self.ground_size} must be [rows, columns] of at least 8 px, or empty"
            raise ValueError(msg)
        return self
