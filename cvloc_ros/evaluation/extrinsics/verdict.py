# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fits each half of a drive, judges it on the other half, and keeps what is certain and agrees better.

Both halves search for themselves: where the pictures do not determine a mounting, they end in different places. What
remains uncertain is set back to what it was, and the rest is fitted again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cvloc_ros.evaluation.extrinsics import fit
from cvloc_ros.evaluation.extrinsics.fit import LIMITS, OF_CAMERA, OF_MAP, SEARCH, Model, N, Sights
from cvloc_ros.evaluation.extrinsics.frames import Frame
from cvloc_ros.evaluation.extrinsics.sights import Mounting, Sight
from cvloc_ros.types import F64, Mask

STRAIGHT = 0.8
"""Mean heading vector longer than this: a wrong lever arm or stamp looks like an offset of the map."""
_BLOCKS = 12
_SURE = 3.0  # standard errors by which held-out pictures must agree better
_LENS_PX = 0.25  # no lens is calibrated better, whatever many pictures say
_RELIEF_M, _RELIEF_REACH_M = 0.02, 20.0  # nor is a street flatter: crown and kerbs, the same in all pictures
_APART = np.array([0.2, *np.radians([1.2, 0.8, 1.2]), 0.6, 0.6])
"""How far from each other the halves may end."""
FEWEST_FRAMES = 12

Make = Callable[[Sequence[Frame], Mounting], list[Sight]]
"""Lays pictures of a camera onto the ground with a mounting."""


@dataclass(frozen=True, slots=True)
class Value:
    """Change of one parameter (m or rad) with its standard deviation; `refused` says why it is not written."""

    name: str
    change: float
    sigma: float
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """What was found of a camera, or of the map.

    `agreement` is the mean correlation of held-out pictures before and after, `gain` their mean gain over its standard
    error.
    """

    pictures: int
    values: tuple[Value, ...] = ()
    agreement: tuple[float, float] = (0.0, 0.0)
    gain: float = 0.0
    refused: str = ""

    @property
    def written(self) -> bool:
        """Tell whether anything of it is worth writing."""
        return not self.refused and any(not value.refused for value in self.values)


