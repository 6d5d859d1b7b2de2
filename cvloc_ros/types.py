# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Value types that flow through the pipeline (docs/architecture.md).

Conventions: radians, metres, integer nanoseconds; yaw counter-clockwise from east (x of the map).
`T_a_b` takes coordinates from b to a. Images are RGB, `uv` is (column, row), integers at pixel centres.
Every raster of the ground, seen from above, has +x to the right and +y up (rows run along -y).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Pose2:
    """A planar pose, or the planar transform that takes child coordinates to the parent frame."""

    x_m: float
    y_m: float
    yaw_rad: float

    @classmethod
    def at(cls, position: F64, yaw_rad: float) -> Pose2:
        """Make a pose from a position (2,) and a yaw."""
        return cls(float(position[0]), float(position[1]), float(yaw_rad))

    def __matmul__(self, other: Pose2) -> Pose2:
        """Compose: `T_a_b @ T_b_c` is `T_a_c`."""
        c, s = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        return Pose2(
            self.x_m + c * other.x_m - s * other.y_m,
            self.y_m + s * other.x_m + c * other.y_m,
            math.remainder(self.yaw_rad + other.yaw_rad, math.tau),
        )

    def inverse(self) -> Pose2:
        """Return the inverse transform."""
        c, s = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        return Pose2(-c * self.x_m - s * self.y_m, s * self.x_m - c * self.y_m, -self.yaw_rad)

    def apply(self, points: F64) -> F64:
        """Transform points (..., 2) in metres from the child to the parent frame."""
        c, s = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        moved: F64 = points @ np.array([[c, s], [-s, c]]) + np.array([self.x_m, self.y_m])
        return moved

    @property
    def xy(self) -> F64:
        """Position (2,) in metres."""
        return np.array([self.x_m, self.y_m])


class CameraModel(Protocol):
    """Maps between rays of the optical frame (x right, y down, z forward) and pixels."""

    @property
    def kind(self) -> str:
        """Name of the model, such as plumb_bob or equirectangular."""

    @property
    def width(self) -> int:
        """Columns of the image."""

    @property
    def height(self) -> int:
        """Rows of the image."""

    def project(self, points: F64) -> tuple[F64, Mask]:
        """Project points (..., 3) of the optical frame to uv (..., 2) px; the mask tells which are in the image."""

    def unproject(self, uv: F64) -> F64:
        """Turn pixels (..., 2) into unit rays (..., 3) of the optical frame; NaN where the model has none."""


@dataclass(frozen=True, slots=True, eq=False)
class CameraImage:
    """An image as it arrived; `decode` yields RGB (H, W, 3) u8 or raises `ImageError`, and is called when needed."""

    camera: str
    stamp_ns: int
    frame_id: str
    decode: Callable[[], U8]


@dataclass(frozen=True, slots=True, eq=False)
class GroundView:
    """One camera image with all that is needed to relate its pixels to the vehicle.

    `T_base_camera` (4, 4) is the mounting (base to optical frame) at the image's own stamp, camera pitch and roll
    against the ground included. `T_ref_base` carries an older keyframe to the stamp being localized: it takes base
    coordinates at `stamp_ns` to base coordinates at the reference stamp (identity for current images).
    """

    camera_name: str
    rgb: U8
    camera: CameraModel
    T_base_camera: F64
    stamp_ns: int
    T_ref_base: Pose2 = field(default_factory=lambda: Pose2(0.0, 0.0, 0.0))
    valid: Mask | None = None
    """(H, W), False where the vehicle itself or dirt is seen; None means all is usable."""
    depth: F32 | None = None
    """(H, W) m, measured depth of each pixel, 0 or NaN where unknown: along the optical axis (REP 118) for pinhole
    images, along the ray for all others; None means none was measured."""


