# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The training loop: on a CPU, one GPU, or many processes through accelerate or torchrun.

Everything that is drawn depends on the seed and the step alone, and the learning rate on the step, so that a training
that was killed goes on from its last checkpoint as if nothing had happened.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from cvloc_ros.config import Config
from cvloc_ros.config import parse as parse_localizer
from cvloc_ros.datasets.catalogue import open_samples
from cvloc_ros.imaging.ground import BirdsEye
from cvloc_ros.training import checkpoint
from cvloc_ros.training.checkpoint import Stored, TrainingError
from cvloc_ros.training.config import Optimiser, Training
from cvloc_ros.training.curves import JUDGED, Curves, entries
from cvloc_ros.training.held_out import HeldOut
from cvloc_ros.training.judge import BEST_BY
from cvloc_ros.training.loader import Examples, Loaded, load
from cvloc_ros.training.methods.method import Method, Trainee, create
from cvloc_ros.training.order import Order, Share
from cvloc_ros.training.transfer import take_over

_BEND = 0.01
_BAD_STEPS = 25
_FREE_TO_CHANGE = ("steps", "threads", "evaluate_every", "evaluate", "pictures", "save_every", "keep", "patience",
                   "log_every")  # fmt: skip


@dataclass(slots=True)
class Outcome:
    """How a training ended: steps done, why, the last evaluation and the best, samples that were passed over."""

    step: int
    ended: str
    metrics: dict[str, float] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)


class Progress:
    """What the loop tells while it runs; this one is silent."""

    def step(self, done: int, loss: float, samples_per_s: float) -> None:
        """Take a step."""

    def say(self, text: str) -> None:
        """Take a line."""


def train(
    config: Training,
    out: Path,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
    *,
    cpu: bool = False,
) -> Outcome:
    """Train until the last step, or until evaluations get no better, or until `stop` says so.

    A folder that holds a checkpoint of the same training is taken up where it stands.

    Args:
        config: the training.
        out: folder for checkpoints, the best weights, curves.
        progress: is told of steps; None: nobody.
        stop: asked after each step; the state is saved before the end.
        cpu: do not use a GPU.

    Raises:
        TrainingError: the folder holds another training, a checkpoint cannot be written, or losses are not finite.
        CvlocError: data, weights or settings cannot be used.
    """
    with _Session(config, out, progress or Progress(), cpu=cpu) as session:
        return session.run(stop or (lambda: False))


def rate(step: int, optimiser: Optimiser, steps: int) -> float:
    """Factor on the learning rate: up along a line, then down along a cosine to a hundredth."""
    if step < optimiser.warm_up:
        return (step + 1) / optimiser.warm_up
    if optimiser.schedule == "constant":
        return 1.0
    done = (step - optimiser.warm_up) / max(steps - optimiser.warm_up, 1)
    return _BEND + (1 - _BEND) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


