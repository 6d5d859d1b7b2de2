# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The import rule of docs/architecture.md, read from the syntax trees: nothing is imported here."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "cvloc_ros"

GROUND = frozenset({"types", "ground", "errors", "config", "buffers", "resources", "geo"})
SIBLINGS = frozenset({"matching", "estimation", "imaging", "tiles"})
STORES = {"agreement", "antennas", "cameras", "depth_images", "fix_check", "history", "image_sets", "keyframes",
          "masks", "odometry", "other_filter", "past", "reference", "stamps"}  # fmt: skip
SESSION = frozenset({"session", "messages", "pipeline", "status_fields", *STORES})

MAY_IMPORT: dict[str, frozenset[str]] = {
    **dict.fromkeys(GROUND | SIBLINGS, GROUND),
    "types": frozenset({"errors"}),
    "ground": frozenset({"types"}),
    "errors": frozenset(),
    "config": frozenset({"types", "errors"}),
    "pipeline": GROUND | SIBLINGS,
    **dict.fromkeys(SESSION - {"pipeline"}, GROUND | SIBLINGS | SESSION),
    "overlays": GROUND,
    "simulation": GROUND | SIBLINGS | SESSION,
    "evaluation": GROUND | SIBLINGS | SESSION | {"overlays", "simulation"},
    "datasets": GROUND | SIBLINGS | SESSION | {"simulation"},
    "training": GROUND | SIBLINGS | SESSION | {"datasets", "evaluation", "overlays"},
    "cli": GROUND | SIBLINGS | SESSION | {"overlays", "simulation", "datasets", "training", "evaluation", "ros"},
    "ros": GROUND | SIBLINGS | SESSION | {"overlays", "evaluation"},
    "__init__": frozenset(),
}
"""Room -> rooms that it may import; its own modules always. A new room has to be entered here and in the document."""

ROS_PACKAGES = {
    "rclpy", "ament_index_python", "cv_bridge", "tf2_ros", "tf2_msgs", "tf_transformations", "sensor_msgs_py", "launch",
    "action_msgs", "builtin_interfaces", "diagnostic_msgs", "geographic_msgs", "geometry_msgs", "lifecycle_msgs",
    "nav_msgs", "rcl_interfaces", "rosgraph_msgs", "sensor_msgs", "std_msgs", "std_srvs", "visualization_msgs",
}  # fmt: skip
HTTP_PACKAGES = {"requests", "urllib3", "http", "pyrate_limiter", "socket", "aiohttp", "httpx"}
ONLY_IN = {
    **dict.fromkeys(ROS_PACKAGES, frozenset({"ros"})),
    **dict.fromkeys(HTTP_PACKAGES, frozenset({"tiles"})),
    "socket": frozenset({"tiles", "ros"}),
    "torch": frozenset({"matching", "estimation", "simulation", "training"}),
    **dict.fromkeys(("accelerate", "tensorboard"), frozenset({"training"})),
}
HEAVY = {"torch", "rasterio", "matplotlib", "plotly", "scipy", "rosbags", "transformers", "accelerate"}
"""Never imported by `import cvloc_ros.session` or the command line before they are needed."""


class Import(NamedTuple):
    """One import statement: which room holds it, what it names, and whether it runs with the module."""

    where: str
    room: str
    module: str
    at_import: bool


def rooms() -> list[str]:
    return sorted(
        path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))
    )


def imports() -> Iterator[Import]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node, runs in _walk(tree, runs=True):
            for module in _modules(node, parts):
                yield Import(f"{path.relative_to(ROOT)}:{node.lineno}", parts[1], module, runs)


def _walk(node: ast.AST, *, runs: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Yield import statements; those in functions and for the type checker do not run with the module."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child, runs
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from _walk(child, runs=False)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for inner in child.body:
                yield from _walk(ast.Module(body=[inner], type_ignores=[]), runs=False)
        else:
            yield from _walk(child, runs=runs)


def _modules(node: ast.Import | ast.ImportFrom, parts: tuple[str, ...]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = ".".join(parts[: len(parts) - node.level]) if node.level else ""
    module = ".".join(filter(None, (base, node.module)))
    # `from cvloc_ros import geo` and `from cvloc_ros.geo import box` name modules as well.
    return [f"{module}.{alias.name}" for alias in node.names] if module == "cvloc_ros" else [module]


FOUND = list(imports())


def test_every_room_has_its_place_in_the_rule() -> None:
    unknown = set(rooms()) - set(MAY_IMPORT)
    assert not unknown, f"enter {sorted(unknown)} in MAY_IMPORT of this file and in docs/architecture.md"


@pytest.mark.parametrize("room", rooms())
def test_arrows_point_one_way(room: str) -> None:
    allowed = {*MAY_IMPORT.get(room, set()), room, "errors"}
    wrong = [
        f"{found.where}: {found.module}"
        for found in FOUND
        if found.room == room and found.module.startswith("cvloc_ros.") and found.module.split(".")[1] not in allowed
        and not (room == "ros" and found.module.startswith("cvloc_ros.msg"))
        and found.module != "cvloc_ros.__version__"
    ]
    assert not wrong


@pytest.mark.parametrize("package", sorted(ONLY_IN))
def test_library_stays_in_its_room(package: str) -> None:
    typed_elsewhere = {"types"} if package == "torch" else set()
    wrong = [
        f"{found.where}: {found.module}"
        for found in FOUND
        if found.module.split(".")[0] == package
        and found.room not in ONLY_IN[package]
        and (found.at_import or found.room not in typed_elsewhere)
    ]
    assert not wrong


def test_simulation_is_used_by_suites_alone() -> None:
    """Replay, report and doctor work on recorded drives where no simulator is installed."""
    wrong = [
        found.where
        for found in FOUND
        if found.room == "evaluation" and found.module.startswith("cvloc_ros.simulation")
        and "evaluation/suite/" not in found.where
    ]
    assert not wrong


def test_commands_import_ros_only_when_they_need_it() -> None:
    wrong = [
        found.where
        for found in FOUND
        if found.room == "cli" and found.module.startswith("cvloc_ros.ros") and found.at_import
    ]
    assert not wrong, "cvloc works without rclpy: import cvloc_ros.ros inside the function"


def test_node_does_not_load_the_tools() -> None:
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    code = "import sys, cvloc_ros.ros.main; print([name for name in sys.modules if 'evaluation' in name])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"


def test_generated_messages_are_used_in_ros_only() -> None:
    wrong = [found.where for found in FOUND if found.module.startswith("cvloc_ros.msg") and found.room != "ros"]
    assert not wrong


@pytest.mark.parametrize("module", ["cvloc_ros", "cvloc_ros.config", "cvloc_ros.session", "cvloc_ros.cli.main"])
def test_import_is_light_and_without_effect(module: str) -> None:
    path = ROOT.joinpath(*module.split("."))
    if not path.with_suffix(".py").is_file() and not path.is_dir():
        pytest.skip(f"{module} does not exist yet")
    code = f"import sys, threading, {module}; print(sorted({HEAVY!r} & set(sys.modules)), threading.active_count())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[] 1"
