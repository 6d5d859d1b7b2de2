# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sensor history on one side, `Localizer` on the other: the path that live node and replay share."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence

import numpy as np

from cvloc_ros import cameras, depth_images, other_filter
from cvloc_ros.agreement import WITHOUT_HEADING, Agreement
from cvloc_ros.antennas import Antennas
from cvloc_ros.buffers import NewestSlot
from cvloc_ros.cameras import Cameras
from cvloc_ros.config import Config
from cvloc_ros.depth_images import DepthImage
from cvloc_ros.errors import ConfigError, GeoError, TileSourceError
from cvloc_ros.estimation import calibration
from cvloc_ros.estimation.gates import Refusal
from cvloc_ros.geo import angles, se3
from cvloc_ros.geo.projection import Projection
from cvloc_ros.geo.transforms import ALWAYS_NS, FrameLookupError, TransformTree
from cvloc_ros.history import Fix, History
from cvloc_ros.imaging.ground import BirdsEye
from cvloc_ros.keyframes import Keyframes
from cvloc_ros.matching import registry
from cvloc_ros.odometry import TrackPoint
from cvloc_ros.other_filter import OtherFilter
from cvloc_ros.past import Past
from cvloc_ros.pipeline import Localizer
from cvloc_ros.tiles import AerialMap, open_map
from cvloc_ros.types import (
    F64,
    CameraImage,
    CameraModel,
    GeoFix,
    GroundView,
    HeadingSample,
    LocalizationResult,
    OdomSample,
    Pose2,
    PosePrior,
    Status,
)