class _Session:
    """One process of a training."""

    def __init__(self, config: Training, out: Path, progress: Progress, *, cpu: bool) -> None:
        from accelerate import Accelerator, DistributedDataParallelKwargs

        self._config, self._out = config, out
        if config.run.threads:
            torch.set_num_threads(config.run.threads)
        self._accelerator: Any = Accelerator(
            cpu=cpu, mixed_precision=config.run.precision,
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )  # fmt: skip
        self._processes, self._main = self._accelerator.num_processes, bool(self._accelerator.is_main_process)
        self._progress = progress if self._main else Progress()
        if config.run.batch % self._processes:
            msg = f"run.batch = {config.run.batch} must be a multiple of the {self._processes} processes"
            raise TrainingError(msg)
        self._localizer: Config = parse_localizer({**config.localizer})
        self._method: Method = create(config)
        self._resume_from = checkpoint.newest(out / "checkpoints")
        _check_same(config, self._resume_from)
        self._make_model()
        self._curves: Any = None
        self._evaluation = HeldOut(config, self._localizer)
        self._outcome = Outcome(self._first, "")

    def __enter__(self) -> _Session:
        if self._main:
            self._out.mkdir(parents=True, exist_ok=True)
            text = yaml.safe_dump(self._config.model_dump(), sort_keys=False)
            (self._out / "config.yaml").write_text(text, encoding="utf-8")
            self._curves = Curves(self._out, self._first)
            self._evaluation.recall(entries(self._out / JUDGED))
        return self

    def __exit__(self, *_: object) -> None:
        self._evaluation.close()
        if self._curves is not None:
            self._curves.__exit__(None, None, None)
        self._accelerator.end_training()
        # Its settings are those of the process; the next training has its own.
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001

    def run(self, stop: Callable[[], bool]) -> Outcome:
        """Train until all steps are done, it gets no better, or `stop` says so; `Outcome.ended` tells which.

        Raises:
            TrainingError: the losses are not finite any more.
        """
        run, outcome = self._config.run, self._outcome
        if self._first:
            self._progress.say(f"goes on from step {self._first}")
        outcome.ended = "all steps done"
        losses: list[dict[str, float]] = []
        began = time.perf_counter()
        bad = 0
        for step, loaded in enumerate(self._batches(), self._first):
            self._note_skipped(loaded)
            found = self._step(step, loaded)
            bad = 0 if math.isfinite(found["gradient"]) else bad + 1
            if bad >= _BAD_STEPS:
                slower = f"lower optimiser.rate = {self._config.optimiser.rate}"
                msg = f"losses of {bad} steps in a row are not finite; {slower}"
                raise TrainingError(msg)
            losses.append(found)
            outcome.step = step + 1
            if outcome.step % run.log_every == 0 or outcome.step == run.steps:
                speed = run.batch * len(losses) / (time.perf_counter() - began)
                self._log(step, losses, speed)
                losses, began = [], time.perf_counter()
            ended = outcome.step == run.steps
            asked = stop()
            if outcome.step % run.evaluate_every == 0 or ended:
                self._evaluate()
                began = time.perf_counter()
                if self._enough():
                    outcome.ended = f"{run.patience} evaluations without a better one"
                    break
            elif outcome.step % run.save_every == 0 or asked:
                self._save()
            if asked and not ended:
                outcome.ended = "stopped"
                break
        self._accelerator.wait_for_everyone()
        return outcome

    def _make_model(self) -> None:
        config = self._config
        torch.manual_seed(config.run.seed)
        self._trainee: Any = self._method.trainee(self._accelerator.device)
        if config.weights:
            self._method.load(self._trainee, config.weights)
        elif config.start_from:
            count = take_over(self._trainee, config.start_from)
            self._progress.say(f"{count} of {len(self._trainee.state_dict())} tensors are those of {config.start_from}")
        if self._accelerator.device.type == "cuda" and self._processes > 1:
            convert: Any = torch.nn.SyncBatchNorm.convert_sync_batchnorm
            self._trainee = convert(self._trainee)
        self._optimiser = _optimiser(self._trainee, config.optimiser)
        self._first, self._average = 0, {}
        if config.run.average:
            self._average = {key: value.detach().clone() for key, value in self._trainee.state_dict().items()}
        if self._resume_from is not None:
            self._restore(self._resume_from)
        self._wrapped, self._stepper = self._accelerator.prepare(self._trainee, self._optimiser)

    def _restore(self, stored: Stored) -> None:
        held = checkpoint.unpack(stored.path / checkpoint.STATE)
        self._trainee.load_state_dict(held["trained"])
        device = self._accelerator.device
        self._average = {key: value.to(device) for key, value in held["average"].items()}
        checkpoint.restore_optimiser(self._optimiser, held["optimiser"])
        self._first = stored.step

    def _batches(self) -> Any:
        config, run = self._config, self._config.run
        examples = Examples(config.data, config.prior, config.augment, self._localizer, self._method.inputs, run.seed)
        if run.workers:
            probe = open_samples(config.data)
            count, streamed = len(probe), probe.streamed
            probe.close()
        else:
            count, streamed = len(examples.samples), examples.samples.streamed
        order = Order(count, run.batch, run.seed, streamed, max(run.workers, 1))
        share = Share(order, self._first, run.steps, self._accelerator.process_index, self._processes)
        return load(examples, share, run.workers, pin=self._accelerator.device.type == "cuda")

    def _step(self, step: int, loaded: Loaded) -> dict[str, float]:
        """Take one step of the optimiser; return the mean losses and the norm of the gradient."""
        config, accelerator = self._config, self._accelerator
        torch.manual_seed(hash((config.run.seed, step, accelerator.process_index)) % 2**63)
        self._wrapped.train()
        factor = rate(step, config.optimiser, config.run.steps)
        for group in self._optimiser.param_groups:
            group["lr"] = group["most"] * factor
        batch = _to(loaded.batch, accelerator.device)
        parts: dict[str, Tensor] = self._wrapped(batch)
        self._stepper.zero_grad()
        accelerator.backward(parts["total"])
        norm = accelerator.clip_grad_norm_(self._wrapped.parameters(), config.optimiser.clip or math.inf)
        size = float(norm)
        if math.isfinite(size):
            self._stepper.step()
            self._update_average(step)
        means = torch.stack([value.detach().float().mean() for value in parts.values()])
        means = accelerator.reduce(means, "mean")
        told = dict(zip(parts, means.tolist(), strict=True))
        return {**told, "gradient": size, "rate": config.optimiser.rate * factor}

    def _update_average(self, step: int) -> None:
        if not self._average:
            return
        # A young average forgets faster, or the random start would stay in it.
        kept = min(self._config.run.average, (1 + step) / (10 + step))
        with torch.no_grad():
            for key, value in self._trainee.state_dict().items():
                if value.is_floating_point():
                    self._average[key].lerp_(value.detach(), 1 - kept)
                else:
                    self._average[key].copy_(value)

    def _log(self, step: int, losses: list[dict[str, float]], speed: float) -> None:
        if not self._main:
            return
        means = {key: sum(entry[key] for entry in losses) / len(losses) for key in losses[0]}
        self._curves.losses(step + 1, {**means, "samples_per_s": round(speed, 2)})
        self._progress.step(step + 1, means["total"], speed)

    def _note_skipped(self, loaded: Loaded) -> None:
        for line in loaded.skipped:
            self._outcome.skipped[line] += 1
            if self._outcome.skipped[line] == 1:
                self._progress.say(f"passed over: {line}")

    def _evaluate(self) -> None:
        """Evaluate the averaged weights, save, and keep them if they are the best."""
        if self._main:
            outcome, step = self._outcome, self._outcome.step
            with self._averaged():
                self._trainee.eval()
                device = self._accelerator.device
                held_out = self._evaluation.batches(self._method.inputs)
                self._trainee.calibrate(_to(batch, device) for batch in held_out)
                matcher = self._method.matcher(self._trainee, self._localizer.matcher, device, BirdsEye())
                outcome.metrics = self._evaluation.run(
                    matcher, lambda name, rgb: self._curves.picture(step, name, rgb)
                )
                self._trainee.train()
            self._curves.judged(step, outcome.metrics)
            told = ", ".join(f"{key} {value:g}" for key, value in outcome.metrics.items())
            self._progress.say(f"step {step}: {told}")
            stored = self._save()
            best = _best(self._out / "best")
            if outcome.metrics and (not best or outcome.metrics[BEST_BY] < best[BEST_BY]):
                checkpoint.keep_best(stored, self._out / "best")
            outcome.best = _best(self._out / "best")
        self._accelerator.wait_for_everyone()

    def _save(self) -> Any:
        if not self._main:
            return None
        outcome = self._outcome
        facts = {
            "method": self._config.method, "metrics": outcome.metrics, "config": self._config.model_dump(),
            "samples": outcome.step * self._config.run.batch, "skipped": sum(outcome.skipped.values()),
            "processes": self._processes, **checkpoint.circumstances(),
        }  # fmt: skip
        state = checkpoint.pack(self._optimiser, self._trainee.state_dict(), self._average)
        stored = checkpoint.write(self._out / "checkpoints", outcome.step, facts, self._save_weights, state)
        checkpoint.thin_out(self._out / "checkpoints", self._config.run.keep)
        return stored

    def _save_weights(self, path: Path) -> None:
        with self._averaged():
            self._method.save(self._trainee, path)

    def _averaged(self) -> Any:
        return _Swapped(self._trainee, self._average) if self._average else nullcontext()

    def _enough(self) -> bool:
        """Whether the last evaluations have brought nothing; the same answer in all processes."""
        patience = self._config.run.patience
        since = self._evaluation.since_best if self._main else 0
        told = torch.tensor(float(bool(patience) and since >= patience), device=self._accelerator.device)
        return bool(self._accelerator.reduce(told, "sum") > 0)