@dataclass(slots=True, eq=False)
class Judge:
    """The fits of one drive: of `plain` pictures, laid onto the ground as mountings are set.

    Every camera needs pictures in both halves (`too_few`).
    """

    model: Model
    plain: Sights
    make: Make
    keep_map: bool
    tick: Callable[[], object]
    frames: dict[str, list[Frame]] = field(init=False)
    _block: dict[int, int] = field(init=False)
    _refused: dict[str, str] = field(default_factory=dict)
    _uncertain: set[str] = field(default_factory=set)
    _fixed: dict[int, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Divide the drive into blocks; halves are every other block, so that they share little ground."""
        self.frames = {name: [sight.frame for sight in seen] for name, seen in self.plain.items()}
        self._block = blocks([frame for chosen in self.frames.values() for frame in chosen])

    def run(self) -> tuple[F64, dict[str, Part], Part]:
        """Return the changes (model.size,) of what is written, and the verdict on each camera and on the map."""
        model = self.model
        searched = self._searched_twice()
        while self._drop_apart(searched):
            searched = self._searched_twice()
        middle = (searched[0] + searched[1]) / 2
        sights = {name: self._laid(self.plain, name, middle) for name in self.plain}
        while True:
            free = self._free()
            start = np.where(free, middle, 0.0)
            halves = [self._climb(self._half(sights, half), free, start) for half in (0, 1)]
            x = self._climb(sights, free, (halves[0] + halves[1]) / 2)
            sigma = self._sigma(sights, free, x, halves)
            if self._drop(free, x, sigma):
                continue
            parts = self._judged(sights, halves, x, sigma)
            worse = [name for name, part in parts.items() if part.gain < _SURE and name not in self._refused]
            if not worse:
                break
            for name in worse:
                gain = parts[name].gain
                self._refused[name] = _no_better(gain)
        map_part = self._judged_map(sights, halves, x, sigma)
        for camera in model.cameras:
            if not parts[camera].written:
                x[model.index(camera)[:N]] = 0.0
        if not map_part.written:
            x[-2:] = 0.0
        return x, parts, map_part

    def _searched_twice(self) -> list[F64]:
        """Search with each half; where they end apart, each also tries what the other has found."""
        searched = [self._searched(half) for half in (0, 1)]
        if (np.abs(searched[0] - searched[1]) <= self.model.spread(_APART)).all():
            return searched
        return [self._exchanged(half, searched[half], searched[1 - half]) for half in (0, 1)]

    def _exchanged(self, half: int, own: F64, other: F64) -> F64:
        """Take the other half's values of the cameras that agree better with them in this half, and climb again."""
        mixed = own.copy()
        seen = self._certain(self._half(self.plain, half))
        for name in seen:
            six, theirs = own[self.model.index(name)], other[self.model.index(name)]
            scores = [
                fit.agreements(self._laid(seen, name, x), self.model.mountings[name], change[None]).sum()
                for x, change in ((own, six), (other, theirs))
            ]
            if scores[1] > scores[0]:
                mixed[self.model.index(name)] = theirs
        return self._climb({name: self._laid(seen, name, mixed) for name in seen}, self._free(), mixed)

    def _laid(self, seen: Sights, camera: str, x: F64) -> list[Sight]:
        """Lay pictures onto the ground with the mounting after the changes `x`."""
        return self.make([sight.frame for sight in seen[camera]], self.model.mounting(camera, x))

    def _searched(self, half: int) -> F64:
        model, free = self.model, self._free()
        plain = self._half(self.plain, half)
        x = fit.search(model, self._certain(plain), free, self.tick)
        return self._climb({name: self._laid(plain, name, x) for name in plain}, free, x)

    def _climb(self, sights: Sights, free: Mask, start: F64) -> F64:
        self.tick()
        return fit.climb(self.model, self._certain(sights), free, start)

    def _certain(self, sights: Sights) -> Sights:
        """Leave out cameras whose mounting is not known: they would pull at the map; and those that see nothing."""
        return {name: seen for name, seen in sights.items() if seen and name not in self._uncertain}

    def _half_of(self, frame: Frame) -> int:
        return self._block[id(frame)] % 2

    def _half(self, sights: Sights, half: int) -> dict[str, list[Sight]]:
        return {name: [s for s in seen if self._half_of(s.frame) == half] for name, seen in sights.items()}

    def _free(self) -> Mask:
        free = np.ones(self.model.size, np.bool_)
        free[-2:] = not (self.keep_map or self._uncertain == set(self.model.cameras))
        for camera in self._refused:
            free[self.model.index(camera)[:N]] = False
        free[list(self._fixed)] = False
        return free

    def _doubt(self, camera: str, why: str) -> None:
        self._refused[camera] = why
        self._uncertain.add(camera)

    def _sigma(self, sights: Sights, free: Mask, x: F64, halves: Sequence[F64]) -> F64:
        """Standard deviations: of the sandwich or of the halves, whatever is more, and what no picture can tell."""
        certain = self._certain(sights)
        parts = {name: [self._block[id(sight.frame)] for sight in seen] for name, seen in certain.items()}
        variance = fit.variances(self.model, certain, parts, free, x)
        floor = np.zeros(self.model.size)
        for camera in self.model.cameras:
            lens = _LENS_PX * self.plain[camera][0].px_rad
            floor[self.model.index(camera)[:N]] = _RELIEF_M, lens, np.hypot(lens, _RELIEF_M / _RELIEF_REACH_M), lens
        sigma: F64 = np.sqrt(np.maximum(variance, (halves[0] - halves[1]) ** 2 / 4) + floor**2)
        return sigma

    def _drop_apart(self, searched: Sequence[F64]) -> bool:
        """Set back the value of each camera on which the halves differ most; tell if there is any."""
        dropped = False
        for camera in [camera for camera in self.model.cameras if camera not in self._refused]:
            mine = self.model.index(camera)[:N]
            excess = np.abs(searched[0][mine] - searched[1][mine]) / _APART[:N]
            worst = int(np.argmax(excess))
            if excess[worst] > 1.0:
                name, place = OF_CAMERA[worst], int(mine[worst])
                found = " and ".join(_text(name, float(half[place])) for half in searched)
                self._fix(camera, worst, float(np.inf), f"the two halves of the drive change it by {found}")
                dropped = True
        return dropped

    def _fix(self, camera: str, number: int, sigma: float, why: str) -> None:
        """Leave the height as set, which a tape measures; an angle that is uncertain would spoil all others."""
        if number == 0:
            self._fixed[int(self.model.index(camera)[0])] = Value(OF_CAMERA[0], 0.0, sigma, why)
        else:
            self._doubt(camera, f"{OF_CAMERA[number]} is not certain: {why}")

    def _drop(self, free: Mask, x: F64, sigma: F64) -> bool:
        """Set back the most uncertain value of each camera, and cameras that left the search; tell if there are any."""
        dropped = False
        for camera in self.model.cameras:
            mine = self.model.index(camera)[:N]
            if not free[mine].any():
                continue
            beyond = np.abs(x[mine]) > SEARCH[:N]
            if beyond.any():
                name, most = OF_CAMERA[int(np.argmax(beyond))], SEARCH[:N][beyond][0]
                self._doubt(camera, f"{name} is off by more than {_text(name, most)}; measure it roughly first")
                dropped = True
                continue
            excess = np.where(free[mine], sigma[mine] / LIMITS[:N], 0.0)
            worst = int(np.argmax(excess))
            if excess[worst] > 1.0:
                name = OF_CAMERA[worst]
                why = f"standard deviation {_text(name, sigma[mine[worst]])}, limit {_text(name, LIMITS[worst])}"
                self._fix(camera, worst, float(sigma[mine[worst]]), why)
                dropped = True
        return dropped

    def _judged(self, sights: Sights, halves: Sequence[F64], x: F64, sigma: F64) -> dict[str, Part]:
        """Compare each camera before and after on held-out pictures, the map where it fits best in both cases."""
        before = [self._map_alone(self._half(self.plain, half), halves[half]) for half in (0, 1)]
        parts = {}
        for camera in self.model.cameras:
            if camera in self._uncertain:
                parts[camera] = Part(len(self.plain[camera]), refused=self._refused[camera])
                continue
            old = self._held_out(self.plain[camera], camera, before)
            new = self._held_out(sights[camera], camera, halves)
            values = []
            for number, place in enumerate(self.model.index(camera)[:N]):
                value = Value(OF_CAMERA[number], float(x[place]), float(sigma[place]))
                values.append(self._fixed.get(int(place), value))
            part = self._compared(old, new, tuple(values))
            parts[camera] = replace(part, refused=self._refused.get(camera, ""))
        return parts

    def _judged_map(self, sights: Sights, halves: Sequence[F64], x: F64, sigma: F64) -> Part:
        without = [np.concatenate([half[:-2], np.zeros(2)]) for half in halves]
        old, new = dict[int, float](), dict[int, float]()
        for camera, seen in self._certain(sights).items():
            old |= self._held_out(seen, camera, without)
            new |= self._held_out(seen, camera, halves)
        values = tuple(Value(name, float(x[-2 + i]), float(sigma[-2 + i])) for i, name in enumerate(OF_MAP))
        part = self._compared(old, new, values)
        return replace(part, refused=self._map_refused(part, x))

    def _map_refused(self, part: Part, x: F64) -> str:
        yaws = np.array([f.pose.yaw_rad for chosen in self.frames.values() for f in chosen])
        straight = float(np.hypot(np.cos(yaws).mean(), np.sin(yaws).mean()))
        worst = max(value.sigma for value in part.values)
        reasons = {
            "kept as asked": self.keep_map,
            "no camera is certain": self._uncertain == set(self.model.cameras),
            f"headings too alike (mean vector {straight:.2f}, limit {STRAIGHT}): an offset looks like a wrong lever "
            "arm or stamp; drive around a corner or both ways": straight > STRAIGHT,
            f"off by more than {SEARCH[-1]:g} m; check the datum and geo.map_datum": np.abs(x[-2:]).max() > SEARCH[-1],
            f"not certain enough: {worst:.2f} m, limit {LIMITS[-1]:g} m": worst > LIMITS[-1],
            _no_better(part.gain): part.gain < _SURE,
        }
        return next((reason for reason, holds in reasons.items() if holds), "")

    def _map_alone(self, sights: Sights, new: F64) -> F64:
        """Return changes of the map alone with which one half agrees best."""
        free = self._free()
        free[:-2] = False
        starts = [np.zeros(self.model.size), np.where(free, new, 0.0)]
        found = [self._climb(sights, free, start) for start in starts]
        certain = self._certain(sights)
        return max(found, key=lambda x: fit.total(self.model, certain, x[None])[0])

    def _held_out(self, sights: Sequence[Sight], camera: str, halves: Sequence[F64]) -> dict[int, float]:
        """Return the agreement of each picture under the fit of the other half, by the id of its frame."""
        place, result = self.model.index(camera), {}
        for sight in sights:
            six = halves[1 - self._half_of(sight.frame)][place]
            result[id(sight.frame)] = float(fit.agreements([sight], self.model.mountings[camera], six[None])[0, 0])
        return result

    def _compared(self, old: Mapping[int, float], new: Mapping[int, float], values: tuple[Value, ...]) -> Part:
        both = sorted(old.keys() & new.keys())
        before, after = (np.array([scores[key] for key in both]) for scores in (old, new))
        where: NDArray[np.int64] = np.array([self._block[key] for key in both], np.int64)
        gains = np.array([(after - before)[where == block].mean() for block in np.unique(where)])
        error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else 0.0
        gain = float(gains.mean() / error) if error > 0 else 0.0
        agreement = (float(before.mean()), float(after.mean())) if both else (0.0, 0.0)
        return Part(len(both), values, agreement, gain)


def blocks(frames: Sequence[Frame]) -> dict[int, int]:
    """Number parts of the drive by the ids of their pictures."""
    every = sorted(frames, key=lambda frame: frame.image.stamp_ns)
    return {id(frame): number * _BLOCKS // len(every) for number, frame in enumerate(every)}


def too_few(sights: Sequence[Sight]) -> str:
    """Return why a camera's pictures are not enough to fit one half and judge on the other; "" if they are."""
    if len(sights) >= FEWEST_FRAMES:
        return ""
    return f"{len(sights)} pictures show enough ground on the map, at least {FEWEST_FRAMES}, 2 m apart, are needed"


def _no_better(gain: float) -> str:
    return f"held-out pictures agree no better ({gain:.1f} standard errors, {_SURE:g} needed)"


def _text(name: str, value: float) -> str:
    return f"{value:.3f} m" if name in ("height", *OF_MAP) else f"{np.degrees(value):.2f} deg"
