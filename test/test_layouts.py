# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""rviz/cvloc.rviz and foxglove/cvloc.json show what the node offers, by settings that the viewers have.

Both viewers pass over names that they do not know without a word, so a slip would be seen by nobody. The names below
are those of RViz 2 (rviz_common, rviz_default_plugins) and of the panels of Foxglove as its open descendant Lichtblick
has them; docs/ros.md, which another test holds against the running node, tells topics, types and QoS.
"""

from __future__ import annotations

import ast
import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cvloc_ros.config import Config
from cvloc_ros.overlays.cells import CELL_M

ROOT = Path(__file__).resolve().parents[1]
FRAMES = Config().frames

COLOUR, HEX = re.compile(r"\d{1,3}; \d{1,3}; \d{1,3}"), re.compile(r"#([0-9a-f]{6}|[0-9a-f]{8})")
SWITCHED = {"Value": bool}
POINT = {"X": float, "Y": float, "Z": float}
TOPIC = {
    "Value": str, "Depth": int,
    "History Policy": ("System Default", "Keep Last", "Keep All"),
    "Reliability Policy": ("System Default", "Reliable", "Best Effort"),
    "Durability Policy": ("System Default", "Transient Local", "Volatile"),
}  # fmt: skip
FILTERED = {"Topic": {**TOPIC, "Filter size": int}}
DISPLAY = {"Class": str, "Name": str, "Enabled": bool, "Value": bool}
ARROW = {
    "Shape": ("Arrow", "Axes"), "Color": COLOUR, "Alpha": float, "Shaft Length": float, "Shaft Radius": float,
    "Head Length": float, "Head Radius": float, "Axes Length": float, "Axes Radius": float,
    "Covariance": {
        **SWITCHED,
        "Position": {**SWITCHED, "Color": COLOUR, "Alpha": float, "Scale": float},
        "Orientation": {
            **SWITCHED, "Frame": ("Local", "Fixed"), "Color Style": ("Unique", "RGB"), "Color": COLOUR, "Alpha": float,
            "Offset": float, "Scale": float,
        },
    },
}  # fmt: skip
DISPLAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "Grid": ("", {
        "Alpha": float, "Cell Size": float, "Color": COLOUR, "Plane": ("XY", "XZ", "YZ"), "Plane Cell Count": int,
        "Normal Cell Count": int, "Line Style": {"Value": ("Lines", "Billboards"), "Line Width": float},
        "Offset": POINT, "Reference Frame": str,
    }),
    "TF": ("", {
        "Frame Timeout": float, "Marker Scale": float, "Show Arrows": bool, "Show Axes": bool, "Show Names": bool,
        "Update Interval": float, "Frames": {"All Enabled": bool},
    }),
    "PointCloud2": ("sensor_msgs/PointCloud2", {
        "Topic": TOPIC, "Alpha": float, "Selectable": bool, "Decay Time": float, "Size (Pixels)": float,
        "Size (m)": float, "Style": ("Points", "Squares", "Flat Squares", "Spheres", "Boxes", "Tiles"),
        "Position Transformer": ("XYZ",), "Color Transformer": ("RGB8", "Intensity", "AxisColor", "FlatColor"),
        "Channel Name": str, "Use rainbow": bool, "Invert Rainbow": bool, "Min Color": COLOUR, "Max Color": COLOUR,
        "Autocompute Intensity Bounds": bool, "Min Intensity": float, "Max Intensity": float,
    }),
    "PoseWithCovariance": ("geometry_msgs/PoseWithCovarianceStamped", {**FILTERED, **ARROW}),
    "Odometry": ("nav_msgs/Odometry", {
        **FILTERED, **ARROW, "Keep": int, "Position Tolerance": float, "Angle Tolerance": float,
    }),
    "MarkerArray": ("visualization_msgs/MarkerArray", {"Topic": TOPIC, "Namespaces": dict}),
    "Polygon": ("geometry_msgs/PolygonStamped", {**FILTERED, "Color": COLOUR, "Alpha": float}),
    "Image": ("sensor_msgs/Image", {
        "Topic": TOPIC, "Max Value": float, "Min Value": float, "Median window": int, "Normalize Range": bool,
    }),
}  # fmt: skip
"""Display of rviz_default_plugins -> message type and properties, with kind or choice of each."""

TOOLS: dict[str, dict[str, Any]] = {
    "MoveCamera": {}, "Select": {}, "FocusCamera": {},
    "Interact": {"Hide Inactive Objects": bool},
    "Measure": {"Line color": COLOUR},
    "SetInitialPose": {"Topic": TOPIC, "Covariance x": float, "Covariance y": float, "Covariance yaw": float},
}  # fmt: skip
TREE = {"Expanded": list, "Splitter Ratio": float}
PANELS: dict[str, dict[str, Any]] = {
    "Displays": {"Help Height": int, "Tree Height": int, "Property Tree Widget": TREE},
    "Tool Properties": TREE,
    "Views": TREE,
    "Time": {"Experimental": bool, "SyncMode": int, "SyncSource": str},
}
VIEW = {
    "Class": ("rviz_default_plugins/TopDownOrtho",), "Name": str, "Value": str, "Target Frame": str, "Angle": float,
    "Scale": float, "X": float, "Y": float, "Near Clip Distance": float,
}  # fmt: skip
GLOBAL = {"Background Color": COLOUR, "Fixed Frame": str, "Frame Rate": int}
WINDOW = {
    "Height": int, "Width": int, "X": int, "Y": int, "Hide Left Dock": bool, "Hide Right Dock": bool,
    "QMainWindow State": re.compile("([0-9a-f]{2})+"),
}  # fmt: skip

SERIES = {"value": str, "label": str, "enabled": bool, "timestampMethod": ("receiveTime", "headerStamp"), "color": HEX}
LAYERS: dict[str, dict[str, Any]] = {
    "sensor_msgs/PointCloud2": {
        "pointShape": ("circle", "square"), "pointSize": float, "decayTime": float, "colorField": str,
        "colorMode": ("flat", "gradient", "colormap", "rgb", "rgba"), "colorMap": ("turbo", "rainbow"),
    },
    "visualization_msgs/MarkerArray": {},
    "geometry_msgs/PolygonStamped": {"lineWidth": float, "color": HEX},
    "geometry_msgs/PoseWithCovarianceStamped": {
        "type": ("axis", "arrow"), "color": HEX, "arrowScale": list, "axisScale": float, "showCovariance": bool,
        "covarianceColor": HEX,
    },
}  # fmt: skip
"""Type -> settings of its topics in the 3D panel, beside `visible`."""

FOXGLOVE: dict[str, dict[str, Any]] = {
    "3D": {
        "followTf": str, "followMode": ("follow-pose", "follow-position", "follow-none"), "transforms": dict,
        "cameraState": {
            "perspective": bool, "distance": float, "phi": float, "thetaOffset": float, "fovy": float, "near": float,
            "far": float, "target": list, "targetOffset": list, "targetOrientation": list,
        },
        "scene": {"transforms": {"axisScale": float, "showLabel": bool, "labelSize": float, "lineWidth": float}},
        "topics": dict,
        "layers": {"grid": {
            "layerId": ("foxglove.Grid",), "instanceId": ("grid",), "label": str, "visible": bool, "frameLocked": bool,
            "size": float, "divisions": int, "lineWidth": float, "color": HEX, "position": list, "rotation": list,
            "order": int, "frameId": str,
        }},
        "publish": {
            "type": ("point", "pose", "pose_estimate"), "poseEstimateTopic": str, "poseEstimateXDeviation": float,
            "poseEstimateYDeviation": float, "poseEstimateThetaDeviation": float,
        },
        "imageMode": dict,
    },
    "Image": {"imageMode": {"imageTopic": str, "calibrationTopic": str, "synchronize": bool}},
    "StateTransitions": {"isSynced": bool, "paths": list},
    "Plot": {
        "paths": list, "showLegend": bool, "legendDisplay": ("floating", "top", "left", "none"), "isSynced": bool,
        "showXAxisLabels": bool, "showYAxisLabels": bool, "followingViewWidth": float,
        "xAxisVal": ("timestamp", "index", "custom", "currentCustom"),
    },
    "RawMessages": {"topicPath": str, "diffEnabled": bool, "expansion": ("all", "none")},
    "DiagnosticSummary": {
        "minLevel": int, "pinnedIds": list, "hardwareIdFilter": str, "topicToRender": str, "sortByLevel": bool,
    },
    "map": {
        "customTileUrl": str, "disabledTopics": list, "followTopic": str, "layer": ("map", "satellite", "custom"),
        "topicColors": {"/cvloc/fix": HEX}, "zoomLevel": int, "maxNativeZoom": int,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def rviz() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "rviz/cvloc.rviz").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def foxglove() -> dict[str, Any]:
    return json.loads((ROOT / "foxglove/cvloc.json").read_text(encoding="utf-8"))


def offered(section: str) -> dict[str, tuple[str, str]]:
    """Topic -> type and QoS ("reliable 10", "best effort 1", "latched 1") of a table in docs/ros.md."""
    text = (ROOT / "docs/ros.md").read_text(encoding="utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    rows = re.findall(r"(?m)^\| `([^`]+)`[^|]*\| `([^`]+)`[^|]*\| ([^|]+?) \|", text)
    return {name.replace("~", "/cvloc"): (kind, qos) for name, kind, qos in rows}


OUTPUTS, INPUTS = offered("Outputs"), offered("Inputs")


def misfits(given: Any, known: Any, where: str) -> Iterator[str]:
    """Tell what of a setting its viewer would pass over or misread."""
    if isinstance(known, dict):
        if not isinstance(given, dict):
            yield f"{where}: {given!r} has no parts"
            return
        for name, value in given.items():
            if name in known:
                yield from misfits(value, known[name], f"{where}/{name}")
            else:
                yield f"{where}/{name}: unknown"
    elif isinstance(known, tuple):
        if given not in known:
            yield f"{where}: {given!r} is none of {known}"
    elif isinstance(known, re.Pattern):
        if not known.fullmatch(str(given)):
            yield f"{where}: {given!r} is not like {known.pattern}"
    elif not (type(given) is known or (known is float and type(given) is int)):
        yield f"{where}: {given!r} is no {known.__name__}"


def unheard(topic: dict[str, Any], kind: str, where: str) -> Iterator[str]:
    """Tell why a reader of RViz would get nothing: no such topic, another type, or less offered than asked for."""
    published, qos = OUTPUTS.get(topic["Value"], ("", ""))
    if published != kind:
        yield f"{where}: {topic['Value']} is {published or 'not published'}, not {kind}"
    if topic["Reliability Policy"] == "Reliable" and qos.startswith("best effort"):
        yield f"{where}: {topic['Value']} is best effort"
    if topic["Durability Policy"] == "Transient Local" and not qos.startswith("latched"):
        yield f"{where}: {topic['Value']} is not latched"


def faults_of_displays(layout: dict[str, Any]) -> Iterator[str]:
    for given in layout["Visualization Manager"]["Displays"]:
        package, _, name = given["Class"].partition("/")
        if package != "rviz_default_plugins" or name not in DISPLAYS:
            yield f"{given['Class']}: unknown"
            continue
        kind, properties = DISPLAYS[name]
        yield from misfits(given, {**DISPLAY, **properties}, given["Name"])
        if kind:
            yield from unheard(given["Topic"], kind, given["Name"])


def test_rviz_has_every_display_and_property_and_hears_every_topic(rviz: dict[str, Any]) -> None:
    assert not list(faults_of_displays(rviz))


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("Class",), "rviz_default_plugins/PointCloud3", "unknown"),
        (("Colour Transformer",), "RGB8", "unknown"),
        (("Style",), "Flat Square", "none of"),
        (("Alpha",), "1.0", "no float"),
        (("Topic", "Value"), "/cvloc/debug/maps", "not published"),
        (("Topic", "Value"), "/cvloc/pose", "PoseWithCovarianceStamped"),
        (("Topic", "Value"), "/cvloc/debug/points", "best effort"),
        (("Topic", "Durability Policy"), "Transient Local", "not latched"),
    ],
)
def test_a_slip_in_a_display_is_found(rviz: dict[str, Any], path: tuple[str, ...], value: str, told: str) -> None:
    changed = copy.deepcopy(rviz)
    given = changed["Visualization Manager"]["Displays"][0]
    assert given["Name"] == "Aerial map"
    for name in path[:-1]:
        given = given[name]
    given[path[-1]] = value
    (fault,) = faults_of_displays(changed)
    assert told in fault


def test_rviz_has_every_panel_tool_and_view(rviz: dict[str, Any]) -> None:
    manager, found = rviz["Visualization Manager"], []
    for package, known, entries in (
        ("rviz_common/", PANELS, rviz["Panels"]), ("rviz_default_plugins/", TOOLS, manager["Tools"]),
    ):  # fmt: skip
        for given in entries:
            assert given["Class"].startswith(package)
            name = given["Class"].removeprefix(package)
            found += misfits(given, {"Class": str, "Name": str, **known[name]}, name)
    found += misfits(manager["Views"]["Current"], VIEW, "view")
    found += misfits(manager["Global Options"], GLOBAL, "global options")
    assert not found
    assert manager["Transformation"]["Current"]["Class"] == "rviz_default_plugins/TF"


def test_rviz_draws_in_our_frames_and_follows_the_vehicle(rviz: dict[str, Any]) -> None:
    manager = rviz["Visualization Manager"]
    assert manager["Global Options"]["Fixed Frame"] == FRAMES.map
    assert manager["Views"]["Current"]["Target Frame"] == FRAMES.base
    (grid,) = [given for given in manager["Displays"] if given["Class"].endswith("/Grid")]
    assert grid["Reference Frame"] == FRAMES.base


def test_pose_estimate_of_rviz_reaches_the_node(rviz: dict[str, Any]) -> None:
    (tool,) = [given for given in rviz["Visualization Manager"]["Tools"] if given["Class"].endswith("/SetInitialPose")]
    kind, qos = INPUTS[tool["Topic"]["Value"]]
    assert (kind, qos.split()[0]) == ("geometry_msgs/PoseWithCovarianceStamped", "reliable")
    assert tool["Topic"]["Reliability Policy"] == "Reliable"


def test_window_of_rviz_places_every_panel_and_image(rviz: dict[str, Any]) -> None:
    displays = rviz["Visualization Manager"]["Displays"]
    docks = {given["Name"] for given in displays if given["Class"].endswith("/Image")}
    docks |= {given["Name"] for given in rviz["Panels"]}
    window = rviz["Window Geometry"]
    assert not list(misfits(window, {**WINDOW, **{name: {"collapsed": bool} for name in docks}}, "window"))
    assert docks <= window.keys()
    state = bytes.fromhex(window["QMainWindow State"])
    for name in docks:
        text = name.encode("utf-16-be")
        assert len(text).to_bytes(4, "big") + text in state, f"{name} has no place; arrange and save in RViz"


def test_aerial_map_of_rviz_has_no_gaps_between_its_points(rviz: dict[str, Any]) -> None:
    (aerial,) = [given for given in rviz["Visualization Manager"]["Displays"] if given["Name"] == "Aerial map"]
    assert (aerial["Size (m)"], aerial["Color Transformer"], aerial["Style"]) == (CELL_M, "RGB8", "Flat Squares")


def test_launch_moves_all_topics_of_rviz_into_the_namespace(rviz: dict[str, Any]) -> None:
    shown = {given["Topic"]["Value"] for given in rviz["Visualization Manager"]["Displays"] if "Topic" in given}
    launch = (ROOT / "launch/cvloc.launch.py").read_text(encoding="utf-8")
    moved = ast.literal_eval(re.search(r"(?ms)^VIEWED = (\(.*?\))$", launch)[1])
    assert shown == {f"/cvloc/{topic}" for topic in moved}


def faults_of_panels(layout: dict[str, Any]) -> Iterator[str]:
    for key, given in layout["configById"].items():
        name = key.split("!")[0]
        yield from misfits(given, {"foxglovePanelTitle": str, **FOXGLOVE.get(name, {})}, key)
        for series in given.get("paths", []):
            yield from misfits(series, SERIES, f"{key}/paths")
        for topic, settings in given.get("topics", {}).items():
            kind = OUTPUTS.get(topic, ("no topic", ""))[0]
            yield from misfits(settings, {"visible": bool, **LAYERS.get(kind, {})}, f"{key}/{topic}")


def test_foxglove_has_every_panel_and_setting(foxglove: dict[str, Any]) -> None:
    assert not list(faults_of_panels(foxglove))
    placed = re.findall(r'"(\w+!\w+)"', json.dumps(foxglove["layout"]))
    assert sorted(placed) == sorted(foxglove["configById"])


@pytest.mark.parametrize(
    ("panel", "name", "value"),
    [("Plot!time", "title", "t"), ("3D!cvloc", "followMode", "follow"), ("map!world", "zoomLevel", "18")],
)
def test_a_slip_in_a_panel_is_found(foxglove: dict[str, Any], panel: str, name: str, value: str) -> None:
    changed = copy.deepcopy(foxglove)
    changed["configById"][panel][name] = value
    (fault,) = faults_of_panels(changed)
    assert fault.startswith(f"{panel}/{name}: ")


def test_topics_of_foxglove_are_published_with_the_type_of_their_panel(foxglove: dict[str, Any]) -> None:
    panels = foxglove["configById"]
    asked = {given["imageMode"]["imageTopic"]: "sensor_msgs/Image" for key, given in panels.items() if "Image!" in key}
    asked[panels["DiagnosticSummary!diagnostics"]["topicToRender"]] = "diagnostic_msgs/DiagnosticArray"
    asked[panels["RawMessages!status"]["topicPath"]] = "cvloc_ros/LocalizationStatus"
    asked[panels["map!world"]["followTopic"]] = "sensor_msgs/NavSatFix"
    assert {topic: OUTPUTS[topic][0] for topic in asked} == asked
    drawn = panels["3D!cvloc"]["topics"]
    assert {OUTPUTS[topic][0] for topic in drawn} <= set(LAYERS)
    assert all(settings["visible"] for settings in drawn.values()), "the 3D panel hides what it is not told to show"
    assert drawn.keys() | asked.keys() >= {topic for topic in OUTPUTS if "/debug/" in topic}
    estimate = panels["3D!cvloc"]["publish"]["poseEstimateTopic"].lstrip("/")
    assert INPUTS[estimate][0] == "geometry_msgs/PoseWithCovarianceStamped"
    assert panels["3D!cvloc"]["followTf"] == FRAMES.base


def test_series_of_foxglove_are_fields_that_can_be_drawn(foxglove: dict[str, Any]) -> None:
    message = (ROOT / "msg/LocalizationStatus.msg").read_text(encoding="utf-8")
    kinds = {field: kind for kind, field in re.findall(r"(?m)^([\w/\[\]]+) +(\w+)", message)}
    for key, given in foxglove["configById"].items():
        drawable = {"Plot": {"float32", "float64"}, "StateTransitions": {"string", "bool"}}.get(key.split("!")[0])
        for series in given.get("paths", []):
            topic, _, field = series["value"].rpartition(".")
            assert topic == "/cvloc/status"
            assert kinds[field] in drawable, series["value"]
