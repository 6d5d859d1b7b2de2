# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The matcher's own calibration of the covariance: a small file beside it, made by `cvloc calibrate`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from cvloc_ros import resources
from cvloc_ros.config import Config, Estimation
from cvloc_ros.config.section import Section
from cvloc_ros.errors import ConfigError, CvlocError

FORMAT = 1
REMEDY = "make it anew with cvloc calibrate, or give estimation.temperature, covariance_scale, sigma_floor_m and _deg"


class Values(Section):
    """What the section `estimation` is filled with where it says 0."""

    temperature: float | None = Field(default=None, gt=0, le=10000)
    """None where there is no score volume (matched points, solved by least squares)."""
    covariance_scale: float = Field(gt=0, le=1000)
    sigma_floor_m: float = Field(gt=0, le=20)
    sigma_floor_deg: float = Field(gt=0, le=20)

    def __str__(self) -> str:
        """Return the values for people."""
        start = "" if self.temperature is None else f"temperature {self.temperature:.3g}, "
        floor = f"floor {self.sigma_floor_m:.3g} m and {self.sigma_floor_deg:.3g}°"
        return f"{start}scale {self.covariance_scale:.3g}, {floor}"


FALLBACK = Values(temperature=3.0, covariance_scale=1.0, sigma_floor_m=0.25, sigma_floor_deg=0.4)
"""For a matcher without calibration: the registration error of good orthophotos, and some doubt in the odds."""


class Calibration(Section):
    """Values, and where they come from. `weights_sha256` is empty for a matcher without weights."""

    format: int = Field(default=FORMAT, ge=FORMAT, le=FORMAT)
    matcher: str = Field(min_length=1)
    weights_sha256: str = ""
    solver: Literal["vote", "procrustes"] | None = None
    """What made poses of matched points; None for a method that gives score volumes, and where nothing is noted."""
    vote_sigma_m: float | None = Field(default=None, gt=0)
    """Of votes only."""
    values: Values
    provenance: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read what `save` wrote.

        Raises:
            ConfigError: the file cannot be read, or a key is missing, unknown or out of range.
        """
        try:
            tree = yaml.safe_load(path.read_text(encoding="utf-8"))
            return cls.model_validate(tree)
        except ValidationError as err:
            faults = "; ".join(f"{'.'.join(map(str, f['loc'])) or 'file'}: {f['msg']}" for f in err.errors())
            msg = f"{path} is no calibration: {faults}; {REMEDY}"
            raise ConfigError(msg) from err
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
            msg = f"{path} cannot be read: {err}; {REMEDY}"
            raise ConfigError(msg) from err

    def save(self, path: Path) -> None:
        """Write one YAML file, whole or not at all."""
        head = "# Calibration of the covariance, made by cvloc calibrate (docs/calibration.md).\n"
        part = path.with_name(path.name + ".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True, width=110)
            part.write_text(head + text, encoding="utf-8")
            part.replace(path)
        except OSError as err:
            with suppress(OSError):
                part.unlink()
            msg = f"{path} cannot be written: {err.strerror}; choose another --out"
            raise CvlocError(msg) from err


def beside(matcher: str, weights: Path | None) -> Path:
    """Return where the calibration of a matcher lies: beside its weights, else among the shipped files."""
    if weights is not None:
        return weights.with_name(f"{weights.stem}.calibration.yaml")
    return Path("config") / "calibration" / f"{matcher}.yaml"


def find(config: Config, weights: Path | None) -> Calibration | None:
    """Read the calibration of the configured matcher with these weights; None where there is none.

    Where the configuration gives all values itself, a file that cannot be used stops nothing.

    Raises:
        ConfigError: the file is faulty, or it belongs to another matcher or to other weights.
    """
    try:
        return _find(config.matcher.name, weights)
    except ConfigError:
        if open_keys(config.estimation):
            raise
        return None


def _find(matcher: str, weights: Path | None) -> Calibration | None:
    path = beside(matcher, weights)
    if weights is None:
        try:
            path = resources.find(str(path))
        except ConfigError:
            return None
    if not path.is_file():
        return None
    found = Calibration.load(path)
    if found.matcher != matcher:
        msg = f"{path} is the calibration of {found.matcher}, matcher.name is {matcher}; {REMEDY}"
        raise ConfigError(msg)
    if weights is not None and (digest := resources.sha256(weights)) != found.weights_sha256:
        there = found.weights_sha256[:12] or "none"
        msg = f"{path} belongs to other weights (sha256 {there}) than {weights.name} ({digest[:12]}); {REMEDY}"
        raise ConfigError(msg)
    return found


def resolve(config: Config, calibration: Calibration | None) -> Config:
    """Fill what `estimation` leaves to the calibration (0), from it or from `FALLBACK`; a given number wins."""
    values = calibration.values if calibration else FALLBACK
    own = {name: getattr(values, name) or getattr(FALLBACK, name) for name in open_keys(config.estimation)}
    return config.model_copy(update={"estimation": config.estimation.model_copy(update=own)})


def open_keys(estimation: Estimation) -> list[str]:
    """Name the keys that are left to the calibration."""
    return [name for name in Values.model_fields if getattr(estimation, name) == 0.0]


def describe(given: Config, calibration: Calibration | None) -> str:
    """Say for people what the covariance rests on: the values in use and where they come from."""
    estimation = resolve(given, calibration).estimation
    values = Values(**{name: getattr(estimation, name) for name in Values.model_fields})
    keys = open_keys(given.estimation)
    if not keys:
        source = "given by the configuration"
    elif calibration is None:
        source = "not calibrated: safe values"
    else:
        about = calibration.provenance
        source = ", ".join(str(about[key]) for key in ("suite", "date") if key in about)
        source = f"calibrated ({source})" if source else "calibrated"
        other = _other_solver(given.estimation, calibration)
        source += f" with {_told(other)}" if other else ""
    chosen = [name for name in Values.model_fields if name not in keys]
    return f"{values}; {source}" + (f", but for {', '.join(chosen)} as given" if keys and chosen else "")


def trouble(given: Config, calibration: Calibration | None) -> str:
    """Say what is wrong and what to do where values are wanted from a calibration that is missing or unfit; else ""."""
    keys, name = open_keys(given.estimation), given.matcher.name
    if not keys:
        return ""
    if calibration is None:
        return (
            f"covariance not calibrated: {name} has no calibration, estimation.{', '.join(keys)} are safe values; "
            f"make one with cvloc calibrate --matcher {name}"
        )
    other = _other_solver(given.estimation, calibration)
    if not other:
        return ""
    wanted = " ".join(f"--set estimation.{key}={used}" for key, (_, used) in other.items())
    return (
        f"covariance calibrated with estimation.{_told(other)}: set what it was made with, "
        f"or make one with cvloc calibrate --matcher {name} {wanted}"
    )


def _other_solver(given: Estimation, calibration: Calibration) -> dict[str, tuple[object, object]]:
    """Return key -> (value in the calibration, value in use) where these differ for the solver."""
    pairs = {name: (getattr(calibration, name), getattr(given, name)) for name in ("solver", "vote_sigma_m")}
    return {name: (made, used) for name, (made, used) in pairs.items() if made is not None and made != used}


def _told(other: dict[str, tuple[object, object]]) -> str:
    return ", ".join(f"{name} = {made} ({used} is in use)" for name, (made, used) in other.items())
