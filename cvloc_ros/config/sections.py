# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sections of everything but the matchers."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from cvloc_ros.config.section import Section, param


class Frames(Section):
    """Names of the coordinate frames (REP-105)."""

    map: str = param("map", "Fixed frame of the published pose.", min_length=1)
    odom: str = param("odom", "Continuous frame of the odometry.", min_length=1)
    base: str = param("base_link", "Vehicle frame on the ground; the published pose is its pose.", min_length=1)


class Geo(Section):
    """How geographic coordinates become map metres."""

    projection: Literal["utm", "local_enu"] = param(
        "utm", "utm: navsat_transform's default rule. local_enu: its use_local_cartesian."
    )
    datum: list[float] = param(
        [], "Origin of the map: latitude, longitude in degrees, yaw in radians (0 = x east), as in navsat_transform."
    )
    datum_source: Literal["config", "first_fix"] = param(
        "config", "config: datum is required. first_fix: the origin moves between runs; for trials only."
    )
    gnss_datum: str = param("ITRF2014", "Geodetic datum of the GNSS positions (ITRF2014, WGS84, ETRS89, NAD83(2011)).")
    map_datum: str = param("", "Geodetic datum that the imagery is tied to; empty: the same as gnss_datum.")
    epoch_year: float = param(
        2026.0, "When the GNSS positions were taken; dates the shift to map_datum (2.5 cm a year in Europe).",
        unit="year", ge=1990, le=2100,
    )
    map_offset_east_m: float = param(
        0.0, "True minus mapped east of the imagery; added to imagery positions.", unit="m", ge=-100, le=100
    )
    map_offset_north_m: float = param(
        0.0, "True minus mapped north of the imagery; added to imagery positions.", unit="m", ge=-100, le=100
    )
    navsat_node: str = param(
        "navsat_transform", "robot_localization's node whose datum is compared with this one; empty: no comparison."
    )

    @model_validator(mode="after")
    def _check_datum(self) -> Geo:
        if self.datum and (len(self.datum) != 3 or not -90 <= self.datum[0] <= 90 or not -180 <= self.datum[1] <= 180):
            msg = f"datum {self.datum} must be [latitude_deg, longitude_deg, yaw_rad]"
            raise ValueError(msg)
        return self


class Camera(Section):
    """One camera. Calibration comes from camera_info, mounting from TF, unless given here."""

    image_topic: str = param("image", "Image topic (relative names are remappable).")
    camera_info_topic: str = param("camera_info", "CameraInfo topic; empty for a panorama.")
    transport: Literal["raw", "compressed"] = param(
        "raw", "raw: sensor_msgs/Image. compressed: sensor_msgs/CompressedImage on image_topic + /compressed."
    )
    model: Literal["auto", "plumb_bob", "rational_polynomial", "equidistant", "equirectangular"] = param(
        "auto", "Camera model; auto takes distortion_model of camera_info."
    )
    rectified: bool = param(False, "The images are rectified already (image_rect): distortion is ignored, P is used.")
    frame_id: str = param("", "Optical frame; empty takes the frame_id of the image.")
    mounting: list[float] = param(
        [], "x, y, z (m), roll, pitch, yaw (rad) of the camera in base; roll = pitch = yaw = 0 looks forward. "
        "Empty takes it from TF."
    )
    mask_file: str = param("", "Image of the camera's size, white (255) where the vehicle itself is seen; empty: none.")
    mask_topic: str = param(
        "", "sensor_msgs/Image (mono8) like mask_file, for what moves (trailer, wiper): each holds until the next and "
        "is joined with mask_file; empty: none."
    )
    stamp_offset_s: float = param(
        0.0, "Added to image stamps: minus the delay of drivers that stamp late, half the exposure where its begin is "
        "stamped.", unit="s", ge=-5, le=5,
    )  # fmt: skip
    depth_topic: str = param(
        "", "sensor_msgs/Image of depth registered to the image (REP 118: 32FC1 m, 16UC1 mm), from stereo or lidar; "
        "empty: none."
    )
    depth_tolerance_s: float = param(
        0.05, "A depth image whose stamp is this close to that of the image belongs to it.", unit="s", ge=0, le=1
    )

    @model_validator(mode="after")
    def _check_mounting(self) -> Camera:
        if self.mounting and len(self.mounting) != 6:
            msg = f"mounting {self.mounting} must have 6 numbers: x, y, z, roll, pitch, yaw; empty takes it from TF"
            raise ValueError(msg)
        return self


