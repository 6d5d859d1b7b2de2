# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Maximises the agreement of all pictures with the map over the mountings of the cameras and the offset of the map.

The parameters are four of each camera (z in m; roll, pitch, yaw in rad of the mounting) and two of the map (east and
north in m), as changes of what is set. The measure is the mean over pictures of the correlation of each, so that a
picture of a van counts once. The variances are the sandwich of its curvature and of the gradients of its parts, where
neighbouring pictures, which see the same ground, are one part, and what imagery that drifts along the drive adds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvloc_ros.evaluation.extrinsics.frames import from_mounting
from cvloc_ros.evaluation.extrinsics.sights import Mounting, Sight
from cvloc_ros.types import F64, Mask

OF_CAMERA = ("height", "roll", "pitch", "yaw")
OF_MAP = ("east", "north")
N = len(OF_CAMERA)
SEARCH = np.array([0.25, *np.radians([3.0, 4.0, 4.0]), 2.0, 2.0])
"""How far from what is set the truth may be."""
LIMITS = np.array([0.05, *np.radians([0.3, 0.2, 0.5]), 0.15, 0.15])
"""Largest standard deviation with which a value is worth writing."""

_STEP = np.array([0.02, *np.radians([0.4, 0.2, 0.4]), 0.05, 0.05])
_FLATTEST = 1e-3  # of the strongest curvature; a flatter direction counts as flat
_FLATTEST_MAP = 0.1  # the same for the offset in a part of the drive, whose street may tell of one direction only
_FLAT_SHARE = 0.3  # of a parameter in a flat direction, from which on it counts as unknown
_LOSSES = (0.1, 0.05, 0.05, 0.02, 0.01, 0.005)
_EDGE = 1.05  # of `SEARCH`: who goes beyond is told
_FARTHEST = 1.5  # times the step along an axis
_POPULATION, _GENERATIONS = 16, 48  # of each parameter, rounded up to a power of two in all
_COARSE_FRAMES, _COARSE_RAYS, _COARSE_REACH_M = 12, 300, 10.0

Sights = Mapping[str, Sequence[Sight]]


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """Mountings about which changes are sought; parameter vectors (4 cameras + 2,) are in the order of `cameras`."""

    mountings: Mapping[str, Mounting]

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names in the order of the parameters."""
        return tuple(self.mountings)

    @property
    def size(self) -> int:
        """Number of parameters."""
        return N * len(self.mountings) + 2

    def index(self, camera: str) -> NDArray[np.intp]:
        """Return where the six parameters of a camera's pictures stand: its own and those of the map."""
        first = N * self.cameras.index(camera)
        return np.array([*range(first, first + N), self.size - 2, self.size - 1])

    def spread(self, six: F64) -> F64:
        """Repeat values of the six kinds of parameters for all cameras."""
        return np.concatenate([*[six[:N]] * len(self.mountings), six[N:]])

    def mounting(self, camera: str, x: F64) -> Mounting:
        """Return the mounting of a camera after the changes `x`."""
        return changed(self.mountings[camera], x[self.index(camera)])


def changed(mounting: Mounting, six: F64) -> Mounting:
    """Add height, roll, pitch and yaw to a mounting."""
    x, y, z, roll, pitch, yaw = mounting
    return x, y, z + six[0], roll + six[1], pitch + six[2], yaw + six[3]


def agreements(sights: Sequence[Sight], mounting: Mounting, moves: F64) -> F64:
    """Return the correlation (K, n) of each picture after changes of the six parameters (K, 6)."""
    T_base_camera = np.stack([from_mounting(changed(mounting, six)) for six in moves])
    found = [sight.agreement(T_base_camera, moves[:, N:]) for sight in sights]
    return np.stack(found, axis=1) if found else np.zeros((len(moves), 0))


def search(model: Model, sights: Sights, free: Mask, tick: Callable[[], object]) -> F64:
    """Find the mountings wherever they are in `SEARCH`: coarsely, each camera by itself, then all of them together.

    The camera with the best agreement says where the map is; the others are sought with the map there.
    """
    coarse = {camera: _coarse(seen) for camera, seen in sights.items()}
    x: F64 = np.zeros(model.size)
    alone = {}
    for camera, seen in coarse.items():
        tick()
        alone[camera] = _seek(seen, model.mountings[camera], free[model.index(camera)], x[-2:])
    best = max(alone, key=lambda camera: alone[camera][1], default="")
    if best:
        x[model.index(best)] = alone[best][0]
    for camera in coarse.keys() - {best}:
        tick()
        mine = free[model.index(camera)].copy()
        mine[N:] = False
        x[model.index(camera)] = _seek(coarse[camera], model.mountings[camera], mine, x[-2:])[0]
    return x


