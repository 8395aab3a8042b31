"""The training loop: from a prepared corpus and a configuration to a run with its checkpoints."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cslr_cli.checkpoint import Checkpoint, CorpusOrigin, load_checkpoint, save_checkpoint
from cslr_cli.config import Config
from cslr_cli.data.dataset import Batch, ClipDataset, ClipKey, Loader, target_shortfall, training_batches
from cslr_cli.data.manifest import PreparedCorpus
from cslr_cli.data.sample import Sample
from cslr_cli.data.transforms import crop_room
from cslr_cli.errors import ConfigError, DataError
from cslr_cli.evaluation import Evaluator
from cslr_cli.model.device import autocast, computing_threads, memory_told, precision_name, resolve_precision
from cslr_cli.model.losses import Targets, weighted_loss
from cslr_cli.model.networks import build_network, temporal_plan
from cslr_cli.model.pretrained import load_imagenet_weights
from cslr_cli.progress import Progress, ProgressCallback, no_progress
from cslr_cli.training.schedule import learning_rate
from cslr_cli.training.state import Record, TrainingState
from cslr_cli.training.tracking import LOGGER, RunFolder

_MEMORY_ADVICE = (
    "set a smaller training.batch_size or data.max_clip_frames, training.group_by_length=true, or --precision bf16;\n"
    "--resume goes on with a run's own configuration: change it in its config.yaml"
)


@dataclass(frozen=True)
class TrainingResult:
    """What a training made.

    Attributes:
        run: its folder.
        history: a record for each epoch, as in `metrics.jsonl`.
    """

    run: RunFolder
    history: tuple[Record, ...]

    @property
    def best(self) -> Record:
        """The record of the epoch with the lowest WER on dev."""
        return min((record for record in self.history if record["wer"] is not None), key=lambda r: float(r["wer"]))


def train(
    config: Config,
    run_path: Path,
    *,
    device: torch.device,
    resume: bool = False,
    progress: ProgressCallback = no_progress,
    on_epoch: Callable[[Record], None] = lambda record: None,
) -> TrainingResult:
    """Train a network as a configuration says.

    After each epoch `last.pt` is whole and has all that is needed to go on; `best.pt` is the epoch
    with the lowest WER on dev. A training that was stopped and resumed ends at the same weights as
    one that was not (on a CPU, with as many threads).

    Args:
        config: the whole recipe; in a resumed training, that of the run.
        run_path: the run's folder: a new one, or with `resume` an existing one.
        device: where to compute.
        resume: go on from the run's `last.pt`.
        progress: is told of each step.
        on_epoch: is told of each finished epoch.

    Raises:
        UsageError: the folder is there already, or there is nothing to resume.
        DataError: the corpus cannot be read, or differs from the one that the run began with.
        CheckpointError: the run's `last.pt` cannot be read or written.
    """
    if resume:
        run = RunFolder.existing(run_path)
    else:
        RunFolder.check_new(run_path)  # before the work of putting everything together
    course = _Course(config, device, progress)
    if resume:
        course.resume(run)
    else:
        course.load_start_weights()
        run = RunFolder.create(run_path, config)
    with run.logging(), computing_threads(config.training.num_threads):
        course.log_start()
        for epoch in range(course.state.epoch + 1, config.training.epochs + 1):
            record = course.run_epoch(epoch)
            course.save(run, record)
            on_epoch(record)
    return TrainingResult(run, tuple(course.state.history))


@dataclass
class _Sums:
    """What is counted over an epoch."""

    losses: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    grad_norm: float = 0.0
    steps: int = 0
    clips: int = 0
    waited: float = 0.0  # seconds without a batch to work on
    skipped: list[str] = field(default_factory=list)

    def means(self) -> dict[str, float]:
        steps = max(1, self.steps)
        return {**{name: total / steps for name, total in self.losses.items()}, "grad_norm": self.grad_norm / steps}


class _Course:
    """Everything that one training works with, put together once."""

    def __init__(self, config: Config, device: torch.device, progress: ProgressCallback) -> None:
        self.config = config
        self.device = device
        self.progress = progress
        self.dtype = resolve_precision(config.training.precision, device)
        self.corpus = PreparedCorpus.open(config.corpus.folder)
        crop_room(self.corpus.frame_size, config.data.crop_size)  # now, not when the first clip is read
        self.samples = _training_samples(self.corpus, config)
        self.vocabulary = self.corpus.vocabulary
        self.state = self._fresh_state()
        plan = self.state.network.plan
        self.batches = {
            epoch: _epoch_batches(self.samples, config, epoch) for epoch in range(1, config.training.epochs + 1)
        }
        self.num_steps = sum(len(batches) for batches in self.batches.values())
        dataset = ClipDataset(self.corpus, self.samples, config.data, training=True, seed=config.training.seed)
        self.loader = Loader(dataset, plan, config.data.num_workers, pin_memory=device.type == "cuda")
        self.evaluator = Evaluator(
            self.corpus,
            "dev",
            config,
            self.vocabulary,
            plan=plan,
            device=device,
            dtype=self.dtype,
            num_workers=min(1, config.data.num_workers),
        )

    def _fresh_state(self) -> TrainingState:
        torch.manual_seed(self.config.training.seed)
        network = build_network(self.config.model, self.vocabulary.num_classes).to(self.device)
        settings = self.config.optimizer
        optimizer = torch.optim.Adam(network.parameters(), settings.lr, weight_decay=settings.weight_decay, fused=True)
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        return TrainingState(network.train(), optimizer, scaler)

    def load_start_weights(self) -> None:
        """ImageNet's, where the configuration wants them."""
        if self.config.model.pretrained:
            load_imagenet_weights(self.state.network.backbone, self.config.model.backbone_weights)

    def resume(self, run: RunFolder) -> None:
        """Go on from the run's last epoch; from the start, where it did not finish one."""
        if not run.last.is_file():
            self.load_start_weights()
            return
        checkpoint = load_checkpoint(run.last)
        self._check_same_corpus(checkpoint, run)
        self.state.restore(checkpoint, run.last)
        run.write_metrics(self.state.history)  # the last epoch's may have been cut off

    def _check_same_corpus(self, checkpoint: Checkpoint, run: RunFolder) -> None:
        then, now = checkpoint.corpus, CorpusOrigin.of(self.corpus)
        differing = [
            f"its {name} was {getattr(then, name)} and is {getattr(now, name)}"
            for name in ("name", "protocol", "fps", "frame_size", "interpolation", "aspect")
            if getattr(then, name) != getattr(now, name)
        ]
        if checkpoint.vocabulary.glosses != self.vocabulary.glosses:
            differing.append("its vocabulary has other glosses")
        if differing:
            raise DataError(
                f"{self.corpus.path}: not the corpus that {run.path} began with: {'; '.join(differing)}",
                "prepare it as it was, or start another run by --name",
            )

    def run_epoch(self, epoch: int) -> Record:
        """Train on every clip once, then evaluate on dev if this epoch is one for it."""
        started = time.perf_counter()
        sums = self._train_epoch(epoch)
        trained = time.perf_counter() - started
        self.state.epoch = epoch
        wer, conv_wer = None, None
        last = epoch == self.config.training.epochs
        if last or epoch % self.config.training.evaluation_interval == 0:
            result = self.evaluator(self.state.network, self.progress)
            wer, conv_wer = result.wer, result.scores["conv"].wer
        return {
            "epoch": epoch,
            "step": self.state.step,
            "lr": self.state.optimizer.param_groups[0]["lr"],
            **sums.means(),
            "wer": wer,
            "conv_wer": conv_wer,
            "clips_per_second": sums.clips / trained,
            "seconds": time.perf_counter() - started,
            "waiting_percent": 100 * sums.waited / trained,
            "skipped": sums.skipped,
        }

    def _train_epoch(self, epoch: int) -> _Sums:
        sums = _Sums()
        started = time.perf_counter()
        batches = self.loader.batches(self.batches[epoch])
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            sums.waited += time.perf_counter() - asked
            if batch is None:
                return sums
            with memory_told(_MEMORY_ADVICE):
                self._step(batch, epoch, sums)
            sums.clips += len(batch.sample_ids)
            self._tell(epoch, sums, time.perf_counter() - started)

    def _step(self, batch: Batch, epoch: int, sums: _Sums) -> None:
        """One step of the optimizer; skipped, and told, where loss or gradient is not finite."""
        state, settings = self.state, self.config.optimizer
        # Dropout draws from here: the same after an interruption as without one.
        seed = np.random.SeedSequence([self.config.training.seed, epoch, state.step]).generate_state(1)
        torch.manual_seed(int(seed[0]))
        rate = learning_rate(settings.lr, self.config.schedule, epoch=epoch, step=state.step, num_steps=self.num_steps)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        running_statistics = [buffer.clone() for buffer in state.network.buffers()]
        with autocast(self.device, self.dtype):
            output = state.network(batch.frames.to(self.device, non_blocking=True), batch.frame_lengths)
        targets = Targets(batch.targets, batch.target_lengths)
        loss = weighted_loss(output, targets, self.config.loss_weights(epoch))
        state.optimizer.zero_grad()
        state.scaler.scale(loss.total).backward()
        state.scaler.unscale_(state.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(state.network.parameters(), settings.clip_norm or math.inf)
        finite = bool(loss.total.isfinite() & norm.isfinite())
        if finite or state.scaler.is_enabled():
            state.scaler.step(state.optimizer)  # looks at the gradients itself in fp16
        state.scaler.update()
        state.step += 1
        if finite:
            sums.steps += 1
            sums.grad_norm += norm.item()
            sums.losses["loss"] += loss.total.item()
            for name, value in loss.parts.items():
                sums.losses[name] += value.item()
        else:
            # What batch norm has seen may be infinite as well, and would stay in its means for ever.
            for buffer, before in zip(state.network.buffers(), running_statistics, strict=True):
                buffer.copy_(before)
            sums.skipped += batch.sample_ids
            LOGGER.warning(
                "epoch %d, step %d: skipped, loss %s, gradient norm %s; clips: %s",
                *(epoch, state.step, loss.total.item(), norm.item(), ", ".join(batch.sample_ids)),
            )

    def _tell(self, epoch: int, sums: _Sums, seconds: float) -> None:
        figures: dict[str, float] = {"epoch": epoch, "epochs": self.config.training.epochs}
        if sums.steps:
            figures["loss"] = sums.losses["loss"] / sums.steps
        if self.state.best_wer is not None:
            figures["best_wer"] = self.state.best_wer
        figures["clips_per_second"] = sums.clips / seconds
        if sums.skipped:
            figures["skipped"] = len(sums.skipped)
        self.progress(Progress("train", self.state.step, self.num_steps, figures))

    def save(self, run: RunFolder, record: Record) -> None:
        """Write the checkpoints and the record; the best one first, so that resuming can redo both."""
        state = self.state
        is_best = record["wer"] is not None and (state.best_wer is None or record["wer"] < state.best_wer)
        state.history.append(record)
        origin = CorpusOrigin.of(self.corpus)
        if is_best:
            best = state.checkpoint(self.config, self.vocabulary, origin, resumable=False)
            save_checkpoint(best, run.best)
        save_checkpoint(state.checkpoint(self.config, self.vocabulary, origin, resumable=True), run.last)
        run.write_metrics(state.history)
        LOGGER.info("epoch %d: %s", record["epoch"], _line(record))

    def log_start(self) -> None:
        """Say what is trained on what, and which clips cannot be learned from."""
        parameters = sum(parameter.numel() for parameter in self.state.network.parameters())
        LOGGER.info(
            "%s with %d parameters, %s: %d clips, %d glosses, %d steps, %s on %s, from epoch %d",
            *(self.config.model.name, parameters, self.corpus.name, len(self.samples), len(self.vocabulary.glosses)),
            *(self.num_steps, precision_name(self.dtype), self.device, self.state.epoch + 1),
        )
        plan = self.state.network.plan
        short = [s.sample_id for s in self.samples if target_shortfall(s, self.config.data, plan)]
        if short:
            LOGGER.warning("%d clips have fewer steps than their glosses need: %s", len(short), ", ".join(short))


def _training_samples(corpus: PreparedCorpus, config: Config) -> Sequence[Sample]:
    samples = corpus.samples("train")
    if not samples:
        raise DataError(f"{corpus.path}: the split train has no clip")
    shortest = temporal_plan(config.model).min_frames
    return [sample for sample in samples if sample.num_frames is None or sample.num_frames >= shortest]


def _epoch_batches(samples: Sequence[Sample], config: Config, epoch: int) -> list[list[ClipKey]]:
    """The clips of an epoch in their batches; only short ones in the first epochs, if configured."""
    settings = config.training
    lengths = {index: sample.num_frames or 0 for index, sample in enumerate(samples)}
    if epoch <= settings.short_first_epochs:
        lengths = {i: length for i, length in lengths.items() if len(samples[i].glosses) <= settings.short_glosses}
        if not lengths:
            raise ConfigError(f"training.short_glosses is {settings.short_glosses}: no training clip is so short")
    return training_batches(lengths, settings.batch_size, settings.seed, epoch, by_length=settings.group_by_length)


def _line(record: Record) -> str:
    def shown(value: Any) -> str:
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    return ", ".join(f"{name} {shown(value)}" for name, value in record.items() if name != "epoch")
