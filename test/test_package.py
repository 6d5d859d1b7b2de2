# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""package.xml, CMakeLists.txt, pyproject.toml and the folders tell the same story, and CMake installs all of it."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import cvloc_ros

ROOT = Path(__file__).resolve().parents[1]
INSTALLED_FOLDERS = ("launch", "config", "rviz", "foxglove")
PACKAGE_XML = ET.parse(ROOT / "package.xml").getroot()
CMAKE = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
WHEELS = Path(sys.prefix, "share/rosidl_default_generators/package.xml").exists()

PIP_NAME = {
    "cv2": "opencv-python-headless", "yaml": "pyyaml", "rosbags.image": "rosbags-image",
    "pyrate_limiter": "pyrate-limiter",
}  # fmt: skip
COMES_WITH = {
    "urllib3": "requests", "annotated_types": "pydantic", "typing_extensions": "pydantic", "PIL": "matplotlib",
}  # fmt: skip
"""Import name -> declared requirement that always brings it."""
STANDARD_EXTRAS = {"gpu", "geo", "bags", "viz", "sim", "fleet", "train", "all", "dev"}


def declared() -> dict[str, set[str]]:
    """Pip requirement -> extras that contain it ("" for the core), from pyproject.toml (no TOML reader in 3.10)."""
    found: dict[str, set[str]] = {}
    core = re.search(r"(?ms)^dependencies = \[(.*?)^\]", PYPROJECT)
    extras = re.search(r"(?ms)^\[project.optional-dependencies\](.*?)^\[", PYPROJECT)
    assert core is not None
    assert extras is not None
    groups = {"": core[1], **{m[1]: m[2] for m in re.finditer(r"(?ms)^(\w+) = \[(.*?)\](?=\s|$)", extras[1])}}
    for extra, body in groups.items():
        for name in re.findall(r'"([A-Za-z0-9_.-]+)', body):
            found.setdefault(name.lower(), set()).add(extra)
    return found


def imported() -> set[str]:
    names = set()
    for path in (ROOT / "cvloc_ros").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module)
    return {name if name.startswith("rosbags.image") else name.split(".")[0] for name in names}


def depends(*kinds: str) -> set[str]:
    return {node.text or "" for kind in kinds for node in PACKAGE_XML.findall(kind)}


def test_versions_agree() -> None:
    assert PACKAGE_XML.findtext("version") == cvloc_ros.__version__
    assert 'attr = "cvloc_ros.__version__"' in PYPROJECT


def test_changelog_has_this_version_or_what_is_forthcoming() -> None:
    text = (ROOT / "CHANGELOG.rst").read_text(encoding="utf-8")
    assert "Forthcoming" in text or cvloc_ros.__version__ in text


def test_every_import_is_declared_for_pip() -> None:
    ros = {node.text for node in PACKAGE_XML.iter() if node.tag.endswith("depend")}
    ros |= {"cvloc_ros", "rpyutils", "tf2_ros"}
    ours = {PIP_NAME.get(name, name).lower() for name in imported() - ros - set(sys.stdlib_module_names)}
    missing = {name for name in ours if COMES_WITH.get(name, name) not in declared()}
    assert not missing


def test_robot_requirements_are_the_core_dependencies() -> None:
    core = re.search(r"(?ms)^dependencies = \[(.*?)^\]", PYPROJECT)
    robot = (ROOT / "requirements/robot.txt").read_text(encoding="utf-8")
    assert set(re.findall(r'"(.+?)"', core[1])) == set(re.findall(r"(?m)^[^#\n]+$", robot))


def test_extras_are_those_of_the_documentation() -> None:
    assert set().union(*declared().values()) - {""} == STANDARD_EXTRAS
    assert set(re.search(r'"cvloc_ros\[(.*?)\]"', PYPROJECT)[1].split(",")) == STANDARD_EXTRAS - {"all", "dev"}


def test_ros_imports_are_declared_in_package_xml() -> None:
    prefixes = ("rclpy", "tf2", "cv_bridge", "ament_", "tf_transformations")
    ros = {name for name in imported() if name.startswith(prefixes) or name.endswith(("_msgs", "_srvs", "_msgs_py"))}
    ros -= {"rcl_msgs"}
    ros = {"tf2_ros_py" if name == "tf2_ros" else name for name in ros}  # the package tf2_ros is the one of C++
    assert ros <= depends("depend", "exec_depend") | {"rclpy"}