class _Swapped:
    """The averaged weights in the place of the others, for a while."""

    def __init__(self, trainee: Trainee, average: Mapping[str, Tensor]) -> None:
        self._trainee, self._average = trainee, average
        self._kept: dict[str, Tensor] = {}

    def __enter__(self) -> None:
        self._kept = {key: value.detach().clone() for key, value in self._trainee.state_dict().items()}
        self._trainee.load_state_dict(dict(self._average))

    def __exit__(self, *_: object) -> None:
        self._trainee.load_state_dict(self._kept)


def _optimiser(trainee: Trainee, settings: Optimiser) -> torch.optim.Optimizer:
    own, backbone = trainee.groups()
    groups = [
        {"params": params, "most": settings.rate * factor}
        for params, factor in ((own, 1.0), (backbone, settings.backbone_rate))
        if params
    ]
    if settings.name == "adam":
        return torch.optim.Adam(groups, lr=settings.rate)
    return torch.optim.AdamW(groups, lr=settings.rate, weight_decay=settings.weight_decay)


def _to(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: _to(value, device) for key, value in batch.items()}
    return [_to(value, device) for value in batch] if isinstance(batch, list) else batch


def _check_same(config: Training, stored: Stored | None) -> None:
    """Refuse to go on with a training of other settings.

    Raises:
        TrainingError: settings differ that change the weights or the order; each is named.
    """
    if stored is None:
        return
    now, then = (_flat(tree) for tree in (config.model_dump(), dict(stored.facts["config"])))
    free = {f"run.{name}" for name in _FREE_TO_CHANGE} | {key for key in now if key.startswith("validation.")}
    differ = sorted(key for key in {*now, *then} - free if now.get(key) != then.get(key))
    if differ:
        told = "; ".join(f"{key} is {now.get(key)!r}, was {then.get(key)!r}" for key in differ[:5])
        msg = f"{stored.path.parent.parent} holds another training ({told}); name another folder, or delete it"
        raise TrainingError(msg)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in json.loads(json.dumps(tree)).items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def _best(folder: Path) -> dict[str, float]:
    return dict(checkpoint.read(folder).facts["metrics"]) if (folder / checkpoint.FACTS).is_file() else {}