class Inputs(Section):
    """Topics of everything but the cameras, and how the inputs are joined."""

    fix_topic: str = param("fix", "sensor_msgs/NavSatFix; empty: no GNSS.")
    odom_topic: str = param("odom", "nav_msgs/Odometry; empty: no odometry.")
    filter_topic: str = param(
        "", "nav_msgs/Odometry of base in frames.map by another filter, for prior.source filter; empty: none."
    )
    imu_topic: str = param(
        "", "sensor_msgs/Imu whose orientation gives pitch and roll of the body (for flat roads); empty: none."
    )
    heading_topic: str = param("", "sensor_msgs/Imu whose orientation is absolute (ENU, REP-103); empty: none.")
    heading_sigma_deg: float = param(5.0, "Standard deviation of the absolute heading.", unit="deg", gt=0, le=90)
    fix_stamp_offset_s: float = param(0.0, "Added to fix stamps.", unit="s", ge=-5, le=5)
    odom_stamp_offset_s: float = param(0.0, "Added to odometry stamps.", unit="s", ge=-5, le=5)
    sync_tolerance_s: float = param(
        0.05, "Images of several cameras this close in time are localized together.", unit="s", ge=0, le=1
    )
    wait_s: float = param(
        0.3, "Longest wait for TF and odometry to reach the image stamp.", unit="s", ge=0, le=5, dynamic=True
    )
    history_s: float = param(60.0, "Length of the sensor history that is kept.", unit="s", ge=5, le=3600)


class Prior(Section):
    """The rough pose that bounds the search; never multiplied into the result."""

    source: Literal["auto", "odom_fix", "fix", "tf", "filter"] = param(
        "auto", "auto: odom_fix with odometry, else fix. tf, filter: another filter's map to base from TF or "
        "inputs.filter_topic; auto where it gives none."
    )
    fix_max_age_s: float = param(
        5.0, "Without odometry, an older fix bounds nothing; with it, GNSS counts as gone.", unit="s", gt=0, le=600
    )
    carry_max_s: float = param(
        60.0, "Odometry carries the last fix or own pose so long; the window grows with its drift, up to max_sigma_m.",
        unit="s", gt=0, le=3600,
    )
    fix_sigma_scale: float = param(1.0, "Factor on the reported GNSS standard deviation.", gt=0, le=100, dynamic=True)
    fix_sigma_floor_m: float = param(
        2.0, "GNSS is never believed better than this (multipath bias).", unit="m", gt=0, le=100, dynamic=True
    )
    fix_correlation_s: float = param(
        5.0, "GNSS errors closer in time than this count as one error.", unit="s", ge=0, le=120, dynamic=True
    )
    align_window_s: float = param(60.0, "GNSS and own poses this old align the odometry.", unit="s", gt=0, le=3600)
    use_own_poses: bool = param(True, "Own accepted poses, carried by odometry, help to bound the search.")
    own_sigma_m: float = param(
        1.0, "Own poses are never believed better than this when they bound the search.", unit="m", gt=0, le=100,
        dynamic=True,
    )
    own_sigma_deg: float = param(2.0, "The same for the yaw.", unit="deg", gt=0, le=90, dynamic=True)
    forget_after: int = param(
        5, "After this many consecutive refusals own poses are forgotten: they may have been wrong.", ge=1, le=1000,
        dynamic=True,
    )
    gnss_gate_sigma: float = param(
        4.0, "A fix further than this from own poses and odometry disagrees.", gt=0, le=100, dynamic=True
    )
    gnss_patience_s: float = param(
        2.0, "GNSS is set aside, or trusted again, after so long of fixes that all say so.", unit="s", ge=0, le=60,
        dynamic=True,
    )
    odom_drift_m_per_m: float = param(0.02, "Odometry position error per travelled metre.", gt=0, le=1, dynamic=True)
    odom_drift_deg_per_m: float = param(
        0.03, "Odometry yaw error per travelled metre.", unit="deg/m", gt=0, le=10, dynamic=True
    )
    odom_drift_deg_per_s: float = param(0.02, "Odometry yaw error per second.", unit="deg/s", ge=0, le=10, dynamic=True)
    course_min_speed_mps: float = param(
        1.5, "Without odometry, GNSS course gives the yaw above this speed.", unit="m/s", gt=0, le=50, dynamic=True
    )
    max_sigma_m: float = param(
        30.0, "A prior less certain than this is refused.", unit="m", gt=0, le=1000, dynamic=True
    )
    yaw_known_deg: float = param(
        20.0, "Up to this standard deviation the yaw counts as known.", unit="deg", gt=0, le=90, dynamic=True
    )


