# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A sample as named pieces of bytes, as they stand in a shard, and back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from cvloc_ros.datasets.sample import Sample, SampleError
from cvloc_ros.imaging.models import Equirectangular, Fisheye, Pinhole, Rotated
from cvloc_ros.types import U8, AerialPatch, CameraModel, Correspondences, GroundView, Mask, Pose2

_KINDS: dict[str, Any] = {kind.__name__: kind for kind in (Pinhole, Fisheye, Equirectangular)}
_JPEG_QUALITY = 92
_DEPTH_UNIT_M = 0.01
_FORMAT = 1
_MATCHES = ("ground", "aerial", "weights", "uv", "view")


def encode(sample: Sample) -> dict[str, bytes]:
    """Turn a sample into pieces: `json`, `patch.jpg`, `0.jpg` and so on; masks as PNG, depth in centimetres."""
    patch = sample.patch
    pieces = {"patch.jpg": _image(".jpg", patch.rgb[..., ::-1]), **_mask("patch", patch.valid)}
    for number, view in enumerate(sample.views):
        pieces[f"{number}.jpg"] = _image(".jpg", view.rgb[..., ::-1])
        if view.valid is not None:
            pieces |= _mask(str(number), view.valid)
        if view.depth is not None:
            steps = np.nan_to_num(view.depth / _DEPTH_UNIT_M, nan=0.0, posinf=0.0)
            pieces[f"{number}.depth.png"] = _image(".png", np.clip(np.rint(steps), 0, 65535).astype(np.uint16))
    matches = sample.matches
    facts = {
        "format": _FORMAT, "name": sample.name, "source": sample.source, "seed": sample.seed,
        "pose": dataclasses.astuple(sample.pose),
        "patch": {
            "metres_per_px": patch.metres_per_px, "map_from_px": patch.map_from_px.tolist(),
            "attribution": patch.attribution, "key": list(patch.key),
        },
        "views": [_view_facts(view) for view in sample.views],
        "matches": None if matches is None else {name: getattr(matches, name).tolist() for name in _MATCHES},
    }  # fmt: skip
    return {"json": json.dumps(facts).encode(), **pieces}


def decode(pieces: Mapping[str, bytes], where: str) -> Sample:
    """Turn pieces into a sample; `where` names it in errors.

    Raises:
        SampleError: a piece is missing or damaged.
    """
    try:
        facts = json.loads(pieces["json"])
        part = facts["patch"]
        rgb = _read(pieces, "patch.jpg")
        valid = _read_mask(pieces, "patch", rgb)
        patch = AerialPatch(
            rgb, np.ones(rgb.shape[:2], bool) if valid is None else valid, float(part["metres_per_px"]),
            np.array(part["map_from_px"], np.float64), part["attribution"],
            1.0 if valid is None else float(valid.mean()), tuple(part["key"]),
        )  # fmt: skip
        views = tuple(_view(pieces, number, view) for number, view in enumerate(facts["views"]))
        given = facts["matches"]
        made: Any = Correspondences
        matches = None if given is None else made(*(np.array(given[name]) for name in _MATCHES))
        return Sample(facts["name"], facts["source"], views, patch, Pose2(*facts["pose"]), matches, facts["seed"])
    except (KeyError, TypeError, ValueError, AttributeError, cv2.error) as err:
        msg = f"{where}: damaged or incomplete ({type(err).__name__}: {err})"
        raise SampleError(msg) from err


def camera_facts(camera: CameraModel) -> dict[str, Any]:
    """Return the kind and the parameters of a camera model."""
    if isinstance(camera, Rotated):
        return {"kind": "Rotated", "camera": camera_facts(camera.camera), "rotation": list(camera.rotation)}
    if type(camera).__name__ not in _KINDS:
        msg = f"camera model {type(camera).__name__} cannot be stored; {', '.join(_KINDS)} can"
        raise TypeError(msg)
    return {"kind": type(camera).__name__, **dataclasses.asdict(camera)}  # type: ignore[call-overload]


def camera_of(facts: Mapping[str, Any]) -> CameraModel:
    """Make the camera model that `camera_facts` described."""
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items() if key != "kind"}
    if facts["kind"] == "Rotated":
        inner = camera_of(facts["camera"])
        if not isinstance(inner, Pinhole):
            msg = "only pinhole cameras are turned"
            raise ValueError(msg)
        return Rotated(inner, tuple(facts["rotation"]))
    made: CameraModel = _KINDS[facts["kind"]](**given)
    return made


def _view_facts(view: GroundView) -> dict[str, Any]:
    return {
        "camera_name": view.camera_name, "camera": camera_facts(view.camera), "stamp_ns": view.stamp_ns,
        "T_base_camera": view.T_base_camera.tolist(), "T_ref_base": dataclasses.astuple(view.T_ref_base),
    }  # fmt: skip


def _view(pieces: Mapping[str, bytes], number: int, facts: Mapping[str, Any]) -> GroundView:
    rgb = _read(pieces, f"{number}.jpg")
    depth = None
    if f"{number}.depth.png" in pieces:
        raw = cv2.imdecode(np.frombuffer(pieces[f"{number}.depth.png"], np.uint8), cv2.IMREAD_UNCHANGED)
        depth = (raw * np.float64(_DEPTH_UNIT_M)).astype(np.float32)
    return GroundView(
        facts["camera_name"], rgb, camera_of(facts["camera"]), np.array(facts["T_base_camera"], np.float64),
        facts["stamp_ns"], Pose2(*facts["T_ref_base"]), _read_mask(pieces, str(number), rgb), depth,
    )  # fmt: skip


def _image(suffix: str, image: Any) -> bytes:
    done, data = cv2.imencode(suffix, image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if suffix == ".jpg" else [])
    if not done:
        msg = f"image {image.shape} cannot be encoded as {suffix}"
        raise ValueError(msg)
    return bytes(data)


def _mask(name: str, valid: Mask) -> dict[str, bytes]:
    """Return a mask as a piece; none where all is valid."""
    return {} if valid.all() else {f"{name}.valid.png": _image(".png", valid.astype(np.uint8) * 255)}


def _read(pieces: Mapping[str, bytes], name: str) -> U8:
    image = cv2.imdecode(np.frombuffer(pieces[name], np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        msg = f"{name} is no picture"
        raise ValueError(msg)
    return np.ascontiguousarray(image[..., ::-1])


def _read_mask(pieces: Mapping[str, bytes], name: str, rgb: U8) -> Mask | None:
    if f"{name}.valid.png" not in pieces:
        return None
    mask = cv2.imdecode(np.frombuffer(pieces[f"{name}.valid.png"], np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None or mask.shape != rgb.shape[:2]:
        msg = f"{name}.valid.png does not fit its picture"
        raise ValueError(msg)
    return np.asarray(mask > 127)
