# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Maximises the agreement of all pictures with the map over the mountings of the cameras and the offset of the map.

The parameters are four of each camera (z in m; roll, pitch, yaw in rad of the mounting) and two of the map (east and
north in m), as changes of what is set. The measure is the mean over pictures of the correlation of each, so that a
picture of a van counts once. The variances are the sandwich of its curvature and of the gradients of its parts, where
neighbouring pictures, which see the same ground, are one part.
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
LIMITS = np.array([0.05, *np.radians([0.3, 0.2, 0.3]), 0.15, 0.15])
"""Largest standard deviation with which a value is worth writing."""

_STEP = np.array([0.02, *np.radians([0.4, 0.2, 0.4]), 0.05, 0.05])
_FLATTEST = 1e-3  # of the strongest curvature; a flatter direction counts as flat
_FLAT_SHARE = 0.3  # of a parameter in a flat direction, from which on it counts as unknown
_LOSSES = (0.1, 0.05, 0.05, 0.02, 0.01, 0.005)
_EDGE = 1.05  # of `SEARCH`: who goes beyond is told
_FARTHEST = 1.5  # times the step along an axis
_TRIALS, _STARTS, _NEAR = 2048, 4, 96
_CLOSER = (0.2, 0.14, 0.1, 0.07, 0.05, 0.035, 0.025)  # of `SEARCH`
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

    `parts` numbers the pictures of each camera; those of one number count as one. Imagery lies off by some
    centimetres, here so and a hundred metres on otherwise: so the same is asked with three neighbours as one, and the
    larger variance taken.
    """
    chosen, result = np.flatnonzero(free), np.zeros(model.size)
    if not len(chosen) or not sights:
        result[chosen] = np.inf
        return result
    bends = -_curvatures(model, sights, free, x)[np.ix_(chosen, chosen)]
    slopes = np.zeros((1 + max(max(numbers) for numbers in parts.values()), model.size))
    for camera, seen in sights.items():
        place, mounting, six = model.index(camera), model.mountings[camera], x[model.index(camera)]
        steps = np.diag(_STEP)
        ahead, behind = np.split(agreements(seen, mounting, np.vstack([six + steps, six - steps])), 2)
        for number, change in enumerate((ahead - behind) / 2):
            np.add.at(slopes[:, place[number]], list(parts[camera]), change)
    fine = slopes[np.any(slopes != 0.0, axis=1)][:, chosen]
    coarse = np.add.reduceat(fine, np.arange(0, len(fine), 3)) if len(fine) else fine
    found = np.maximum(_sandwich(bends, fine), _sandwich(bends, coarse))
    result[chosen] = found * model.spread(_STEP)[chosen] ** 2
    return result


def _sandwich(bends: F64, slopes: F64) -> F64:
    """Variances (n,) of a maximum from its curvature (n, n) and the slopes of independent parts there (parts, n)."""
    if len(slopes) <= 2:
        return np.full(len(bends), np.inf)
    values, vectors = np.linalg.eigh(bends)
    weakest = _FLATTEST * max(float(values.max()), 1e-9)
    inverse = (vectors / np.maximum(values, weakest)) @ vectors.T
    spread = slopes - slopes.mean(axis=0)
    meat = spread.T @ spread * len(slopes) / (len(slopes) - 1)
    flat = (np.abs(vectors[:, values < weakest]) > _FLAT_SHARE).any(axis=1)
    return np.where(flat, np.inf, np.diag(inverse @ meat @ inverse))


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
    """Return the best of many tries (6,) and its agreement: spread evenly first, then ever closer to the best few."""
    from scipy.stats.qmc import Sobol

    tries = np.tile(np.concatenate([np.zeros(N), offset]), (_TRIALS, 1))
    if free.any():
        draws = 2.0 * Sobol(int(free.sum()), seed=1).random(_TRIALS) - 1.0
        tries[1:, free] = (draws * SEARCH[free])[1:]  # the first is what is set
    reached = agreements(sights, mounting, tries).mean(axis=1)
    order = np.argsort(-reached)[:_STARTS]
    best, scores, rng = tries[order], reached[order], np.random.default_rng(1)
    for share in _CLOSER:
        for number, start in enumerate(best.copy()):
            near = np.tile(start, (_NEAR, 1))
            near[:, free] += share * SEARCH[free] * rng.standard_normal((_NEAR, int(free.sum())))
            near[:, free] = np.clip(near[:, free], -SEARCH[free], SEARCH[free])
            reached = agreements(sights, mounting, near).mean(axis=1)
            if reached.max() > scores[number]:
                best[number], scores[number] = near[np.argmax(reached)], reached.max()
    top = int(np.argmax(scores))
    return best[top], float(scores[top])
