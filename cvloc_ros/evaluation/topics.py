# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which topic of a bag is what, where the configuration does not say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from cvloc_ros.config import Camera, Config, merge, parse
from cvloc_ros.errors import BagError, ConfigError
from cvloc_ros.evaluation.salvage import Topic

IMAGE_NAMES = ("image", "image_raw", "image_color", "image_rect_color", "image_rect", "image_mono")
"""Preferred first: the sensor's own picture before one that somebody rectified."""
NO_CAMERA = re.compile(r"depth|disparity|overlay|debug|mask|segment|label|theora|/cvloc/", re.IGNORECASE)
TRUTH = re.compile(r"ground_?truth", re.IGNORECASE)
TRUTH_TYPES = ("PoseWithCovarianceStamped", "PoseStamped", "Odometry")


class TopicSource(Protocol):
    """A bag, or a running ROS graph."""

    @property
    def path(self) -> object:
        """Name for people."""
        ...

    @property
    def topics(self) -> Mapping[str, Topic]:
        """Topics by name."""
        ...

    def find(self, *types: str) -> list[Topic]:
        """Return the topics of the given short type names, by name."""
        ...


@dataclass(frozen=True, slots=True)
class Wiring:
    """Topic names as they stand in the bag; empty where there is none. `config` has them filled in."""

    config: Config
    images: Mapping[str, str]
    """Image topic to camera name."""
    infos: Mapping[str, str]
    """CameraInfo topic to camera name."""
    depths: Mapping[str, str] = field(default_factory=dict)
    """Topic of depth images to camera name."""
    masks: Mapping[str, str] = field(default_factory=dict)
    """Topic of masks to camera name."""
    fix: str = ""
    odom: str = ""
    imu: str = ""
    heading: str = ""
    filter: str = ""
    truth: str = ""
    datum: str = ""
    notes: tuple[str, ...] = ()

    @property
    def topics(self) -> set[str]:
        """All topics that a replay reads."""
        named = {self.fix, self.odom, self.imu, self.heading, self.filter, self.datum} - {""}
        return {*self.images, *self.infos, *self.depths, *self.masks, *named, "/tf", "/tf_static"}


@dataclass(slots=True)
class _Finder:
    bag: TopicSource
    strict: bool = True
    notes: list[str] = field(default_factory=list)

    def lacks(self, text: str) -> None:
        """Raise or note that a topic is missing."""
        if self.strict:
            raise BagError(text)
        self.notes.append(text)

    def choose(self, name: str, default: str, key: str, kind: str, skip: set[str], like: str) -> str:
        """Return the topic of one input: as configured, else the only (or best) one of its type."""
        if not name:
            return ""
        topic = absolute(name)
        if topic in self.bag.topics:
            return topic
        found = [t for t in self.bag.find(kind) if t.name not in skip and not TRUTH.search(t.name)]
        found = [t for t in found if not t.name.endswith("/datum") and "/cvloc/" not in t.name]
        if name != default:
            self.lacks(f"{key}: there is no topic {topic}; of type {kind} there is {_listed(found)}")
            return ""
        best = max(found, key=lambda t: (t.name.rsplit("/", 1)[-1] == like, t.count, t.name), default=None)
        if best and len(found) > 1:
            self.notes.append(f"{best.name} is taken among {_listed(found)}; {key} chooses another")
        return best.name if best else ""


def wire(
    bag: TopicSource, config: Config, truth_topic: str = "", cameras: Mapping[str, Any] | None = None, *,
    strict: bool = True,
) -> Wiring:
    """Find the topics of all inputs; `cameras` overrides settings of the cameras that are found.

    Without `strict` a missing topic becomes a note instead of an error.

    Raises:
        BagError: a topic that the configuration names is absent, or there is no camera at all.
        ConfigError: an override names an unknown camera or key.
    """
    finder = _Finder(bag, strict)
    plain = Config()
    if config.cameras == plain.cameras:
        sections = find_cameras(bag)
        if sections:
            config = parse({**config.model_dump(), "camera_names": list(sections), "cameras": sections})
    if unknown := set(cameras or {}) - set(config.cameras):
        msg = f"cameras.{min(unknown)}: no such camera; found: {', '.join(config.cameras)}"
        raise ConfigError(msg)
    config = merge(config, {"cameras": dict(cameras or {})})
    images, infos = _camera_topics(finder, config)
    if strict and not images:
        raise BagError(_no_camera(bag))
    inputs, default = config.inputs, plain.inputs
    truth = _truth_topic(bag, truth_topic)
    odom = finder.choose(inputs.odom_topic, default.odom_topic, "inputs.odom_topic", "Odometry", {truth}, "odom")
    fix = finder.choose(inputs.fix_topic, default.fix_topic, "inputs.fix_topic", "NavSatFix", set(), "fix")
    imu = finder.choose(inputs.imu_topic, "", "inputs.imu_topic", "Imu", set(), "data")
    heading = finder.choose(inputs.heading_topic, "", "inputs.heading_topic", "Imu", set(), "data")
    filtered = finder.choose(inputs.filter_topic, "", "inputs.filter_topic", "Odometry", {truth, odom}, "filtered")
    datum = next((t.name for t in bag.find("NavSatFix") if t.name.endswith("/datum")), "")
    named = {"fix_topic": fix, "odom_topic": odom, "imu_topic": imu, "heading_topic": heading,
             "filter_topic": filtered or inputs.filter_topic}  # fmt: skip
    config = merge(config, {"inputs": named})
    depths, masks = _beside(finder, config, "depth"), _beside(finder, config, "mask")
    return Wiring(
        config, images, infos, depths, masks, fix, odom, imu, heading, filtered, truth, datum, tuple(finder.notes)
    )


