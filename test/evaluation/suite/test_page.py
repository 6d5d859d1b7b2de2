# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The page is complete, loads nothing, and shows names as text."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cvloc_ros.errors import ConfigError
from cvloc_ros.evaluation.suite.page import page
from cvloc_ros.evaluation.suite.record import RunName, RunRecord
from cvloc_ros.evaluation.suite.summary import summarize

Maker = Callable[..., RunRecord]
EVIL = "<script>alert('x')</script> & \"co\""


def own(text: str) -> str:
    """The page without the library that draws."""
    return re.sub(r"<script>(?!// Copyright).*?</script>\s*(?=<script>//)", "", text, flags=re.DOTALL)


@pytest.fixture
def text(made_up: Maker, rng: np.random.Generator) -> str:
    sweep = {"axis": "GNSS error", "value": 5, "unit": "m"}
    records = [made_up(rng, f"d{i}", n=15) for i in range(5)]
    records += [made_up(rng, EVIL, EVIL, EVIL, n=15), made_up(rng, "d0", "gnss 5 m", n=15, sweep=sweep)]
    return page(summarize(records, {RunName("d9", "clear", "made up"): EVIL}, suite=EVIL, resamples=20))


def test_names_are_text(text: str) -> None:
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp; &quot;co&quot;" in text


def test_nothing_is_loaded(text: str) -> None:
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", own(text))
    assert "default-src 'none'" in text


def test_data_of_the_charts_is_json_without_nan(text: str) -> None:
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])  # type: ignore[index]
    assert data["matchers"] == ["made up", EVIL]
    assert "per_drive" not in data["groups"][0]
    assert list(data["sweeps"]) == ["GNSS error"]


def test_every_place_that_the_script_draws_to_is_there(text: str) -> None:
    script = text.rpartition("<script>")[2]
    drawn = set(re.findall(r'(?:forest|plot|bars|getElementById|hide)\("([\w-]+)"', script))
    assert {"medians", "cdf", "reliability", "sigma", "nees", "latency", "statuses"} <= drawn
    for place in [*drawn, "sweep-0-error", "sweep-0-share", "sweep-0-false"]:
        assert f'id="{place}"' in text


def test_simulated_stands_on_top(text: str, by_hand: Maker) -> None:
    assert text.index('class="notice simulated"') < text.index("<main>")
    assert 'class="notice simulated"' not in page(summarize([by_hand([{}])]))


def test_every_condition_has_cards_and_a_choice(text: str) -> None:
    assert text.count('<section class="cards') == text.count("<option>") == 2
    assert text.count("<article") == 2


def test_browser_draws_every_chart_and_says_where_there_is_nothing(
    tmp_path: Path, text: str, by_hand: Maker
) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no chromium to open the page with")
    failed = page(summarize([by_hand([{"status": "ambiguous"}])]))
    always = {"recalls", "cdf", "latency", "statuses"}
    poses = {"medians", "reliability", "sigma", "nees", *(f"sweep-0-{name}" for name in ("error", "share", "false"))}
    for name, content, charts, empty in (("full", text, always | poses, 0), ("failed", failed, always, 3)):
        (tmp_path / name).with_suffix(".html").write_text(content, encoding="utf-8")
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
                   "--virtual-time-budget=1000", "--dump-dom", f"file://{tmp_path / name}.html"]  # fmt: skip
        found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        assert set(re.findall(r'<div id="([\w-]+)" class="chart[\w ]* js-plotly-plot"', found)) == charts
        assert found.partition("application/json")[0].count(">Nothing was published.<") == empty


def test_page_without_plotly_names_the_remedy(by_hand: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(ConfigError, match="viz"):
        page(summarize([by_hand([{}])]))