class Session:
    """All inputs of one vehicle.

    The `add_*` and `set_*` methods only store and may be called from any thread; the others belong to one thread.
    """

    def __init__(self, config: Config, projection: Projection | None) -> None:
        """Use `open`, which checks everything that can be checked before the first image."""
        self._calibration = calibration.find(config, registry.weights_file(config.matcher))
        self._take(config)
        self.projection = projection
        """None until the first fix where `geo.datum_source` is first_fix."""
        self.transforms = TransformTree(config.inputs.history_s)
        self.aerial: AerialMap | None = None
        self._cameras = Cameras(config, self.transforms)
        self._history = History(config)
        self._other_filter = OtherFilter(config, self.transforms)
        self._antennas = Antennas(self.transforms, config.frames.base)
        self._keyframes = Keyframes(config.matcher)
        self._agreement = Agreement()
        self._past = Past()
        self._told: NewestSlot[tuple[int, Pose2, F64]] = NewestSlot()
        self.device = registry.select_device(config.matcher).type
        """Where the matcher runs: cpu or cuda."""
        self._matcher = registry.create(config.matcher, BirdsEye(tables=64))
        self._localizer: Localizer | None = None
        self._no_map: Refusal = (Status.NO_PRIOR, "geo.datum_source is first_fix and none came; check inputs.fix_topic")
        self._last_point: TrackPoint | None = None
        self._last_ns = -1
        self._refusals = 0
        self._confirmed = False
        self._found_ns = -1
        self._gnss_trouble = ""
        self._restarts = 0
        if projection is not None:
            self._open_map(projection)

    def troubles(self) -> dict[str, str]:
        """Standing faults that do not stop the output, with their remedy; an empty text: none."""
        return {
            "tf conflict": "; ".join(self.transforms.conflicts()),
            "antenna": self._antennas.trouble,
            "gnss": self._gnss_trouble,
            "camera": self._cameras.trouble,
            "imu": self._cameras.attitude_trouble,
            "depth": self._cameras.depths.trouble,
            "calibration": self._uncalibrated,
        }

    @classmethod
    def open(cls, config: Config) -> Session:
        """Open map, matcher and buffers. Raises CvlocError with the remedy where one of them cannot be had."""
        if not config.tiles.source:
            msg = "tiles.source is empty; give a map: an .mbtiles, .tif, tile folder, URL template or provider:NAME"
            raise ConfigError(msg)
        depth_images.check(config)
        first_fix = config.geo.datum_source == "first_fix" and not config.geo.datum
        return cls(config, None if first_fix else Projection.from_config(config.geo))

    def warm_up(self) -> float:
        """Run the matcher once on dummy data; return the seconds it took."""
        return self._matcher.warm_up()

    def apply(self, config: Config) -> None:
        """Take over new values of the dynamic keys."""
        self._take(config)
        if self._localizer is not None and self.aerial is not None:
            self._localizer.apply(self.config)
            self.aerial.configure(config.tiles)

    def set_calibration(self, camera: str, model: CameraModel) -> None:
        """Set or replace the model of one camera (from CameraInfo)."""
        self._cameras.set_calibration(camera, model)

    def add_transform(self, parent: str, child: str, stamp_ns: int, T_parent_child: F64, *, static: bool) -> str:
        """Store one transform of /tf or /tf_static; return "" or why it was refused.

        Without an odometry topic, odom to base from TF is the odometry.
        """
        refused = self.transforms.add(parent, child, stamp_ns, T_parent_child, static=static)
        if not (self.config.inputs.odom_topic or static or refused):
            self._follow_odometry()
        return refused

    def add_fix(self, fix: GeoFix) -> str:
        """Store a fix; return "" or why not: no_fix, not_finite, out_of_range, no_map, clock_jump, too_old.

        Where `geo.datum_source` is first_fix, the first one opens the map.
        """
        if fix.quality < 0:
            return "no_fix"
        values = np.array([fix.latitude_deg, fix.longitude_deg, *np.ravel(fix.covariance_m2)])
        if not np.isfinite(values).all():
            return "not_finite"
        try:
            if self.projection is None:
                self._open_map(Projection.at_fix(self.config.geo, fix.latitude_deg, fix.longitude_deg))
            if self.projection is None:
                return "no_datum"
            position = self.projection.to_map(fix.latitude_deg, fix.longitude_deg)
        except GeoError:
            return "out_of_range"
        except TileSourceError as err:
            self._no_map = Status.NO_TILES, str(err)
            return "no_map"
        turn = Pose2(0.0, 0.0, self.projection.yaw_of_east(position))
        axes = turn.apply(np.eye(2))
        covariance = axes.T @ fix.covariance_m2 @ axes
        lever = self._antennas.lever(fix.frame_id)
        return self._history.fixes.add(fix.stamp_ns, Fix(fix.stamp_ns, position, covariance, lever))

    def add_odom(self, sample: OdomSample) -> str:
        """Store odometry of base in odom; return "" or why it was refused."""
        return self._history.odometry.add(sample)

    def add_filter_pose(self, sample: OdomSample) -> str:
        """Store a pose of base in map by another filter; return "" or why it was refused."""
        return self._other_filter.add(sample)

    def add_heading(self, sample: HeadingSample) -> str:
        """Store an absolute heading; return "" or why it was refused."""
        if not (math.isfinite(sample.yaw_rad) and sample.sigma_rad > 0.0):
            return "not_finite"
        if self.projection is None:
            return "no_datum"
        yaw_rad = angles.wrap(sample.yaw_rad + self.projection.yaw_of_east())
        return self._history.headings.add(sample.stamp_ns, dataclasses.replace(sample, yaw_rad=yaw_rad))

    def add_attitude(self, stamp_ns: int, roll_rad: float, pitch_rad: float) -> str:
        """Store roll and pitch of base against the horizon (from an IMU); return "" or why it was refused."""
        return self._cameras.add_attitude(stamp_ns, roll_rad, pitch_rad)

    def add_depth(self, image: DepthImage) -> str:
        """Store a depth image; return "" or why it was refused."""
        return self._cameras.depths.add(image)

    def add_mask(self, image: CameraImage) -> str:
        """Store a mask of a camera, which holds until the next; return "" or why it was refused."""
        return self._cameras.masks.add(image)

    def set_initial_pose(self, stamp_ns: int, pose: Pose2, covariance: F64) -> str:
        """Start from this pose of base in map; covariance (3, 3) over x, y, yaw; huge variances mean unknown."""
        values = np.array([pose.x_m, pose.y_m, pose.yaw_rad, *np.ravel(covariance)])
        if not np.isfinite(values).all():
            return "not_finite"
        if np.linalg.eigvalsh(covariance)[0] <= 0.0:
            return "covariance_not_positive"
        self._told.put((stamp_ns, pose, covariance))
        return ""

    def ready(self, stamp_ns: int) -> bool:
        """Tell whether odometry, TF and depth have reached the stamp, so that waiting longer gains nothing."""
        reach = self._history.odometry.newest_ns
        if self.config.prior.source in other_filter.SOURCES:
            reach = self._other_filter.reach(self.config)
        return (reach is None or reach >= stamp_ns) and self._cameras.depths.ready(stamp_ns)

    def localize(self, images: Sequence[CameraImage], age_s: float | None = None) -> LocalizationResult:
        """Attempt a pose at the stamp of the first image (all images belong together in time).

        `age_s` is how old the image was when work on it began; None (replay) leaves latency out of the gates.
        """
        begin = time.perf_counter()
        self._adopt_initial_pose()
        self._forget_old_track()
        stamp_ns = images[0].stamp_ns
        self._antennas.find(stamp_ns)
        point = self._history.odometry.at(stamp_ns)
        idle = self._idle(stamp_ns, point)
        if idle is not None:
            return LocalizationResult(idle[0], stamp_ns, (idle[1],))
        self._last_ns, self._last_point = stamp_ns, point
        result = self._attempt(images, stamp_ns, point)
        elapsed = time.perf_counter() - begin
        result = dataclasses.replace(
            result, cameras=cameras.used(result.views, images), timings_s={**result.timings_s, "total": elapsed}
        )
        if result.estimate is not None and age_s is not None and age_s + elapsed > self.config.estimation.max_latency_s:
            late = f"{age_s + elapsed:.2f} s after the image, limit {self.config.estimation.max_latency_s}"
            result = result.refused(Status.TOO_LATE, late)
        return self._learn(result, point)

    def reset(self) -> None:
        """Forget history, keyframes and own poses; keep map, matcher, calibration and static transforms."""
        self._told.clear()
        self._history.clear()
        self._other_filter.clear()
        self._cameras.clear()
        self.transforms.clear()
        self._keyframes.clear()
        self._past.clear()
        self._agreement.clear()
        self._last_ns, self._last_point, self._refusals, self._confirmed = -1, None, 0, False
        self._found_ns, self._gnss_trouble = -1, ""

    def close(self) -> None:
        """Release map, cache and device."""
        self._matcher.close()
        if self.aerial is not None:
            self.aerial.close()

    def _take(self, given: Config) -> None:
        """Keep the settings with the matcher's calibration filled in."""
        self.config = calibration.resolve(given, self._calibration)
        self.covariance_source = calibration.describe(given, self._calibration)
        """What the published covariance rests on, for people."""
        self._uncalibrated = calibration.trouble(given, self._calibration)

    def _open_map(self, projection: Projection) -> None:
        self.aerial = open_map(self.config.tiles, projection)
        self._localizer = Localizer(self.config, self.aerial, self._matcher)
        self.projection = projection

    def _follow_odometry(self) -> None:
        """Take odom to base from TF, whatever frames lie between them, as far as it reaches."""
        frames, odometry = self.config.frames, self._history.odometry
        reach = self.transforms.latest_stamp(frames.odom, frames.base)
        if reach is None or reach == ALWAYS_NS or reach <= (odometry.newest_ns or -1):
            return
        try:
            T_odom_base = self.transforms.lookup(frames.odom, frames.base, reach)
        except FrameLookupError:
            return
        odometry.add(OdomSample(reach, se3.to_pose2(T_odom_base)))

    def _forget_old_track(self) -> None:
        """After odometry jumped, nothing can be carried from before to now."""
        if self._restarts == self._history.odometry.restarts:
            return
        self._restarts = self._history.odometry.restarts
        self._history.forget_track()
        self._keyframes.clear()
        self._past.clear()
        self._agreement.clear()
        self._last_point, self._confirmed = None, False

    def _adopt_initial_pose(self) -> None:
        told = self._told.take(0.0)
        if told is not None:
            self._history.start_at(*told)
            self._past.clear()
            self._agreement.clear()
            self._confirmed, self._found_ns = False, -1

    def _idle(self, stamp_ns: int, point: TrackPoint | None) -> Refusal | None:
        """Why no attempt is made at this stamp, before anything is decoded."""
        if stamp_ns <= self._last_ns:
            return Status.OLD_STAMP, f"stamp is {(self._last_ns - stamp_ns) * 1e-9:.3f} s before the last one"
        output = self.config.output
        since_s = (stamp_ns - self._last_ns) * 1e-9
        if self._last_ns >= 0 and since_s < output.min_interval_s:
            return Status.THROTTLED, f"{since_s:.3f} s after the last attempt, least {output.min_interval_s}"
        # A vehicle that stands where it was not found is looked for more often.
        pause_s = output.heartbeat_s if self._confirmed and self._refusals == 0 else min(1.0, output.heartbeat_s)
        if point is not None and self._last_point is not None and since_s < pause_s:
            moved = point.travelled_m - self._last_point.travelled_m
            if 0.0 <= moved < output.min_travel_m:
                return Status.STANDSTILL, f"moved {moved:.2f} m since the last attempt, least {output.min_travel_m}"
        return None

    def _attempt(self, images: Sequence[CameraImage], stamp_ns: int, point: TrackPoint | None) -> LocalizationResult:
        start = time.perf_counter()
        views, refusal = self._cameras.views(images)
        timings = {"decode": time.perf_counter() - start}
        if not views:
            return LocalizationResult(refusal[0], stamp_ns, (refusal[1],), timings_s=timings)
        places = self.config.matcher.keyframes_min
        if point is not None:
            views, places = self._keyframes.join([self._placed(view, point) for view in views], point)
        if self._localizer is None:
            status, reason = self._no_map
            return LocalizationResult(status, stamp_ns, (reason,), views=tuple(views), timings_s=timings)
        start = time.perf_counter()
        prior = self._prior(stamp_ns)
        self._gnss_trouble = self._history.check.text(stamp_ns)
        timings["prior"] = time.perf_counter() - start
        if not isinstance(prior, PosePrior):
            return LocalizationResult(prior[0], stamp_ns, (prior[1],), views=tuple(views), timings_s=timings)
        if places < self.config.matcher.keyframes_min:
            reason = f"{places} places seen, {self.config.matcher.keyframes_min} needed"
            return LocalizationResult(
                Status.WAITING_KEYFRAMES, stamp_ns, (reason,), prior=prior, views=tuple(views), timings_s=timings
            )
        earlier = self._past.seen_from(point, self.config.estimation) if point is not None else ()
        result = self._localizer.localize(views, prior, earlier)
        reasons = (*result.reasons, *(text for text in (refusal[1], self._gnss_trouble) if text))
        return dataclasses.replace(result, reasons=reasons, timings_s={**timings, **result.timings_s})

    def _placed(self, view: GroundView, here: TrackPoint) -> GroundView:
        """Carry a view of another camera, taken a little earlier or later, to the stamp that is localized."""
        then = self._history.odometry.nearest(view.stamp_ns) if view.stamp_ns != here.stamp_ns else None
        return view if then is None else dataclasses.replace(view, T_ref_base=here.pose.inverse() @ then.pose)

    def _prior(self, stamp_ns: int) -> PosePrior | Refusal:
        """Make the prior; what another filter does not give comes from fixes, odometry and own poses."""
        if self.config.prior.source not in other_filter.SOURCES:
            return self._history.prior(stamp_ns, self.config)
        made = self._other_filter.prior(stamp_ns, self.config)
        instead = made if isinstance(made, PosePrior) else self._history.prior(stamp_ns, self.config)
        return instead if isinstance(instead, PosePrior) else made

    def _learn(self, result: LocalizationResult, point: TrackPoint | None) -> LocalizationResult:
        """Let accepted poses bound the next searches, and forget them when they seem to have been wrong."""
        if result.status is Status.TOO_LATE:
            return result  # says nothing about whether the vehicle is where it was thought to be
        if result.estimate is None:
            self._learn_of_refusal(result, point)
            return result
        if point is None and result.prior is not None and not result.prior.yaw_known:
            reason = "yaw from a single search in all directions; odometry or a heading must confirm it"
            return result.refused(Status.INCONSISTENT, reason)
        if point is not None:
            jumped = bool(self._gnss_trouble) and self._history.contradicts_own(point, result.estimate, self.config)
            why = "that contradict own poses while GNSS does, too" if jumped else self._unproven(result)
            waiting = self._agreement.add(point, result.estimate, self.config, why) if why else ""
            if waiting:
                return result.refused(Status.INCONSISTENT, waiting)
            if jumped:
                self._history.forget_own()
            self._history.remember(point, result.estimate)
            self._past.add(point, result, self.config.estimation)
        self._confirmed, self._refusals, self._found_ns = True, 0, result.stamp_ns
        return result

    def _learn_of_refusal(self, result: LocalizationResult, point: TrackPoint | None) -> None:
        """Doubt own poses after many refusals; but where the candidate continues them, doubt GNSS."""
        if result.candidate is None:
            return
        too_far = result.status is Status.PRIOR_DISTANCE
        if too_far and point and self._history.accuse_gnss(point, result.candidate, self.config):
            return
        self._agreement.clear()
        self._refusals += 1
        if self._refusals >= self.config.prior.forget_after:
            self._history.doubt_own(result.stamp_ns, self.config)
            self._confirmed, self._refusals = False, 0

    def _unproven(self, result: LocalizationResult) -> str:
        """Why one candidate alone is not believed now, "" where it is."""
        limit_s, gap_s = self.config.estimation.agreement_gap_s, (result.stamp_ns - self._found_ns) * 1e-9
        grown = result.window is not None and result.window.radius_m > self.config.search.radius_min_m
        if grown and self._found_ns >= 0 and gap_s > limit_s > 0.0:
            return f"after {gap_s:.0f} s without a pose"
        told = self._history.heading_given or (result.prior and result.prior.source in other_filter.SOURCES)
        return "" if self._confirmed or told else WITHOUT_HEADING
