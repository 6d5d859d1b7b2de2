# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Shipped files are found in a source tree and in an installed package."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cvloc_ros import resources
from cvloc_ros.errors import ConfigError

PACKAGE = Path(resources.__file__).parent


def test_source_tree_is_found():
    assert resources.find("config/providers.yaml").read_text().startswith("#")


def test_missing_file_names_where_it_was_looked_for():
    with pytest.raises(ConfigError, match=r"config/nothing\.yaml was not found in .*install"):
        resources.find("config/nothing.yaml")


@pytest.mark.parametrize("how", ["ament", "prefix"])
def test_installed_package_is_found(tmp_path, how):
    site = tmp_path / "lib" / "python3" / "site-packages" / "cvloc_ros"
    site.mkdir(parents=True)
    for name in ("__init__.py", "resources.py", "errors.py"):
        shutil.copy(PACKAGE / name, site / name)
    share = (tmp_path / "overlay" if how == "ament" else tmp_path) / "share" / "cvloc_ros" / "config"
    share.mkdir(parents=True)
    (share / "only_here.yaml").write_text("")
    code = "from cvloc_ros import resources; print(resources.find('config/only_here.yaml'))"
    prefixes = f"/none:{tmp_path / 'overlay'}" if how == "ament" else ""
    env = {"PYTHONPATH": str(site.parent), "AMENT_PREFIX_PATH": prefixes}
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(said.stdout.strip()) == share / "only_here.yaml"
