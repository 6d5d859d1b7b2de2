# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""FG²: the direct form of lifting, one attention call for each height, against all heights at once; and RANSAC.

Both forms run in turn in the same process on the same weights; their outputs are compared, too.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cvloc_ros.matching.fg2.network import Fg2Network, GroundTokens, LiftingRound
from cvloc_ros.matching.fg2.projection import inside, panorama_reference, pinhole_reference
from cvloc_ros.matching.fg2.settings import VARIANTS
from cvloc_ros.matching.layers.attention import DeformableAttention, TokenGrid
from cvloc_ros.matching.layers.pose import RansacSettings, ransac

_K = ((715.7, 0.0, 604.7), (0.0, 700.4, 167.8), (0.0, 0.0, 1.0))
_REPEATS = 3
ROOT = Path(__file__).resolve().parents[1]


def run() -> list[dict[str, Any]]:
    """Measure; one row {name, unit, p50, p95, n, note} for each operation."""
    threads = torch.get_num_threads()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            rows = [row for case in ("kitti", "vigor_known") for row in _lifting(case, device)]
            return [*rows, *_ransac(device)]
    finally:
        torch.set_num_threads(threads)


def _lifting(case: str, device: torch.device) -> list[dict[str, Any]]:
    network, image = _network(case, device)
    network.lift([image])
    ours, direct, difference = [], [], 0.0
    for _ in range(_REPEATS):  # in turn, so that other work on the machine meets both
        plane, seconds = _timed(lambda: network.lift([image])[0], device)
        ours.append(seconds)
        other, seconds = _timed(lambda: _direct_lift(network, image), device)
        direct.append(seconds)
        difference = max(difference, float((plane - other).abs().max()))
    ratio = sorted(direct)[_REPEATS // 2] / sorted(ours)[_REPEATS // 2]
    note = f"{device.type}, batch 1; {ratio:.1f} times faster than direct, largest difference {difference:.0e}"
    peaks = [_peak_mb(case, form, device) for form in ("ours", "direct")]
    memory = f"{device.type}, in a process of its own, above what weights and inputs take"
    return [
        _row(f"fg2 {case} lifting, all heights at once", "ms", [1e3 * value for value in ours], note),
        _row(f"fg2 {case} lifting, direct form", "ms", [1e3 * value for value in direct], "one call for each height"),
        _row(f"fg2 {case} lifting, all heights at once: peak memory", "MB", [peaks[0]], memory),
        _row(f"fg2 {case} lifting, direct form: peak memory", "MB", [peaks[1]], memory),
    ]


def _ransac(device: torch.device) -> list[dict[str, Any]]:
    settings = VARIANTS["vigor_known"]
    probability = torch.rand(1, 1681, 1681, device=device) ** 8
    points = settings.aerial_points().to(device), settings.ground_points().to(device)

    def draw() -> Any:
        return ransac(probability, *points, RansacSettings(), to_aerial=False)

    times = [_timed(draw, device)[1] for _ in range(_REPEATS + 1)]
    return [_row("fg2 ransac", "ms", [1e3 * t for t in times[1:]], f"{device.type}, 20 x 100 hypotheses, 8192 matches")]


def _network(case: str, device: torch.device) -> tuple[Fg2Network, GroundTokens]:
    torch.manual_seed(0)
    network = Fg2Network(VARIANTS[case]).eval().to(device)
    for step in network.rounds:
        for attention in (step.self_attention, step.cross_attention):  # type: ignore[union-attr]
            torch.nn.init.normal_(attention.sampling_offsets.weight, std=0.02)  # type: ignore[union-attr, arg-type]
    volume = network.settings.volume()
    if case == "kitti":
        reference = pinhole_reference(volume, torch.tensor(_K)[None], network.settings.ground_size)
    else:
        reference = panorama_reference(volume)[None]
    rows, cols = (size // 14 for size in network.settings.ground_size)
    tokens = torch.randn(1, 1024, rows, cols, device=device)
    return network, GroundTokens(tokens, reference.to(device), inside(reference).to(device))


def _direct_lift(network: Fg2Network, image: GroundTokens) -> Tensor:
    """As published: a whole attention for each height, then the softmax over the heights."""
    value = image.tokens.flatten(2).transpose(1, 2)
    grid = TokenGrid(*image.tokens.shape[2:])
    own = TokenGrid(network.settings.ground_rows(), network.settings.cells)
    plane = network.queries.flatten(0, 1)[None]
    for number in range(len(network.rounds)):
        step: LiftingRound = network.rounds[number]  # type: ignore[assignment]
        plane = step.norm1(_attention(step.self_attention, plane, plane, own, network.self_reference) + plane)
        each = torch.stack(
            [
                _attention(step.cross_attention, plane, value, grid, image.reference[:, :, k])
                for k in range(network.settings.heights)
            ],
            2,
        )
        plane = step.norm2((step.scorer(each).softmax(2) * each).sum(2) + plane)
        first: LiftingRound = network.rounds[0]  # type: ignore[assignment]
        plane = step.norm3((first if number == 3 else step).ffn(plane))
    return plane


def _attention(part: DeformableAttention, query: Tensor, value: Tensor, grid: TokenGrid, reference: Tensor) -> Tensor:
    """Deformable attention by its definition, with grid_sample."""
    batch, count, channels = query.shape
    maps = part.value_proj(value).view(batch, grid.rows, grid.cols, part.heads, -1).permute(0, 3, 4, 1, 2).flatten(0, 1)
    offset = part.sampling_offsets(query).view(batch, count, part.heads, part.points, 2)
    share = part.attention_weights(query).view(batch, count, part.heads, part.points).softmax(-1)
    location = reference[:, :, None, None] + offset / query.new_tensor([grid.cols, grid.rows])
    where = (2.0 * location - 1.0).transpose(1, 2).flatten(0, 1)
    sampled = functional.grid_sample(maps, where, align_corners=False).view(batch, part.heads, -1, count, part.points)
    mixed = (sampled * share.transpose(1, 2)[:, :, None]).sum(-1).permute(0, 3, 1, 2).reshape(batch, count, channels)
    out: Tensor = part.output_proj(mixed) + query
    return out


def _timed(call: Callable[[], Any], device: torch.device) -> tuple[Any, float]:
    start = time.perf_counter()
    result = call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return result, time.perf_counter() - start


def _peak_mb(case: str, form: str, device: torch.device) -> float:
    """Memory in MB that one lifting takes; a fresh process, as allocators keep what earlier calls took."""
    call = f"from benchmarks import bench_fg2; bench_fg2.print_peak({case!r}, {form!r}, {str(device)!r})"
    found = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, check=True, cwd=ROOT)
    return float(found.stdout.split()[-1])


def print_peak(case: str, form: str, device_name: str) -> None:
    """Lift once and print the memory that it took beyond weights and inputs, MB."""
    device = torch.device(device_name)
    torch.set_num_threads(1)
    with torch.inference_mode():
        network, image = _network(case, device)
        lift = (lambda: network.lift([image])) if form == "ours" else (lambda: _direct_lift(network, image))
        if device.type == "cuda":
            before = torch.cuda.memory_allocated(device) / 1e6
            torch.cuda.reset_peak_memory_stats(device)
            lift()
            print(torch.cuda.max_memory_allocated(device) / 1e6 - before)
            return
        before = _status_mb("VmRSS")
        lift()
        print(_status_mb("VmHWM") - before)


def _status_mb(name: str) -> float:
    """One size of this process; unlike ru_maxrss these do not begin with that of the process that started it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(float(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name))


def _row(name: str, unit: str, values: list[float], note: str) -> dict[str, Any]:
    ordered = sorted(values)
    last = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return {"name": name, "unit": unit, "p50": ordered[len(ordered) // 2], "p95": last, "n": len(values), "note": note}