@dataclass(frozen=True, slots=True, eq=False)
class GeoFix:
    """A GNSS position. `covariance_m2` (2, 2) is east-north; `quality` is sensor_msgs/NavSatStatus.status."""

    latitude_deg: float
    longitude_deg: float
    stamp_ns: int
    covariance_m2: F64
    quality: int = 0
    frame_id: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class OdomSample:
    """Pose of base in odom. `covariance` (3, 3) over x, y, yaw; None when the source states none."""

    stamp_ns: int
    pose: Pose2
    covariance: F64 | None = None


@dataclass(frozen=True, slots=True)
class HeadingSample:
    """Absolute yaw of base (ENU, counter-clockwise from east) with its standard deviation."""

    stamp_ns: int
    yaw_rad: float
    sigma_rad: float


@dataclass(frozen=True, slots=True, eq=False)
class PosePrior:
    """Where the vehicle may be at `stamp_ns`: bounds the search and is the yardstick of the gate, nothing more.

    `covariance` (3, 3) over x, y (m), yaw (rad). `source` names what it was made of, such as "odom+fix".
    """

    pose: Pose2
    covariance: F64
    stamp_ns: int
    yaw_known: bool
    source: str


@dataclass(frozen=True, slots=True)
class SearchWindow:
    """Where the matcher looks: a square of half side `radius_m`, and yaw within `yaw_half_rad` (pi = all)."""

    centre: Pose2
    radius_m: float
    yaw_half_rad: float


@dataclass(frozen=True, slots=True)
class TileState:
    """What the map source could deliver for one patch."""

    tiles: int = 0
    cached: int = 0
    fetched: int = 0
    pending: int = 0
    missing: int = 0
    failed: int = 0
    stale: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class AerialPatch:
    """North-up metric piece of the map. `map_from_px` (2, 3) takes (column, row, 1) to map metres.

    `rgb` (H, W, 3) u8, `valid` (H, W) bool: False is "no imagery". `coverage` is the share of valid pixels.
    `key` identifies the content: equal keys mean equal patches (used to keep encodings).
    """

    rgb: U8
    valid: Mask
    metres_per_px: float
    map_from_px: F64
    attribution: str
    coverage: float
    key: tuple[object, ...]
    tiles: TileState = field(default_factory=TileState)

    def px_from_map(self, points: F64) -> F64:
        """Take map points (..., 2) in metres to uv (..., 2) in pixels."""
        uv: F64 = (points - self.map_from_px[:, 2]) @ np.linalg.inv(self.map_from_px[:, :2]).T
        return uv


@dataclass(frozen=True, slots=True, eq=False)
class AerialCode:
    """What a matcher keeps of an aerial patch; `data` is the matcher's own."""

    patch: AerialPatch
    data: object


@dataclass(frozen=True, slots=True, eq=False)
class Correspondences:
    """Matched points: `ground` (N, 2) m in base, `aerial` (N, 2) m in map, `weights` (N,), `uv` (N, 2) px.

    `view` (N,) is the view that each ground pixel belongs to. Matches within `inlier_m` of a pose agree with it
    (infinity: all do). `scale` is the factor that the method found for depth and has applied to `ground`; None where
    it seeks none. `height_m` (N,) is the height above the ground that a method has selected for each match.
    """

    ground: F64
    aerial: F64
    weights: F64
    uv: F64
    view: NDArray[np.int64]
    inlier_m: float = 1.0
    scale: float | None = None
    height_m: F64 | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ScoreVolume:
    """Log-likelihood (yaw, y, x) of base in map on axes in map coordinates; -inf where nothing could be compared.

    `overlap` (yaw, y, x) is the share of ground evidence that had imagery under it. `scores` is the raw
    similarity in -1..1 that the log-likelihood was made of. Peaks nearer to each other than `resolution_m` are one
    place for the matcher.
    """

    log_likelihood: torch.Tensor
    scores: torch.Tensor
    overlap: torch.Tensor
    x_m: F64
    y_m: F64
    yaw_rad: F64
    resolution_m: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class PoseEstimate:
    """Pose of base in map with covariance (3, 3) over x, y (m), yaw (rad).

    `score` is the similarity of the best pose (matcher's own scale, larger is better), `ambiguity` the likelihood of
    the best other peak relative to it (0 = unique), `coverage` the share of ground evidence with imagery under it,
    `inliers` the share of matches that agree (1 for score volumes), `scale` that of `Correspondences`, as fitted.
    """

    pose: Pose2
    covariance: F64
    score: float
    ambiguity: float
    coverage: float = 1.0
    inliers: float = 1.0
    scale: float | None = None


