# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers that make a world a town, a suburb, a village or another kind of place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

StyleName = Literal["town", "dense", "suburb", "village", "motorway", "campus"]
Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Style:
    """A kind of place. Lengths in metres, chances 0..1, (least, most) where two numbers stand."""

    block_m: float = 108.0
    bend: float = 0.22
    """How far streets turn from a straight line, radians."""
    stubs: int = 0
    """Streets without another end that lead into each block."""
    stub_end: Literal["turn", "end"] = "turn"
    crescents: float = 0.0
    """Chance of a street that leaves the main one and comes back, on either side."""
    roundabout: float = 0.0
    """Chance that the largest junction is a roundabout."""
    signals: bool = False
    boulevard: bool = False
    tram: float = 0.0
    cycle: float = 0.0
    railway: float = 0.0
    river: float = 0.0
    canal: bool = False
    cobbles: float = 0.0
    """Share of side streets that are paved with stones."""
    fields: bool = False
    car_parks: int = 0
    pitches: int = 0
    squares: int = 0
    pools: float = 0.0
    paths: int = 0
    zebra: float = 0.35
    """Chance of a pedestrian crossing before a junction."""
    half_width_m: Pair = (3.5, 2.9)
    """Half width of main and of side streets."""
    pavement_m: Pair = (2.4, 1.8)
    verges_m: tuple[float, ...] = (0.0, 1.2)
    bay_chance: Pair = (0.75, 0.35)
    house_length_m: Pair = (8.0, 17.0)
    house_depth_m: Pair = (8.0, 11.0)
    heights_m: tuple[float, ...] = (5.5, 7.0, 9.5)
    setbacks_m: tuple[float, ...] = (0.3, 2.5, 4.5)
    gaps_m: tuple[float, ...] = (0.5, 3.5, 6.0)
    core: float = 1.0
    """Share of a house's sides that must be free; less lets walls touch."""
    tree_area_m2: float = 260.0
    """Ground for each tree outside of streets."""
    tree_radius_m: Pair = (1.3, 2.9)
    tree_height_m: Pair = (4.5, 8.0)
    roofs: tuple[str, ...] = ("gable", "gable", "hip", "gable", "flat")
    shop_chance: float = 0.12
    border_chance: float = 0.55
    """Hedge or fence before a garden."""
    signs_per_street: int = 2
    people_per_100m: float = 1.6
    vehicles_per_100m: float = 0.7
    speed_mps: float = 7.0
    size_m: Pair = (400.0, 300.0)
    resolution_m: float = 0.05
    gardens: bool = True
    lamps: bool = True


STYLES: dict[str, Style] = {
    "town": Style(
        roundabout=0.65, tram=0.3, cycle=0.5, railway=0.45, river=0.35, cobbles=0.15, car_parks=1, squares=1, stubs=1,
        pools=0.03, block_m=88.0,
    ),
    "dense": Style(
        block_m=70.0, bend=0.1, signals=True, boulevard=True, tram=0.75, cycle=0.7, river=0.3, canal=True, cobbles=0.25,
        squares=1, car_parks=1, zebra=0.75,
        half_width_m=(4.6, 3.3), pavement_m=(3.6, 2.6), verges_m=(0.0,),
        bay_chance=(0.9, 0.7), house_length_m=(11.0, 22.0), house_depth_m=(11.0, 14.0),
        heights_m=(11.2, 14.0, 16.8, 19.6), setbacks_m=(0.1,), gaps_m=(0.05, 0.05, 0.05, 5.0), core=0.84,
        tree_area_m2=900.0,
        tree_radius_m=(1.6, 2.8), tree_height_m=(6.0, 9.0), roofs=("mansard", "flat", "gable", "mansard"),
        shop_chance=0.65, border_chance=0.0, signs_per_street=4, people_per_100m=7.0, vehicles_per_100m=1.2,
    ),
    "suburb": Style(
        block_m=104.0, bend=0.34, stubs=1, crescents=0.8, roundabout=0.55, pools=0.3, railway=0.2, pitches=1, paths=2,
        zebra=0.15, half_width_m=(3.2, 2.7), pavement_m=(1.8, 1.5), verges_m=(0.0, 1.6),
        bay_chance=(0.25, 0.15), house_length_m=(9.0, 14.0), house_depth_m=(8.0, 10.0), heights_m=(3.0, 5.6, 5.6),
        setbacks_m=(5.0, 7.0, 9.0), gaps_m=(6.0, 9.0, 13.0), tree_area_m2=130.0, tree_radius_m=(1.2, 3.4),
        tree_height_m=(3.5, 9.5), roofs=("gable", "hip", "hip", "gable"), shop_chance=0.0, border_chance=0.85,
        people_per_100m=0.8, vehicles_per_100m=0.4,
    ),
    "village": Style(
        block_m=150.0, bend=0.36, stubs=2, stub_end="end", crescents=0.6, roundabout=0.25, railway=0.3, river=0.45,
        fields=True, cobbles=0.15, squares=1, pools=0.04, paths=3, zebra=0.15,
        half_width_m=(3.1, 2.4), pavement_m=(1.4, 0.7), verges_m=(0.0, 1.4, 2.4),
        bay_chance=(0.15, 0.0), house_length_m=(9.0, 24.0), house_depth_m=(8.0, 12.0), heights_m=(3.0, 5.6, 5.6, 7.0),
        setbacks_m=(2.0, 6.0, 12.0), gaps_m=(8.0, 16.0, 30.0), tree_area_m2=230.0, tree_radius_m=(1.4, 4.0),
        tree_height_m=(4.0, 12.0), roofs=("gable", "gable", "gable", "barn"), shop_chance=0.04, border_chance=0.5,
        signs_per_street=1, people_per_100m=0.4, vehicles_per_100m=0.3, speed_mps=8.0,
    ),
    "motorway": Style(
        half_width_m=(13.6, 13.6), pavement_m=(0.0, 0.0), verges_m=(2.5,), bay_chance=(0.0, 0.0), tree_area_m2=120.0,
        tree_radius_m=(1.4, 3.6), tree_height_m=(4.0, 12.0), roofs=("barn", "flat"), shop_chance=0.0,
        border_chance=0.0, fields=True, river=0.3, railway=0.3, signs_per_street=0, people_per_100m=0.0,
        vehicles_per_100m=2.2, speed_mps=22.0,
        size_m=(1280.0, 160.0), resolution_m=0.08, gardens=False, lamps=False,
    ),
    "campus": Style(
        block_m=118.0, bend=0.2, stubs=1, stub_end="end", roundabout=0.8, cycle=0.9, car_parks=4, pitches=2, squares=1,
        paths=8, zebra=0.5, half_width_m=(3.4, 2.8), pavement_m=(3.0, 2.4), verges_m=(1.2, 2.4),
        bay_chance=(0.5, 0.6), house_length_m=(24.0, 46.0), house_depth_m=(14.0, 20.0),
        heights_m=(8.4, 11.2, 14.0, 5.6),
        setbacks_m=(7.0, 10.0), gaps_m=(14.0, 20.0), tree_area_m2=170.0, tree_radius_m=(1.6, 3.6),
        tree_height_m=(5.0, 11.0), roofs=("flat", "flat", "flat", "hip"), shop_chance=0.0, border_chance=0.12,
        people_per_100m=4.0, vehicles_per_100m=0.3,
    ),
}  # fmt: skip
NAMES: tuple[str, ...] = get_args(StyleName)