def find_cameras(bag: TopicSource) -> dict[str, dict[str, str]]:
    """Return the camera sections for all image topics, named by the part of the path that tells them apart."""
    best: dict[str, Topic] = {}
    for topic in bag.find("Image", "CompressedImage"):
        if NO_CAMERA.search(topic.name):
            continue
        base = _base(topic.name)
        if base not in best or _rank(topic) < _rank(best[base]):
            best[base] = topic
    sections = {}
    for base, name in _names(sorted(best)).items():
        topic = best[base]
        compressed = topic.type.endswith("CompressedImage")
        sections[name] = {
            "image_topic": topic.name.removesuffix("/compressed") if compressed else topic.name,
            "camera_info_topic": _info(bag, base, alone=len(best) == 1),
            "transport": "compressed" if compressed else "raw",
        }
    return sections


def absolute(name: str) -> str:
    """Return a topic name as it stands in a bag: relative names live in the root namespace."""
    return "/" + name.lstrip("/") if name else ""


def image_topic(camera: Camera) -> str:
    """Return the topic on which the images of a camera arrive."""
    topic = absolute(camera.image_topic)
    plain = camera.transport == "raw" or topic.endswith("/compressed")
    return topic if plain else topic + "/compressed"


def _no_camera(bag: TopicSource) -> str:
    listed = ", ".join(bag.topics) or "none"
    return f"{bag.path}: no image topic (sensor_msgs/Image or CompressedImage); its topics: {listed}"


def _camera_topics(finder: _Finder, config: Config) -> tuple[dict[str, str], dict[str, str]]:
    bag, images, infos = finder.bag, dict[str, str](), dict[str, str]()
    if config.cameras == Config().cameras:
        return images, infos
    for name in config.camera_names:
        camera = config.cameras[name]
        topic = image_topic(camera)
        if topic not in bag.topics:
            others = [other for other in bag.find("Image", "CompressedImage") if not NO_CAMERA.search(other.name)]
            finder.lacks(f"cameras.{name}: there is no topic {topic}; images are on {_listed(others)}")
            continue
        images[topic] = name
        info = absolute(camera.camera_info_topic)
        if info in bag.topics:
            infos[info] = name
        elif camera.model != "equirectangular":
            finder.notes.append(f"camera {name}: no camera_info topic {info or 'is known'} in the bag")
    return images, infos


def _beside(finder: _Finder, config: Config, kind: str) -> dict[str, str]:
    """Find the depth or the masks that come beside the images."""
    key = f"{kind}_topic"
    named = {absolute(getattr(camera, key)): name for name, camera in config.cameras.items() if getattr(camera, key)}
    for topic, name in named.items():
        if topic not in finder.bag.topics:
            found = _listed([other for other in finder.bag.find("Image") if kind in other.name])
            finder.lacks(f"cameras.{name}.{key}: there is no topic {topic}; {kind} may be on {found}")
    return {topic: name for topic, name in named.items() if topic in finder.bag.topics}


def _truth_topic(bag: TopicSource, given: str) -> str:
    if given:
        topic = absolute(given)
        if topic not in bag.topics:
            msg = f"--truth-topic: the bag has no topic {topic}; poses are on {_listed(bag.find(*TRUTH_TYPES))}"
            raise BagError(msg)
        return topic
    return next((t.name for kind in TRUTH_TYPES for t in bag.find(kind) if TRUTH.search(t.name)), "")


def _base(topic: str) -> str:
    parts = [part for part in topic.split("/") if part]
    if parts and parts[-1] in ("compressed", "raw"):
        parts.pop()
    if parts and parts[-1] in IMAGE_NAMES:
        parts.pop()
    return "/" + "/".join(parts)


def _rank(topic: Topic) -> tuple[int, bool, str]:
    parts = [part for part in topic.name.split("/") if part not in ("", "compressed", "raw")]
    last = parts[-1] if parts else ""
    order = IMAGE_NAMES.index(last) if last in IMAGE_NAMES else len(IMAGE_NAMES)
    return order, topic.type.endswith("CompressedImage"), topic.name


def _names(bases: list[str]) -> dict[str, str]:
    parts = {base: [part for part in base.split("/") if part] or ["camera"] for base in bases}
    if len(bases) == 1:
        return {bases[0]: _identifier(parts[bases[0]][-1])}
    shared = 0
    while all(len(p) > shared + 1 for p in parts.values()) and len({p[shared] for p in parts.values()}) == 1:
        shared += 1
    return {base: _identifier("_".join(p[shared:])) for base, p in parts.items()}


def _identifier(text: str) -> str:
    name = re.sub(r"\W", "_", text)
    return name if name[:1].isalpha() else "camera_" + name


def _info(bag: TopicSource, base: str, *, alone: bool) -> str:
    sibling = base.rstrip("/") + "/camera_info"
    infos = bag.find("CameraInfo")
    if any(topic.name == sibling for topic in infos):
        return sibling
    return infos[0].name if alone and len(infos) == 1 else ""


def _listed(topics: list[Topic]) -> str:
    return ", ".join(topic.name for topic in topics) or "none"