def climb(model: Model, sights: Sights, free: Mask, start: F64) -> F64:
    """Go uphill from `start` in all free parameters together.

    Height and pitch of a camera, or its yaw and the map, make long narrow ridges, and the agreement is rough in the
    small: so parabolas are laid along the axes of the curvature, over ever smaller losses of agreement.
    """
    # Of scipy, COBYQA reaches the same in 0.3 to 0.7 of the time, but needs 1.14, and Ubuntu 24.04 has 1.11; Powell and
    # BFGS take two to three times as long for as much or less, COBYLA stops lower (three starts on two drives).
    x: F64 = start.copy()
    chosen = np.flatnonzero(free)
    if not len(chosen):
        return x

    best, count, edge = total(model, sights, x[None])[0], sum(map(len, sights.values())), model.spread(_EDGE * SEARCH)
    for loss in _LOSSES:
        values, vectors = np.linalg.eigh(-_curvatures(model, sights, free, x)[np.ix_(chosen, chosen)])
        length = np.sqrt(2 * loss * count / np.maximum(values, _FLATTEST * max(float(values.max()), 1e-9)))
        for axis in (vectors * length * model.spread(_STEP)[chosen, None]).T:
            step = np.zeros(model.size)
            step[chosen] = axis
            sides = total(model, sights, np.stack([x + step, x - step]))
            bend = 2 * best - sides[0] - sides[1]
            top = (sides[0] - sides[1]) / (2 * bend) if bend > 0 else math.copysign(1.0, sides[0] - sides[1])
            there: F64 = np.clip(x + min(max(top, -_FARTHEST), _FARTHEST) * step, -edge, edge)
            if (reached := total(model, sights, there[None])[0]) > best:
                best, x = reached, there
    return x


def total(model: Model, sights: Sights, tries: F64) -> F64:
    """Return the summed agreement (K,) of all pictures after changes (K, model.size)."""
    result: F64 = np.zeros(len(tries))
    for camera, seen in sights.items():
        result += agreements(seen, model.mountings[camera], tries[:, model.index(camera)]).sum(axis=1)
    return result


def variances(model: Model, sights: Sights, parts: Mapping[str, Sequence[int]], free: Mask, x: F64) -> F64:
    """Return variances (size,) at the maximum `x`: infinite where pictures say nothing, 0 where nothing is free.

    `parts` numbers the pictures of each camera along the drive; those of one number count as one. Imagery that is off
    ever more along the drive shifts neighbouring parts alike, so that their scatter tells too little: see `_drift`.
    """
    chosen, result = np.flatnonzero(free), np.zeros(model.size)
    if not len(chosen) or not sights:
        result[chosen] = np.inf
        return result
    slopes, bends = _by_part(model, sights, parts, x)
    inverse, flat = _inverse(bends.sum(axis=0)[np.ix_(chosen, chosen)], _FLATTEST)
    told = slopes[slopes.any(axis=1)][:, chosen]
    if len(told) <= 2:
        result[chosen] = np.inf
        return result
    scatter = np.square((told - told.mean(axis=0)) @ inverse).sum(axis=0) * len(told) / (len(told) - 1)
    if free[-1]:  # else the map is said to be exact
        scatter += _drift(slopes[:, -2:], bends[:, -2:, -2:], bends[:, chosen, -2:], inverse)
    result[chosen] = np.where(flat, np.inf, scatter) * model.spread(_STEP)[chosen] ** 2
    return result


def _by_part(model: Model, sights: Sights, parts: Mapping[str, Sequence[int]], x: F64) -> tuple[F64, F64]:
    """Slopes (parts, size) and downward curvatures (parts, size, size) of the agreement in steps, fixed or free."""
    count, steps, every = 1 + max(max(numbers) for numbers in parts.values()), np.diag(_STEP), np.ones(N + 2, np.bool_)
    slopes, bends = np.zeros((count, model.size)), np.zeros((count, model.size, model.size))
    for camera, seen in sights.items():
        place, mounting, six = model.index(camera), model.mountings[camera], x[model.index(camera)]
        for number in set(parts[camera]):
            mine = [sight for sight, part in zip(seen, parts[camera], strict=True) if part == number]
            sums = agreements(mine, mounting, np.vstack([six + steps, six - steps])).sum(axis=1)
            slopes[number, place] += (sums[: N + 2] - sums[N + 2 :]) / 2
            bends[number][np.ix_(place, place)] -= _curvature(mine, mounting, every, six)
    return slopes, bends


