# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Time and memory of every learned matcher in one table, on the sizes of a small model and on the published ones.

Weights are random: they change neither. Published sizes of FG², Loc² and ViewBridge start from backbone tokens, since
all of them share the frozen ViT-L; GridLoc and the small models include their backbones. Each case runs in a process
of its own, because allocators keep what earlier calls took. What a whole frame costs beside the pass of the ViT-L over
the ground image is measured within each frame, as one ratio: what else the machine does then meets both.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cvloc_ros.matching.fg2 import model as fg2
from cvloc_ros.matching.fg2.decode import draw
from cvloc_ros.matching.fg2.network import Fg2Network, GroundTokens
from cvloc_ros.matching.fg2.settings import VARIANTS as FG2
from cvloc_ros.matching.fg2.settings import Fg2Settings
from cvloc_ros.matching.gridloc import model as gridloc
from cvloc_ros.matching.gridloc.settings import VARIANTS as GRIDLOC
from cvloc_ros.matching.layers import dinov2
from cvloc_ros.matching.layers.backbone import ConvBackbone, FrozenBackbone, fast_dtype
from cvloc_ros.matching.layers.sampling import sample_matches
from cvloc_ros.matching.loc2.network import Loc2Network
from cvloc_ros.matching.registry import MATCHERS
from cvloc_ros.matching.viewbridge import model as viewbridge
from cvloc_ros.matching.viewbridge.network import ViewBridgeNetwork
from cvloc_ros.matching.viewbridge.settings import VARIANTS as VIEWBRIDGE
from cvloc_ros.matching.viewbridge.settings import ViewBridgeSettings