class Search(Section):
    """Size of the search window: factor times the prior's standard deviation, within limits."""

    sigma_factor: float = param(3.0, "Half window over the prior's standard deviation.", ge=1, le=10, dynamic=True)
    radius_min_m: float = param(10.0, "Smallest half side of the window.", unit="m", gt=0, le=500, dynamic=True)
    radius_max_m: float = param(50.0, "Largest half side of the window.", unit="m", gt=0, le=500, dynamic=True)
    yaw_half_min_deg: float = param(6.0, "Smallest half range of yaw.", unit="deg", gt=0, le=180, dynamic=True)
    yaw_half_max_deg: float = param(
        180.0, "Largest half range of yaw; 180 allows a search in all directions.", unit="deg", gt=0, le=180,
        dynamic=True,
    )

    @model_validator(mode="after")
    def _check_order(self) -> Search:
        if self.radius_min_m > self.radius_max_m or self.yaw_half_min_deg > self.yaw_half_max_deg:
            least = f"radius_min_m {self.radius_min_m}, yaw_half_min_deg {self.yaw_half_min_deg}"
            most = f"radius_max_m {self.radius_max_m}, yaw_half_max_deg {self.yaw_half_max_deg}"
            msg = f"the smallest window ({least}) must not exceed the largest one ({most})"
            raise ValueError(msg)
        return self


class Tiles(Section):
    """Where the aerial imagery comes from, and its cache."""

    source: str = param(
        "",
        "Map: path of an .mbtiles, .tif or a tile folder (z/x/y), a file:// or http(s):// template with {z} {x} {y}, "
        "or provider:NAME of providers_file."
    )
    crs: str = param("", "CRS of a raster that carries none or a wrong one, such as EPSG:2994.")
    providers_file: str = param("", "Own provider catalogue; empty takes the shipped config/providers.yaml.")
    contact: str = param("", "URL or mail address sent in the User-Agent; http sources require it.")
    zoom: int = param(-1, "Zoom level; -1 takes the one that fits resolution_m.", ge=-1, le=24)
    resolution_m: float = param(0.2, "Pixel size of the patch given to the matcher.", unit="m", ge=0.02, le=5)
    patch_grid_m: float = param(
        32.0, "Patch corners lie on this grid, so that a patch serves many frames.", unit="m", ge=1, le=1000
    )
    cache_dir: str = param("", "Folder of the tile cache; empty: $XDG_CACHE_HOME/cvloc_ros or ~/.cache/cvloc_ros.")
    cache_max_mb: float = param(2048.0, "Size of the cache on disk; least recently used goes first.", unit="MB", gt=0)
    cache_max_age_days: float = param(30.0, "Tiles are revalidated after this, or later if the server says so.",
                                      unit="d", gt=0)
    offline: bool = param(False, "Never use the network; expired tiles are served and reported as stale.")
    wait_s: float = param(0.5, "Longest wait for the network during one attempt.", unit="s", ge=0, le=30, dynamic=True)
    memory_mb: float = param(64.0, "Decoded tiles kept in memory.", unit="MB", ge=0)
    prefetch_radius_m: float = param(500.0, "Radius of the prefetch service.", unit="m", gt=0, le=50000, dynamic=True)