def _drift(slopes: F64, bends: F64, couplings: F64, inverse: F64) -> F64:
    """Variances (n,) of a maximum from imagery whose offset changes slowly along the drive.

    Slopes (parts, 2) and curvatures (parts, 2, 2) of the map say by how much: each two parts by themselves, cameras
    held. Half a wave and a whole one of that size, anywhere along the drive, are led through `couplings`
    (parts, n, 2), the curvatures between parameters and map, and the `inverse` (n, n) of all curvatures.
    """
    pairs = np.arange(0, len(slopes), 2)
    both = zip(np.add.reduceat(slopes, pairs), np.add.reduceat(bends, pairs), strict=True)
    offsets = np.array([_inverse(bend, _FLATTEST_MAP)[0] @ slope for slope, bend in both])
    power = np.square(offsets).sum() / 2 / max(len(offsets) - 1, 1)
    waves = math.sqrt(2) * np.cos(np.pi * np.outer([1, 2], (np.arange(len(slopes)) + 0.5) / len(slopes)))
    answers = inverse @ np.einsum("wp,pnm->wnm", waves, couplings)
    result: F64 = power * np.square(answers).sum(axis=(0, 2))
    return result


def _inverse(bends: F64, flattest: float) -> tuple[F64, Mask]:
    """Invert a curvature (n, n), its weak directions held up; tell which parameters (n,) lie in one."""
    values, vectors = np.linalg.eigh(bends)
    weakest = flattest * max(float(values.max()), 1e-9)
    flat: Mask = (np.abs(vectors[:, values < weakest]) > _FLAT_SHARE).any(axis=1)
    return (vectors / np.maximum(values, weakest)) @ vectors.T, flat


def _curvatures(model: Model, sights: Sights, free: Mask, x: F64) -> F64:
    result = np.zeros((model.size, model.size))
    for camera, seen in sights.items():
        place = model.index(camera)
        result[np.ix_(place, place)] += _curvature(seen, model.mountings[camera], free[place], x[place])
    return result


def _curvature(sights: Sequence[Sight], mounting: Mounting, free: Mask, six: F64) -> F64:
    """Second differences (6, 6) of the summed agreement in the free parameters, in steps squared."""
    steps, result = np.diag(_STEP), np.zeros((N + 2, N + 2))
    pairs = [(a, b) for a in np.flatnonzero(free) for b in np.flatnonzero(free) if b <= a]
    if not pairs:
        return result
    moves = [(steps[a] + steps[b], steps[a] - steps[b]) for a, b in pairs]
    tries = np.array([move for same, other in moves for move in (same, -same, other, -other)])
    sums = agreements(sights, mounting, six + tries).sum(axis=1).reshape(-1, 4)
    for (a, b), bend in zip(pairs, sums @ [0.25, 0.25, -0.25, -0.25], strict=True):
        result[a, b] = result[b, a] = bend
    return result


def _coarse(sights: Sequence[Sight]) -> list[Sight]:
    chosen = sights[:: math.ceil(len(sights) / _COARSE_FRAMES)]
    return [sight.thinned(_COARSE_RAYS, _COARSE_REACH_M) for sight in chosen]


def _seek(sights: Sequence[Sight], mounting: Mounting, free: Mask, offset: F64) -> tuple[F64, float]:
    """Return the best changes (6,) in `SEARCH` and their agreement, wherever they are."""
    from scipy.optimize import Bounds, differential_evolution

    found = np.concatenate([np.zeros(N), offset])

    def loss(values: F64) -> F64:
        tries = np.tile(found, (values.shape[1], 1))
        tries[:, free] = values.T
        mean: F64 = agreements(sights, mounting, tries).mean(axis=1)
        return -mean

    if free.any():
        found[free] = differential_evolution(
            loss, Bounds(-SEARCH[free], SEARCH[free]), vectorized=True, updating="deferred", polish=False, seed=1,
            init="sobol", x0=found[free], popsize=_POPULATION, maxiter=_GENERATIONS, tol=0.0,
        ).x  # fmt: skip
    return found, float(agreements(sights, mounting, found[None]).mean())
