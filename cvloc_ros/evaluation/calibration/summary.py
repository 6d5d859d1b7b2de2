# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a fit found, as Markdown and as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cvloc_ros.errors import CvlocError
from cvloc_ros.estimation.calibration import Calibration
from cvloc_ros.evaluation.calibration.fit import GROSS_M, Fit, State
from cvloc_ros.evaluation.calibration.run import Collected
from cvloc_ros.types import F64

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKDOWN, FIGURE = "calibration.md", "calibration.png"
_BEFORE, _AFTER, _LEFT_OUT = "#b0b7c3", "#1f6feb", "#d1462f"
_GOAL = (2.0, 4.0)
_CAUTION = (
    "Before and after are of the drives that were fitted: what it is worth elsewhere, `cvloc evaluate standard` tells. "
    "What would be published was found by the gates, not by another replay: a pose that is refused or published anew "
    "would also change later priors."
)


def markdown(fit: Fit, calibration: Calibration, collected: Collected) -> str:
    """Return the summary for people."""
    before, after = fit.before, fit.after
    kind = "simulated drives" if collected.simulated else "drives"
    about = calibration.provenance
    head = (
        f"{len(fit.drives)} {kind} of the suite {about['suite']}, {fit.attempts} attempts inside the map with truth, "
        f"{about['date']}, version {about['version']}. Every drive counts the same."
    )
    whole, wholly = before.nees_with_gross, after.nees_with_gross
    lines = [
        f"# Calibration of {calibration.matcher}", "", head, "",
        "| | before | after |",
        "|---|---|---|",
        f"| values | {before.values} | {after.values} |",
        f"| NEES, mean over drives (3 is ideal) | {before.nees_mean:.2f} | {after.nees_mean:.2f} |",
        f"| the same, each drive left out of its own fit | | {fit.left_out_mean:.2f} |",
        f"| the same with gross errors (> {GROSS_M:g} m) | {whole:.2f} | {wholly:.2f} |",
        f"| published | {before.poses} ({before.availability:.1%}) | {after.poses} ({after.availability:.1%}) |",
        f"| of these more than {GROSS_M:g} m off | {_gross(before)} | {_gross(after)} |",
        "", _CAUTION,
    ]  # fmt: skip
    lines += ["", f"Temperature: {fit.remark}."] if fit.remark else []
    lines += ["", "| drive | poses | NEES before | after | left out | error, median | 95 % |", "|---|" + "---|" * 6]
    for index, drive in enumerate(fit.drives):
        metres = np.hypot(*collected.samples[index].error[after.published[index], :2].T)
        shown = [_mean(part[index]) for part in (before.nees, after.nees, fit.left_out)]
        spread = [f"{np.quantile(metres, q):.2f} m" if len(metres) else "-" for q in (0.5, 0.95)]
        lines.append(f"| {' | '.join([drive, str(len(metres)), *shown, *spread])} |")
    lines += [f"\nFailed and left out: {name}: {why}" for name, why in collected.failures.items()]
    return "\n".join(lines) + "\n"


def write(folder: Path, fit: Fit, calibration: Calibration, collected: Collected) -> str:
    """Write summary and figure; return the summary.

    Raises:
        CvlocError: the folder cannot be written.
    """
    text = markdown(fit, calibration, collected)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKDOWN).write_text(text + f"\n![reliability and NEES]({FIGURE})\n", encoding="utf-8")
        figure(folder / FIGURE, fit, calibration, collected)
    except OSError as err:
        msg = f"{folder}: {err.strerror}; choose another --report"
        raise CvlocError(msg) from err
    return text