class Estimation(Section):
    """From scores to a pose with an honest covariance, and the gates."""

    solver: Literal["vote", "procrustes"] = param(
        "vote", "Pose of matched points (fg2, loc2, viewbridge). vote: the pose that most matches agree with; sees "
        "other places where many do. procrustes: least squares, as published. A calibration holds for one of them.",
    )
    vote_sigma_m: float = param(1.5, "A vote counts less by exp(-d² / 2 sigma²) at the distance d.", unit="m", gt=0.1,
                                le=20)
    temperature: float = param(
        0.0, "Divides the log-likelihood, whose observations are not independent. 0: the matcher's calibration.",
        ge=0, le=10000, dynamic=True,
    )
    covariance_scale: float = param(
        0.0, "Factor s² on the computed covariance. 0: the matcher's calibration.", ge=0, le=1000, dynamic=True
    )
    sigma_floor_m: float = param(
        0.0, "Geo-registration error of the imagery; added to the position variance. 0: the matcher's calibration.",
        unit="m", ge=0, le=20, dynamic=True,
    )
    sigma_floor_deg: float = param(
        0.0, "Added to the yaw variance. 0: the matcher's calibration.", unit="deg", ge=0, le=20, dynamic=True
    )
    min_coverage: float = param(
        0.7, "Least share of the street around the pose (10 m ahead and behind, 3 m to each side) with imagery.", ge=0,
        le=1, dynamic=True,
    )
    min_score: float = param(0.15, "Least similarity of the best pose.", ge=-1, le=1, dynamic=True)
    max_ambiguity: float = param(
        0.1, "Largest likelihood of another place relative to the best, also with the rough position heard.", ge=0,
        le=1, dynamic=True,
    )
    ambiguity_radius_m: float = param(2.0, "Peaks further apart than this are different places.", unit="m", gt=0,
                                      le=50, dynamic=True)
    earlier_m: float = param(
        60.0, "Attempts of the last so many metres help to choose among places that look alike (never to place the "
        "pose or to make it more certain); 0: each attempt on its own.", unit="m", ge=0, le=1000, dynamic=True,
    )  # fmt: skip
    edge_m: float = param(0.5, "A best pose closer than this to the edge of the window is refused.", unit="m", ge=0,
                          le=10, dynamic=True)
    edge_deg: float = param(1.0, "The same for the yaw.", unit="deg", ge=0, le=10, dynamic=True)
    max_sigma_m: float = param(2.0, "Largest standard deviation that is published.", unit="m", gt=0, le=100,
                               dynamic=True)
    max_sigma_deg: float = param(5.0, "Largest yaw standard deviation that is published.", unit="deg", gt=0, le=90,
                                 dynamic=True)
    gate_sigma: float = param(5.0, "Largest distance to the prior, in sigma.", gt=0, le=100, dynamic=True)
    integrity_risk: float = param(
        0.001, "Risk that the horizontal error exceeds the protection level in the status.", gt=0, le=0.1, dynamic=True
    )
    max_latency_s: float = param(1.5, "Results older than this are not published.", unit="s", gt=0, le=60, dynamic=True)
    agreement: int = param(
        3, "After a start with unknown yaw, this many consecutive attempts must agree before the first pose.", ge=1,
        le=20, dynamic=True,
    )
    agreement_gap_s: float = param(
        30.0, "After so long without a pose, if the window has grown, attempts must agree as well; 0: never.", unit="s",
        ge=0, le=3600, dynamic=True,
    )


class Output(Section):
    """What is published, and how often."""

    tf_mode: Literal["none", "map_to_odom", "map_to_base_link"] = param(
        "none", "none: a filter owns the tree. map_to_odom: no filter. map_to_base_link: no odometry."
    )
    tf_rate_hz: float = param(20.0, "Rate at which map_to_odom is sent again.", unit="Hz", gt=0, le=200)
    tf_tolerance_s: float = param(0.2, "The transform (never the pose) is dated this far ahead.", unit="s", ge=0, le=5)
    min_interval_s: float = param(0.2, "Least time between attempts.", unit="s", ge=0, le=3600, dynamic=True)
    min_travel_m: float = param(
        0.25, "Least travel between attempts, so that a standing vehicle sends no stream of equal matches.", unit="m",
        ge=0, le=100, dynamic=True,
    )
    heartbeat_s: float = param(10.0, "A standing vehicle still attempts this often.", unit="s", gt=0, le=3600,
                               dynamic=True)
    debug_rate_hz: float = param(2.0, "Largest rate of the debug images.", unit="Hz", gt=0, le=30, dynamic=True)
    image_timeout_s: float = param(3.0, "No image for this long is reported.", unit="s", gt=0, le=600, dynamic=True)


class Diagnostics(Section):
    """From when on /diagnostics warns or fails."""

    pose_age_warn_s: float = param(
        30.0, "No pose for so long, while the node is active and not paused, is a WARN.", unit="s", gt=0, le=1e6,
        dynamic=True,
    )
    pose_age_error_s: float = param(120.0, "The same for an ERROR.", unit="s", gt=0, le=1e6, dynamic=True)
    rejections_warn: int = param(
        10, "So many poses found and refused since the last published one are a WARN.", ge=1, le=1000000, dynamic=True
    )
    rejections_error: int = param(50, "The same for an ERROR.", ge=1, le=1000000, dynamic=True)
    odom_age_warn_s: float = param(2.0, "No odometry for so long is a WARN.", unit="s", gt=0, le=600, dynamic=True)

    @model_validator(mode="after")
    def _check_order(self) -> Diagnostics:
        for name in ("pose_age_{}_s", "rejections_{}"):
            warn, error = getattr(self, name.format("warn")), getattr(self, name.format("error"))
            if warn > error:
                msg = f"{name.format('warn')} {warn} must not exceed {name.format('error')} {error}"
                raise ValueError(msg)
        return self