@enum.unique
class Status(enum.Enum):
    """Outcome of one attempt; the value is the machine-readable reason that is published."""

    OK = "ok"
    DISABLED = "disabled"
    NO_IMAGE = "no_image"
    BAD_IMAGE = "bad_image"
    NO_CAMERA_INFO = "no_camera_info"
    NO_DEPTH = "no_depth"
    NO_TRANSFORM = "no_transform"
    NO_PRIOR = "no_prior"
    STALE_PRIOR = "stale_prior"
    WEAK_PRIOR = "weak_prior"
    OLD_STAMP = "old_stamp"
    WAITING_KEYFRAMES = "waiting_keyframes"
    STANDSTILL = "standstill"
    THROTTLED = "throttled"
    NO_TILES = "no_tiles"
    LOW_COVERAGE = "low_coverage"
    LOW_SCORE = "low_score"
    AMBIGUOUS = "ambiguous"
    UNCERTAIN = "uncertain"
    WINDOW_EDGE = "window_edge"
    PRIOR_DISTANCE = "prior_distance"
    INCONSISTENT = "inconsistent"
    TOO_LATE = "too_late"
    ERROR = "error"


NOT_ATTEMPTED = frozenset(
    {Status.DISABLED, Status.NO_IMAGE, Status.OLD_STAMP, Status.STANDSTILL, Status.THROTTLED, Status.WAITING_KEYFRAMES}
)
"""Outcomes of images on which no match was tried by design; all others count as attempts."""


@dataclass(frozen=True, slots=True, eq=False)
class LocalizationResult:
    """One attempt. `estimate` is not None exactly when `status` is OK; a refused one is in `candidate`.

    `cameras` names those whose images of this moment were given to the matcher.
    """

    status: Status
    stamp_ns: int
    reasons: tuple[str, ...] = ()
    estimate: PoseEstimate | None = None
    candidate: PoseEstimate | None = None
    prior: PosePrior | None = None
    window: SearchWindow | None = None
    patch: AerialPatch | None = None
    views: tuple[GroundView, ...] = ()
    cameras: tuple[str, ...] = ()
    volume: ScoreVolume | None = None
    matches: Correspondences | None = None
    timings_s: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a result that claims success without a pose, or a pose without success."""
        if (self.estimate is not None) != (self.status is Status.OK):
            msg = f"estimate given: {self.estimate is not None}, status: {self.status.value}; they must agree"
            raise ValueError(msg)

    def refused(self, status: Status, reason: str) -> LocalizationResult:
        """Return the same with another end; the estimate becomes the candidate."""
        reasons, candidate = (reason, *self.reasons), self.estimate or self.candidate
        return replace(self, status=status, estimate=None, candidate=candidate, reasons=reasons)


class Matcher(Protocol):
    """A cross-view method; a new one is one file in `matching`."""

    name: str
    reach_m: float
    """How far from a pose imagery is looked at, in metres."""

    def encode_aerial(self, patch: AerialPatch) -> AerialCode:
        """Compute what depends on the aerial image alone; kept while the vehicle stays in the patch."""

    def match(
        self, views: Sequence[GroundView], aerial: AerialCode, window: SearchWindow
    ) -> Correspondences | ScoreVolume:
        """Compare the views with the patch inside the window."""

    def warm_up(self) -> float:
        """Run once on dummy data; return the seconds it took."""

    def close(self) -> None:
        """Free device memory."""