def figure(path: Path, fit: Fit, calibration: Calibration, collected: Collected) -> None:
    """Draw reliability, NEES of each drive and, for score volumes, what the temperature does."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = 3 if fit.trials else 2
    drawn = Figure(figsize=(5.2 * panels, 4.9), layout="constrained")
    FigureCanvasAgg(drawn)
    axes: Sequence[Axes] = drawn.subplots(1, panels)
    kind = ", simulated" if collected.simulated else ""
    suite = calibration.provenance["suite"]
    title = f"{calibration.matcher}: {len(fit.drives)} drives of {suite}{kind}, {fit.after.values}"
    drawn.suptitle(title, fontsize=11)
    _reliability(axes[0], fit)
    _each_drive(axes[1], fit)
    if fit.trials:
        _temperature(axes[2], fit)
    drawn.savefig(path, dpi=110)


def _reliability(ax: Axes, fit: Fit) -> None:
    from scipy.stats import chi2

    expected = np.linspace(0.01, 0.99, 99)
    limits = chi2.ppf(expected, 3)
    ax.plot([0, 1], [0, 1], color="0.6", lw=1, ls=":")
    for parts, colour, label in (
        (fit.before.nees, _BEFORE, "before"), (fit.after.nees, _AFTER, "after"),
        (fit.left_out, _LEFT_OUT, "after, drive left out"),
    ):  # fmt: skip
        share = np.mean([[(part <= limit).mean() for limit in limits] for part in parts if len(part)], axis=0)
        ax.plot(expected, share, color=colour, lw=2, label=label, ls="--" if colour == _LEFT_OUT else "-")
    ax.set(xlabel="share that the covariance promises", ylabel="share of poses inside, mean over drives",
           title="Reliability (above the diagonal: too cautious)", xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
    ax.legend(loc="lower right", frameon=False)
    _plain(ax)


def _each_drive(ax: Axes, fit: Fit) -> None:
    rows = np.arange(len(fit.drives))[::-1]
    ax.axvspan(*_GOAL, color="#e8f1e4", zorder=0)
    ax.axvline(3.0, color="0.6", lw=1, ls=":")
    for parts, colour, label, marker in (
        (fit.before.nees, _BEFORE, "before", "s"), (fit.after.nees, _AFTER, "after", "o"),
        (fit.left_out, _LEFT_OUT, "after, drive left out", "x"),
    ):  # fmt: skip
        ax.scatter([part.mean() if len(part) else np.nan for part in parts], rows, c=colour, marker=marker, label=label,
                   s=34, zorder=3)
    ax.set(xscale="log", xlabel="mean NEES (3 is ideal; band: 2 to 4)", title="Each drive")
    ax.set_yticks(rows, [f"{drive} ({len(part)})" for drive, part in zip(fit.drives, fit.after.nees, strict=True)],
                  fontsize=8)
    low, high = ax.get_xlim()
    ax.set_xlim(min(low, 0.3), max(high, 12.0))
    ticks = [tick for tick in (0.1, 0.3, 1, 3, 10, 30, 100) if ax.get_xlim()[0] <= tick <= ax.get_xlim()[1]]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, frameon=False, fontsize=8)
    _plain(ax)


def _temperature(ax: Axes, fit: Fit) -> None:
    trials = sorted(fit.trials, key=lambda trial: trial.temperature)
    at = [trial.temperature for trial in trials]
    ax.plot(at, [trial.loss for trial in trials], color="0.25", lw=2, label="-log P(true place)")
    ax.set(xscale="log", xlabel="temperature", ylabel="nats an attempt", title="Temperature")
    ax.set_yscale("symlog", linthresh=0.1)
    ax.set_ylim(0.0, max(1.0, *(trial.loss for trial in trials)))
    ax.set_yticks([0, 0.05, 0.1, 0.3, 1, 3], ["0", "0.05", "0.1", "0.3", "1", "3"])
    ax.axvline(fit.before.values.temperature or 1.0, color=_BEFORE, lw=1.5, ls="--", label="before")
    ax.axvline(fit.trials[0].temperature, color=_AFTER, lw=1.5, ls="--", label="after")
    ax.set_xticks([0.5, 1, 2, 5, 10, 20, 40], ["0.5", "1", "2", "5", "10", "20", "40"])
    ax.minorticks_off()
    shares = ax.twinx()
    shares.plot(at, [trial.state.availability for trial in trials], color="#2e8b57", lw=2, label="availability")
    shares.plot(at, [trial.state.false_share for trial in trials], color=_LEFT_OUT, lw=2, label="false accepts")
    shares.set(ylim=(0, 1.01), ylabel="share of attempts")
    lines = [*ax.get_legend_handles_labels()[0], *shares.get_legend_handles_labels()[0]]
    ax.legend(handles=lines, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, frameon=False, fontsize=8)
    for side in (ax, shares):
        side.spines["top"].set_visible(False)
    ax.grid(color="0.93")


def _plain(ax: Any) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color="0.93")


def _gross(state: State) -> str:
    return f"{state.gross_count} ({state.gross_count / max(1, state.poses):.1%})"


def _mean(values: F64) -> str:
    return f"{values.mean():.2f}" if len(values) else "-"