ROOT = Path(__file__).resolve().parents[1]
SIZES = ("small", "published")
_REPEATS = 3
_RATIOS = 3
_TOKENS = {"ground": (51, 102), "aerial": (45, 45)}
_SMALL = Fg2Settings(
    extent_m=40.0, cells=20, heights=5, ground_size=(128, 256), aerial_size=160, backbone="conv", channels=64,
    widths=(64, 32), rounds=2, projector_layers=1,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Case:
    """The two halves of one method: what is done once for an aerial image, and what for each frame; its parts."""

    aerial: Callable[[], Tensor]
    frame: Callable[[Tensor], Any]
    parts: tuple[nn.Module, ...]
    note: str


def run() -> list[dict[str, Any]]:
    """Measure; one row {name, unit, p50, p95, n, note} for time and memory of each method, size and half."""
    rows: list[dict[str, Any]] = []
    for size in SIZES:
        for method in MATCHERS:
            if method == "classical":
                continue
            call = f"from benchmarks import bench_learned; bench_learned.print_case({method!r}, {size!r})"
            done = subprocess.run([sys.executable, "-c", call], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
            rows += json.loads(done.stdout.splitlines()[-1])
    call = "from benchmarks import bench_learned; bench_learned.print_ratios()"
    done = subprocess.run([sys.executable, "-c", call], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    return [*rows, *json.loads(done.stdout.splitlines()[-1])]


def print_case(method: str, size: str) -> None:
    """Measure one case in this process; its rows are the last line of the output, as JSON."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
    torch.manual_seed(0)
    with torch.inference_mode():
        case = CASES[method](size, device)
        for part in case.parts:
            part.eval()
        before = _resident_mb(device)
        aerial = case.aerial()
        case.frame(aerial)
        peak = _peak_mb(device) - before
        halves: dict[str, Callable[[], Any]] = {"aerial half": case.aerial, "frame": lambda: case.frame(aerial)}
        timed = {name: sorted(_seconds(call, device) for _ in range(_REPEATS)) for name, call in halves.items()}
    count = sum(parameter.numel() for part in case.parts for parameter in part.parameters())
    note = f"{device.type}, batch 1, {count / 1e6:.1f} M parameters; {case.note}"
    rows = [_row(f"{method} {size}: {name}", "ms", [1e3 * value for value in values], note)
            for name, values in timed.items()]  # fmt: skip
    rows.append(_row(f"{method} {size}: peak memory", "MB", [peak], "both halves, above weights and inputs"))
    print(json.dumps(rows))


def print_ratios(repeats: int = _RATIOS) -> None:
    """Measure frames of the published sizes from images, the aerial half kept; rows as JSON in the last line."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
    torch.manual_seed(0)
    tokens = FrozenBackbone(dinov2.create("vitl14").to(device), dtype=fast_dtype(device))
    rows = []
    with torch.inference_mode():
        for variant in ("kitti", "vigor_known"):
            rests = {"fg2": _fg2_rest(FG2[variant], device), "loc2": _loc2_rest(device)}
            image = torch.rand(1, 3, *FG2[variant].ground_size, device=device)
            _frame(tokens, rests, image, device)  # warms up
            spent = [_frame(tokens, rests, image, device) for _ in range(repeats)]
            for number, method in enumerate(rests):
                ratios = sorted(1.0 + cost[1 + number] / cost[0] for cost in spent)
                alone = sorted(cost[0] for cost in spent)[repeats // 2]
                note = f"{device.type}, frame over backbone pass (ViT-L, fused attention, {1e3 * alone:.0f} ms)"
                rows.append(_row(f"{method} {variant}: frame / backbone", "x", ratios, note))
    print(json.dumps(rows))


def _frame(
    tokens: nn.Module, rests: dict[str, Callable[[Tensor], Any]], image: Tensor, device: torch.device
) -> list[float]:
    """Seconds of one backbone pass and of what each method does after it; CPU time where that is what is spent."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    parts: list[Callable[[Tensor], Any]] = [tokens, *rests.values()]
    spent, given = [], image
    for number, part in enumerate(parts):
        start = clock()
        out = part(given)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        spent.append(clock() - start)
        given = out if number == 0 else given
    return spent


def _fg2_rest(settings: Fg2Settings, device: torch.device) -> Callable[[Tensor], Any]:
    network = Fg2Network(settings).to(device).eval()
    aerial = network.encode_aerial(torch.randn(1, settings.channels, 45, 45, device=device))

    def rest(tokens: Tensor) -> Any:
        probability = network.match(aerial, network.encode_ground([_ground(settings, tokens)]))[1]
        return draw(probability, settings.aerial_points(), settings, 1024, robust=False)

    return rest


def _loc2_rest(device: torch.device) -> Callable[[Tensor], Any]:
    network = Loc2Network().to(device).eval()
    aerial = network.describe_aerial(torch.randn(1, 1024, 45, 45, device=device))

    def rest(tokens: Tensor) -> Any:
        return sample_matches(network.compare(aerial, network.describe_ground(tokens), None)[1], 1024)

    return rest


def _fg2(size: str, device: torch.device) -> Case:
    settings = _SMALL if size == "small" else FG2["vigor_known"]
    model = fg2.create(_SMALL, "", device) if size == "small" else None
    network = model.network if model else Fg2Network(settings).to(device)
    tokens = _tokens(settings, model.backbone if model else None, device)

    def frame(aerial: Tensor) -> Any:
        return network.match(aerial, network.encode_ground([_ground(settings, tokens("ground"))]))

    parts = (network, model.backbone) if model else (network,)
    return Case(lambda: network.encode_aerial(tokens("aerial")), frame, parts, _note(settings, size))


def _viewbridge(size: str, device: torch.device) -> Case:
    given = ViewBridgeSettings(_SMALL) if size == "small" else VIEWBRIDGE["vigor"]
    model = viewbridge.create(given, "", device) if size == "small" else None
    network = model.network if model else ViewBridgeNetwork(given).to(device)
    tokens = _tokens(given.plane, model.backbone if model else None, device)

    def frame(aerial: Tensor) -> Any:
        return network.match(aerial, network.encode_ground([_ground(given.plane, tokens("ground"))]))

    parts = (network, model.backbone) if model else (network,)
    return Case(lambda: network.encode_aerial(tokens("aerial")), frame, parts, _note(given.plane, size))


def _loc2(size: str, device: torch.device) -> Case:
    backbone = ConvBackbone(_SMALL.channels) if size == "small" else None
    network = Loc2Network(backbone, widths=_SMALL.widths, layers=1, cells=20) if backbone else Loc2Network()
    network = network.to(device)
    settings = _SMALL if size == "small" else FG2["vigor_known"]
    tokens = _tokens(settings, backbone, device)

    def frame(aerial: Tensor) -> Any:
        return network.compare(aerial, network.describe_ground(tokens("ground")), None)

    return Case(lambda: network.describe_aerial(tokens("aerial")), frame, (network,), _note(settings, size))


def _gridloc(size: str, device: torch.device) -> Case:
    settings = GRIDLOC["vigor_yaw"]
    if size == "small":
        settings = dataclasses.replace(
            settings, backbone="conv", channels=64, width=64, ground_size=(128, 256), aerial_size=160, cells=10, depth=1
        )
    model = gridloc.create(settings, device)
    ground = torch.rand(1, 3, *settings.ground_size, device=device)
    aerial = torch.rand(1, 3, *[settings.aerial_size] * 2, device=device)

    def frame(described: Tensor) -> Any:
        return model.network.locate(described, model.network.encode_ground(model.ground(ground)))

    parts = (model.network, model.ground, model.aerial)
    note = f"from images of {settings.ground_size} and {settings.aerial_size}², {settings.yaw_bins} bins of yaw"
    return Case(lambda: model.network.encode_aerial(model.aerial(aerial)), frame, parts, note)


CASES: dict[str, Callable[[str, torch.device], Case]] = {
    "fg2": _fg2, "gridloc": _gridloc, "loc2": _loc2, "viewbridge": _viewbridge,
}  # fmt: skip


def _tokens(settings: Fg2Settings, backbone: nn.Module | None, device: torch.device) -> Callable[[str], Tensor]:
    """Tokens of either image: random ones, or made by a backbone at every call."""
    if backbone is None:
        ready = {kind: torch.randn(1, settings.channels, *grid, device=device) for kind, grid in _TOKENS.items()}
        return lambda kind: ready[kind]
    sizes = {"ground": settings.ground_size, "aerial": (settings.aerial_size,) * 2}
    images = {kind: torch.rand(1, 3, *size, device=device) for kind, size in sizes.items()}
    return lambda kind: backbone(images[kind])


def _ground(settings: Fg2Settings, tokens: Tensor) -> GroundTokens:
    cells = settings.ground_rows() * settings.cells
    draw = torch.Generator().manual_seed(0)
    reference = torch.rand(1, cells, settings.heights, 2, generator=draw).to(tokens.device)
    return GroundTokens(tokens, reference, torch.ones_like(reference[..., 0], dtype=torch.bool))


def _note(settings: Fg2Settings, size: str) -> str:
    if size == "small":
        return f"from images of {settings.ground_size} and {settings.aerial_size}²"
    return f"from ViT-L tokens of {settings.ground_size} and {settings.aerial_size}²"


def _seconds(call: Callable[[], Any], device: torch.device) -> float:
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _resident_mb(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device) / 1e6
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def _peak_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def _row(name: str, unit: str, values: list[float], note: str) -> dict[str, Any]:
    middle = values[len(values) // 2]
    return {"name": name, "unit": unit, "p50": middle, "p95": values[-1], "n": len(values), "note": note}