def test_every_message_is_generated_and_its_packages_are_declared() -> None:
    generated = set(re.findall(r'"(msg/\w+\.msg)"', CMAKE))
    assert generated == {str(path.relative_to(ROOT)) for path in (ROOT / "msg").glob("*.msg")}
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in generated)
    used = set(re.findall(r"(?m)^(\w+)/\w+", text))
    assert used <= depends("depend")
    assert used <= set(re.findall(r"find_package\((\w+) REQUIRED\)", CMAKE))
    assert "rosidl_interface_packages" in depends("member_of_group")


def test_status_message_documents_every_field() -> None:
    for line in (ROOT / "msg/LocalizationStatus.msg").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#") and "has_" not in line:
            assert "#" in line, f"unit or meaning is missing: {line}"


def test_executables_are_the_same_for_pip_and_colcon() -> None:
    cmake = dict(re.findall(r'"(\w+)=([\w.]+)"', CMAKE))
    pip = dict(re.findall(r'(?m)^(\w+) = "cvloc_ros\.([\w.]+):main"', PYPROJECT))
    assert cmake == pip == {"localizer": "ros.main", "cvloc": "cli.main"}


def test_pip_without_ros_ships_the_folders_that_cmake_installs() -> None:
    shared = ast.literal_eval(re.search(r"(?m)^SHARED = (\(.*\))$", (ROOT / "setup.py").read_text(encoding="utf-8"))[1])
    assert set(shared) == {"msg", *INSTALLED_FOLDERS}
    assert set(re.search(r"install\(DIRECTORY ([a-z ]+)\s", CMAKE)[1].split()) == set(INSTALLED_FOLDERS)


def test_python_sub_packages_leave_the_interface_names_alone() -> None:
    taken = {"msg", "srv", "action"} & {path.name for path in (ROOT / "cvloc_ros").iterdir()}
    assert not taken, "messages and Python share the installed folder"


def test_colcon_does_not_see_the_stand_ins() -> None:
    assert (ROOT / "standins/COLCON_IGNORE").is_file()
    assert "tf2_msgs" in depends("exec_depend")


@pytest.mark.skipif(not WHEELS, reason="the ROS 2 wheels are not installed next to this Python")
@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
@pytest.mark.slow
def test_cmake_installs_modules_messages_executables_and_shared_files(tmp_path: Path) -> None:
    prefix, build = tmp_path / "install", tmp_path / "build"
    env = {**os.environ, "AMENT_PREFIX_PATH": sys.prefix, "CMAKE_PREFIX_PATH": sys.prefix}
    env["PATH"] = f"{sys.prefix}/bin:{env['PATH']}"
    for command in (
        ["cmake", "-S", ROOT, "-B", build, f"-DCMAKE_INSTALL_PREFIX={prefix}", "-DBUILD_TESTING=OFF", "-Wno-dev",
         f"-DCMAKE_PROJECT_INCLUDE={ROOT}/cmake/pip_wheels.cmake", f"-DPython3_EXECUTABLE={sys.executable}"],
        ["cmake", "--build", build],
        ["cmake", "--install", build],
    ):  # fmt: skip
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=env, check=False)
        assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]

    site = prefix / os.path.relpath(sysconfig.get_path("purelib"), sys.prefix)
    modules = {path.relative_to(ROOT) for path in (ROOT / "cvloc_ros").rglob("*.py")}
    assert all((site / path).is_file() for path in modules)
    assert (site / "cvloc_ros/__init__.py").read_bytes() == (ROOT / "cvloc_ros/__init__.py").read_bytes()
    assert not list((site / "cvloc_ros").rglob("test_*"))
    for folder in INSTALLED_FOLDERS:
        files = [path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.*") if path.is_file()]
        files = [path for path in files if path.suffix != ".pyc"]
        assert files
        assert all((prefix / "share/cvloc_ros" / path).is_file() for path in files)
    for name in ("localizer", "cvloc"):
        assert os.access(prefix / "lib/cvloc_ros" / name, os.X_OK)
    code = "from cvloc_ros.msg import LocalizationStatus; import cvloc_ros; print(cvloc_ros.__file__)"
    # The package of the environment comes first on the path of this process, not of that one.
    env |= {"PYTHONPATH": str(site), "LD_LIBRARY_PATH": f"{prefix}/lib:{env.get('LD_LIBRARY_PATH', '')}"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, check=True)
    assert Path(result.stdout.strip()) == site / "cvloc_ros/__init__.py"


def test_editable_environment_uses_the_source_tree(tmp_path: Path) -> None:
    try:
        importlib.metadata.version("cvloc_ros")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("cvloc_ros is not installed here; run make setup")
    code = "import cvloc_ros.types; print(cvloc_ros.__file__)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert Path(result.stdout.strip()).parent == Path(cvloc_ros.__file__).parent
