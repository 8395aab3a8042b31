"""The training loop: from a prepared corpus and a configuration to a run with its checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import torch

from cslr_cli.checkpoints.checkpoint import CorpusOrigin, load_checkpoint
from cslr_cli.config import Config
from cslr_cli.corpora.registry import open_prepared_corpus
from cslr_cli.dataset.clip_dataset import ClipDataset, ClipKey
from cslr_cli.dataset.collate import Batch
from cslr_cli.dataset.loader import Loader
from cslr_cli.evaluation import Evaluator, SplitResult
from cslr_cli.media.clip_plan import max_crop_offset
from cslr_cli.model.device import precision_name, resolve_precision, translate_out_of_memory, use_cpu_threads
from cslr_cli.model.network import build_network
from cslr_cli.progress import Progress, ProgressCallback, no_progress
from cslr_cli.training.averaging import MovingAverage
from cslr_cli.training.batches import (
    EpochBatches,
    Part,
    for_evaluation,
    order_number,
    parts_of,
    training_samples,
)
from cslr_cli.training.distributed.evaluation import SpreadEvaluator
from cslr_cli.training.distributed.interruption import AskedToEndError, Interruption
from cslr_cli.training.distributed.ranks import ALONE, Ranks
from cslr_cli.training.monitoring.divergence import Diagnostician, unfit_told
from cslr_cli.training.monitoring.epoch_record import EpochSums, Meter
from cslr_cli.training.monitoring.memory import memory_advice
from cslr_cli.training.monitoring.outline import Outline, TimeEstimate
from cslr_cli.training.monitoring.recorder import Recorder
from cslr_cli.training.monitoring.tensorboard import Board, check_board, open_board
from cslr_cli.training.run.folder import LOGGER, RunFolder, nothing_logged
from cslr_cli.training.run.resuming import changes_told, check_same_corpus, check_same_network
from cslr_cli.training.run.saving import Saver
from cslr_cli.training.run.state import Record, TrainingState
from cslr_cli.training.start_points import FrozenParts, start_from
from cslr_cli.training.step import Extent, Stepper

# Steps whose figures stay on a GPU before they are read: reading waits until it has done all it was given.
_STEPS_UNREAD = 16


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


@dataclass(frozen=True)
class Listener:
    """Who else is told what a training does.

    Attributes:
        note: of a remark that the user should see, one line or several.
        outline: at the start, of what is trained on what.
        estimate: after the first batches, how many seconds the training will take from its start.
    """

    note: Callable[[str], None] = lambda text: None
    outline: Callable[[Outline], None] = lambda outline: None
    estimate: Callable[[float], None] = lambda seconds: None


def train(
    config: Config,
    run_path: Path,
    *,
    device: torch.device,
    resume: bool = False,
    progress: ProgressCallback = no_progress,
    on_epoch: Callable[[Record], None] = lambda record: None,
    listener: Listener = Listener(),
    ranks: Ranks = ALONE,
) -> TrainingResult:
    """Train a network as a configuration says.

    After each epoch, and every `training.save_minutes` within one, `last.pt` is whole and has all that
    is needed to go on; `best.pt` is the epoch with the lowest WER on dev. A training that was stopped
    and resumed ends at the same weights as one that was not (on a CPU, with as many threads).

    Args:
        config: the whole recipe; in a resumed training, that of the run.
        run_path: the run's folder: a new one, or with `resume` an existing one.
        device: where to compute.
        resume: go on from the run's `last.pt`.
        progress: is told of each step.
        on_epoch: is told of each finished epoch.
        listener: is told what else there is to tell.
        ranks: the processes that train together; each calls this with its own device, and all with the
            same of the rest. Only the first writes.

    Raises:
        UsageError: the folder is there already, or there is nothing to resume; or the batches cannot be
            shared between the ranks.
        DataError: the corpus cannot be read, or differs from the one that the run began with.
        CheckpointError: the run's `last.pt` cannot be read, or at the end of the training not be written.
        TrainingError: too many steps in a row had no finite loss; or another rank has ended.
        AskedToEndError: SIGTERM or SIGUSR1 came; all is saved.
    """
    check_board(config.training.track)
    if resume:
        run = RunFolder.existing(run_path)
    else:
        RunFolder.check_new(run_path)  # before the work of putting everything together
        ranks.wait()
    course = _Course(config, device, ranks, progress, listener)
    with ExitStack() as stack:
        if resume:
            if ranks.is_first:
                run.remove_unfinished()
            course.resume(run)
        else:
            course.load_start_weights()
            run = RunFolder.create(run_path, course.config) if ranks.is_first else RunFolder(run_path)
        board = Board()
        stack.enter_context(run.logging() if ranks.is_first else nothing_logged())
        if ranks.is_first:
            board = stack.enter_context(open_board(config.training.track, run.path / "tensorboard", course.state.step))
        stack.enter_context(use_cpu_threads(config.training.num_threads))
        stack.enter_context(course.interruption.watched())
        stack.callback(course.evaluator.close)
        course.begin(run, board)
        for epoch in range(course.state.epoch + 1, config.training.epochs + 1):
            on_epoch(course.run_epoch(epoch))
    return TrainingResult(run, tuple(course.state.history))


class _Course:
    """Everything that one training works with, put together once."""

    def __init__(
        self, config: Config, device: torch.device, ranks: Ranks, progress: ProgressCallback, listener: Listener
    ) -> None:
        self.corpus = open_prepared_corpus(config.corpus.folder)
        # `--corpus` says where it is; what it is called must not be what the recipe's corpus is called.
        self.config = config.with_corpus_name(self.corpus.name)
        self.device = device
        self.ranks = ranks
        self.progress = progress
        self.listener = listener
        self.dtype = resolve_precision(config.training.precision, device)
        max_crop_offset(self.corpus.frame_size, config.data.crop_size)  # now, not when the first clip is read
        self.samples = training_samples(self.corpus, config)
        self.vocabulary = self.corpus.vocabulary
        self.state = self._fresh_state()
        plan = self.state.network.plan
        self.batches = EpochBatches(self.samples, config, plan, ranks.world_size)
        dataset = ClipDataset(self.corpus, self.samples, config.data, training=True, seed=config.training.seed)
        self.loader = Loader(dataset, plan, config.data.num_workers, pin_memory=device.type == "cuda")
        self.evaluator = Evaluator(
            self.corpus,
            "dev",
            for_evaluation(config, ranks.world_size),
            self.vocabulary,
            device=device,
            dtype=self.dtype,
            num_workers=min(1, config.data.num_workers),
        )
        self.meter = Meter(_STEPS_UNREAD if device.type == "cuda" else 1)
        self.diagnostician = Diagnostician(config.optimizer.lr)
        self.interruption = Interruption()
        self.changes = ""  # of the configuration, in a resumed training

    def _fresh_state(self) -> TrainingState:
        torch.manual_seed(self.config.training.seed)
        network = build_network(self.config.model, self.vocabulary.num_classes).to(self.device)
        network.backbone.checkpoint_activations = self.config.training.activation_checkpointing
        settings = self.config.optimizer
        self.frozen = FrozenParts(network, self.config.training.frozen)
        optimizer = torch.optim.Adam(self.frozen.trainable, settings.lr, weight_decay=settings.weight_decay, fused=True)
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        decay = self.config.training.ema_decay
        average = None if decay is None else MovingAverage(network, decay)
        return TrainingState(network.train(), optimizer, scaler, average=average)

    def load_start_weights(self) -> None:
        """A checkpoint's or ImageNet's, where the configuration wants them."""
        self.start = str(start_from(self.state.network, self.config, self.corpus))
        if self.state.average is not None:
            self.state.average.restart()

    def resume(self, run: RunFolder) -> None:
        """Go on from the run's last save; from the start, where there is none."""
        if not run.last.is_file():
            self.load_start_weights()
            return
        checkpoint = load_checkpoint(run.last)
        check_same_corpus(checkpoint, self.corpus, run.path)
        check_same_network(checkpoint.config, self.config, run.last)
        self.state.restore(checkpoint, run.last)
        self.start = f"{run.last}, after step {self.state.step:,}"
        self.changes = changes_told(checkpoint.config, self.config)
        if self.ranks.is_first:
            run.record_resumption(self.state.epoch)
            run.write_metrics(self.state.history)  # the last epoch's may have been cut off

    def begin(self, run: RunFolder, board: Board) -> None:
        """Do what must wait until the weights are those to start from, and say what is trained on what."""
        self.run = run
        self.stepper = Stepper(
            self.state,
            self.config,
            device=self.device,
            dtype=self.dtype,
            num_steps=self.batches.num_steps,
            ranks=self.ranks,
        )
        self.saver = Saver(run, self.config, self.vocabulary, CorpusOrigin.from_corpus(self.corpus), self._note)
        self.recorder = Recorder(run, self.corpus, board, self._note)
        self._tell_start()
        if self.changes:
            self._note(f"the configuration has changed since the last save: {self.changes}")

    def run_epoch(self, epoch: int) -> Record:
        """Train on every clip once, evaluate on dev if this epoch is one for it, and save."""
        sums = self._train_epoch(epoch)
        started = time.perf_counter()
        result = self._evaluated(epoch)
        record = {
            "epoch": epoch,
            "step": self.state.step,
            "lr": self.state.optimizer.param_groups[0]["lr"],
            **sums.means(),
            "wer": None if result is None else result.wer,
            "conv_wer": None if result is None else result.scores["conv"].wer,
            "clips_per_second": sums.clips / sums.seconds,
            "seconds": sums.seconds + time.perf_counter() - started,
            "waiting_percent": 100 * sums.waited / sums.seconds,
            "skipped": sums.skipped,
        }
        self._finish(record, result)
        return record

    def _finish(self, record: Record, result: SplitResult | None) -> None:
        """Close an epoch with its record."""
        state = self.state
        is_best = record["wer"] is not None and (state.best_wer is None or record["wer"] < state.best_wer)
        state.history.append(record)
        state.epoch, state.unfinished = record["epoch"], None
        if self.ranks.is_first:  # what resuming does again, before what it goes on from
            self.recorder.epoch(state.history, result, is_best=is_best)
            self.saver.finished_epoch(state, is_best=is_best)
        LOGGER.info("epoch %d: %s", record["epoch"], _line(record))

    def _train_epoch(self, epoch: int) -> EpochSums:
        batches = self.batches.of_epoch(epoch)
        sums = self.state.unfinished = self._begun(epoch, batches)
        self.frozen.hold()
        before, started = sums.seconds, time.perf_counter()
        ranks = self.ranks
        remaining = batches[sums.batches :]
        shares = [parts_of(b, self.config.training.accumulation, ranks.rank, ranks.world_size) for b in remaining]
        loaded = self.loader.batches([list(part.keys) for parts in shares for part in parts])
        for keys, parts in zip(remaining, shares, strict=True):
            asked = time.perf_counter()
            read = list(islice(loaded, len(parts)))
            sums.waited += time.perf_counter() - asked
            self._step(epoch, keys, parts, read)
            sums.batches += 1
            sums.clips += len(keys)
            sums.seconds = before + time.perf_counter() - started
            self.estimate.batch(self.batches.frames(keys))
            if self.meter.is_full or sums.batches == len(batches):
                self._read_meter()
            self._tell(epoch, sums)
            self._save_if_due()
        return sums

    def _begun(self, epoch: int, batches: Sequence[Sequence[ClipKey]]) -> EpochSums:
        """What an interrupted training has counted of this epoch already; nothing, of a new one."""
        order, unfinished = order_number(batches), self.state.unfinished
        if unfinished is not None and unfinished.order == order:
            return unfinished
        if unfinished is not None:
            self._note(f"epoch {epoch} begins again: its batches are not those that it was interrupted in")
        return EpochSums(order)

    def _step(self, epoch: int, keys: Sequence[ClipKey], parts: Sequence[Part], read: Sequence[Batch]) -> None:
        """One step of the optimizer; or the end, where some rank has been asked for it."""
        sized = [
            (batch, self.stepper.extent(batch, counts=part.counts)) for batch, part in zip(read, parts, strict=True)
        ]
        mine = [(extent.clips, extent.rows, extent.unfit) for _, extent in sized]
        *whole, asked_to_end = self.ranks.sum([*map(sum, zip(*mine, strict=True)), float(self.interruption.came)])
        if asked_to_end:
            self._end_interrupted()
        with translate_out_of_memory(memory_advice(self.config, self.device, self.run.path)):
            figures = self.stepper(sized, Extent(*whole), epoch)
            if self.state.average is not None:
                self.state.average.update()
        self.meter.add(
            figures,
            epoch=epoch,
            step=self.state.step,
            lr=self.state.optimizer.param_groups[0]["lr"],
            sample_ids=tuple(self.samples[key.index].sample_id for key in keys),
            unfit=int(whole[2]),
        )

    def _read_meter(self) -> None:
        """Count the steps since the last reading; name those that were skipped, and end where they are too many."""
        assert self.state.unfinished is not None  # an epoch is on
        scaler = self.state.scaler
        for step in self.meter.read():
            self.state.unfinished.add(step)
            self.recorder.step(step)
            if not step.finite:
                LOGGER.warning(
                    "epoch %d, step %d: skipped, loss %s, gradient norm %s; clips: %s",
                    *(step.epoch, step.step, step.losses["loss"], step.grad_norm, ", ".join(step.sample_ids)),
                )
            self.diagnostician.see(step, scaler.get_scale() if scaler.is_enabled() and not step.finite else None)

    def _tell(self, epoch: int, sums: EpochSums) -> None:
        figures: dict[str, float] = {"epoch": epoch, "epochs": self.config.training.epochs}
        if sums.steps:
            figures["loss"] = sums.losses["loss"] / sums.steps
        if self.state.best_wer is not None:
            figures["best_wer"] = self.state.best_wer
        figures["clips_per_second"] = sums.clips / sums.seconds
        if sums.skipped:
            figures["skipped"] = len(sums.skipped)
        self.progress(Progress("train", self.state.step, self.batches.num_steps, figures))

    def _save_if_due(self) -> None:
        if self.ranks.is_first and self.saver.is_due:
            self._read_meter()
            self.saver.within_epoch(self.state)

    def _end_interrupted(self) -> NoReturn:
        """Save where the training stands, and end it; to be called by all ranks.

        Raises:
            AskedToEndError: always.
        """
        self._read_meter()
        if self.ranks.is_first:
            self.saver.within_epoch(self.state, must=True)
        # All together: whoever started the ranks gives them only so long once the first of them has ended.
        reasons = self.ranks.gather(self.interruption.reason)
        by = reasons[self.ranks.rank] or f"{next(filter(None, reasons), 'a signal')} to another process"
        raise AskedToEndError(
            f"ended by {by} in epoch {self.state.epoch + 1}, after step {self.state.step}; all is saved",
            f"go on with: cslr train --resume {self.run.path}",
        )

    def _evaluated(self, epoch: int) -> SplitResult | None:
        """Dev, recognised by all ranks together and scored, if this epoch is one for it."""
        if not self._is_evaluated(epoch):
            return None
        with self.state.to_be_used():
            result = SpreadEvaluator(self.evaluator, self.ranks, self.interruption)(self.state.network, self.progress)
        if result is None:
            self._end_interrupted()
        return result

    def _tell_start(self) -> None:
        """Say what is trained on what, and which clips cannot be learned from; begin to watch the time."""
        outline = self._outline()
        LOGGER.info("%s", "; ".join(f"{about}: {what}" for about, what in outline.rows))
        if self.ranks.is_first:
            self.listener.outline(outline)
        begun = self.state.unfinished
        frames = self.batches.frames_to_come(self.state.epoch, 0 if begun is None else begun.batches)
        self.estimate = TimeEstimate(frames, self._evaluated_frames(), self._tell_estimate)
        plan = self.state.network.plan
        short = [s.sample_id for s in self.samples if s.missing_steps(plan, self.config.data.frame_interval)]
        if short:
            LOGGER.warning("%d clips have fewer steps than their glosses need: %s", len(short), ", ".join(short))
            if self.ranks.is_first:
                self.listener.note(unfit_told(short))

    def _outline(self) -> Outline:
        state, settings, devices = self.state, self.config.training, self.ranks.world_size
        return Outline(
            network=self.config.model.name,
            parameters=sum(parameter.numel() for parameter in state.network.parameters()),
            trainable=sum(parameter.numel() for parameter in self.frozen.trainable),
            start=self.start,
            corpus=self.corpus.name,
            glosses=len(self.vocabulary.glosses),
            train_clips=len(self.samples),
            dev_clips=len(self.evaluator.samples),
            batches=self.batches.num_batches(settings.epochs),
            epochs=settings.epochs,
            finished_epochs=state.epoch,
            device=self._device_name if devices == 1 else f"{devices} × {self._device_name}",
            precision=precision_name(self.dtype),
        )

    @property
    def _device_name(self) -> str:
        """What the table at the start calls the device."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else str(self.device)

    def _evaluated_frames(self) -> int:
        """Frames of all that is evaluated from here to the end."""
        epochs = range(self.state.epoch + 1, self.config.training.epochs + 1)
        evaluations = sum(map(self._is_evaluated, epochs))
        return evaluations * sum(sample.num_frames or 1 for sample in self.evaluator.samples)

    def _is_evaluated(self, epoch: int) -> bool:
        """On dev: every so many epochs, and at the end."""
        settings = self.config.training
        return epoch == settings.epochs or epoch % settings.evaluation_interval == 0

    def _tell_estimate(self, seconds: float) -> None:
        LOGGER.info("the training will take about %d minutes", round(seconds / 60))
        if self.ranks.is_first:
            self.listener.estimate(seconds)

    def _note(self, text: str) -> None:
        LOGGER.warning("%s", text)
        if self.ranks.is_first:
            self.listener.note(text)


def _line(record: Record) -> str:
    def shown(value: Any) -> str:
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    return ", ".join(f"{name} {shown(value)}" for name, value in record.items() if name != "epoch")
