"""The training loop: from a prepared corpus and a configuration to a run with its checkpoints."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import torch

from cslr_cli.config import Config
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.evaluation import Evaluator, SplitResult
from cslr_cli.model.device import precision_name, resolve_precision, translate_out_of_memory, use_cpu_threads
from cslr_cli.training.batches import (
    ClipKeys,
    EpochBatches,
    LoadedBatch,
    batches_checksum,
    evaluation_config,
    load_batches,
    open_training_corpus,
    scale_crop_to_corpus,
    training_loader,
    training_samples,
    unfit_clips,
)
from cslr_cli.training.distributed.evaluation import evaluate_with_all_ranks
from cslr_cli.training.distributed.interruption import CTRL_C, Interruption, StopRequestedError, stopped_error
from cslr_cli.training.distributed.ranks import SINGLE_PROCESS, Ranks
from cslr_cli.training.monitoring.divergence import DivergenceMonitor, describe_unfit_clips, memory_advice
from cslr_cli.training.monitoring.epoch_record import EpochRecord, EpochSums
from cslr_cli.training.monitoring.observer import (
    NO_OBSERVER,
    LogObserver,
    Observers,
    TimeEstimate,
    TrainingObserver,
    TrainingOutline,
)
from cslr_cli.training.monitoring.tensorboard import check_tensorboard, open_tensorboard
from cslr_cli.training.run.folder import RunFolder
from cslr_cli.training.run.resuming import resume_state
from cslr_cli.training.run.saving import (
    CheckpointSaver,
    RunFilesObserver,
    create_run,
    resume_hint,
    write_augmentations,
)
from cslr_cli.training.run.state import TrainingState
from cslr_cli.training.start_points import load_start_weights, set_training_mode, trained_parameters
from cslr_cli.training.step import BatchCounts, PendingFigures, Stepper

# Steps whose figures stay on a GPU before they are read: reading waits until it has done all its work.
_UNREAD_STEPS = 16


# Note after Ctrl-C in a long step.
_STOPPING = "stopping after this step, with a save; press Ctrl-C again to stop at once without one"


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training.

    Attributes:
        run: folder of the run.
        history: records of the epochs, as in `metrics.jsonl`.
    """

    run: RunFolder
    history: tuple[EpochRecord, ...]

    @property
    def best(self) -> EpochRecord:
        """The record of the epoch with the lowest WER on dev."""
        evaluated = [(record.wer, record.epoch, record) for record in self.history if record.wer is not None]
        return min(evaluated)[2]


def train(
    config: Config,
    run_path: Path,
    *,
    device: torch.device,
    resume: bool = False,
    observer: TrainingObserver = NO_OBSERVER,
    ranks: Ranks = SINGLE_PROCESS,
    corpus: PreparedCorpus | None = None,
) -> TrainingResult:
    """Train a network.

    `best.pt` has the weights of the epoch with the lowest WER on dev. `last.pt`, saved after each epoch and every
    `training.save_minutes`, has everything that a resume needs. A training that was stopped and resumed ends with the
    same weights as one that was not (on a CPU, with the same number of threads).

    Example:
        >>> from pathlib import Path
        >>> import torch
        >>> from cslr_cli import train
        >>> from cslr_cli.config import load_config
        >>> config = load_config("runs/quickstart/config.yaml", ["training.epochs=2"])
        >>> result = train(config, Path("runs/short"), device=torch.device("cpu"))
        >>> print(f"{result.best.wer:.1f} % in epoch {result.best.epoch}")

    Args:
        config: configuration of the training; to resume, the configuration of the run.
        run_path: folder of the run: a new one, or with `resume` an existing one.
        device: device of the network.
        resume: whether to continue from the run's `last.pt`.
        observer: receiver of the reports of this process.
        ranks: processes that train together. Each calls this function with its own device and observer, and otherwise
            the same arguments. Only the first writes files.
        corpus: corpus of the configuration if it is open already; None to open it.

    Raises:
        UsageError: the folder of a new run exists, or that of a resumed run is not a run.
        ConfigError: the ranks cannot share the batches, or settings do not fit the corpus or the network.
        DataError: the corpus cannot be read, or differs from the corpus of the run.
        CheckpointError: `last.pt` cannot be read, or cannot be written at the end of the training.
        LockedError: another process trains the run.
        TrainingError: too many steps in a row were skipped, or another rank has ended.
        StoppedBySignalError: Ctrl-C, SIGTERM or SIGUSR1 has stopped the training; everything is saved.
    """
    check_tensorboard(config.training.track)
    with ExitStack() as stack:
        if not resume:
            RunFolder.check_new(run_path)  # before the work of setting up
            ranks.barrier()
        elif ranks.is_first:
            stack.enter_context(RunFolder.existing(run_path).lock("cslr train"))
        trainer = Trainer(config, device, ranks, is_new=not resume, corpus=corpus)
        run, changes = RunFolder(run_path), ""
        if resume:
            run = RunFolder.existing(run_path)
            changes = trainer.resume(run)
        else:
            trainer.load_start_weights()
            if ranks.is_first:
                create_run(run_path, trainer.config, trainer.corpus)
                stack.enter_context(run.lock("cslr train"))
        if ranks.is_first:
            stack.enter_context(run.logging())
            tensorboard = stack.enter_context(
                open_tensorboard(config.training.track, run.path / "tensorboard", trainer.state.step)
            )
            observer = Observers(LogObserver(), RunFilesObserver(run, trainer.corpus), tensorboard, observer)
        stack.enter_context(resume_hint(run))
        stack.enter_context(use_cpu_threads(config.training.num_threads))
        stack.enter_context(trainer.interruption.watch_signals(lambda: observer.on_warning(_STOPPING)))
        stack.callback(trainer.evaluator.close)
        trainer.start(run, observer)
        if changes:
            observer.on_warning(f"the configuration has changed since the last save: {changes}")
        if ranks.is_first and not resume:
            with suppress(StopRequestedError), trainer.interruption.raise_on_request():
                write_augmentations(run, trainer.loader.dataset, trainer.batches, observer)

        for epoch in range(trainer.state.epoch + 1, config.training.epochs + 1):
            sums = trainer.train_epoch(epoch)
            started = time.perf_counter()
            dev = trainer.evaluate(epoch)
            record = EpochRecord(
                epoch=epoch,
                step=trainer.state.step,
                lr=trainer.state.lr,
                losses=sums.mean_losses(),
                grad_norm=sums.mean_grad_norm(),
                wer=None if dev is None else dev.wer,
                conv_wer=None if dev is None else dev.scores["conv"].wer,
                clips_per_second=sums.clips / sums.seconds,
                seconds=sums.seconds + time.perf_counter() - started,
                waiting_percent=100 * sums.waited / sums.seconds,
                skipped_clips=tuple(sums.skipped_clips),
            )
            trainer.save(record, dev)
            observer.on_epoch(record)
    return TrainingResult(run, tuple(trainer.state.history))


class Trainer:
    """The objects of one training, and the parts of an epoch.

    Args:
        config: configuration of the training.
        device: device of the network.
        ranks: processes of the training.
        is_new: whether the training is new, so that the crop is scaled to the corpus' frames.
        corpus: corpus of the training if it is open already; None to open the one of the configuration.
    """

    def __init__(
        self, config: Config, device: torch.device, ranks: Ranks, *, is_new: bool, corpus: PreparedCorpus | None = None
    ) -> None:
        self.corpus = corpus or open_training_corpus(config)
        # The configuration may name another corpus than the one that `--corpus` points to.
        config = config.with_corpus_name(self.corpus.name).with_relative_paths()
        self.crop_notes: list[str] = []
        if is_new:
            config, self.crop_notes = scale_crop_to_corpus(config, self.corpus)
        self.config = config
        self.device, self.ranks = device, ranks
        self.dtype = resolve_precision(config.training.precision, device)
        on_gpu = device.type == "cuda"
        self.samples = training_samples(self.corpus, config)
        self.state = TrainingState.create(self.config, self.corpus.vocabulary.num_classes, device, self.dtype)
        plan = self.state.network.plan
        self.batches = EpochBatches(self.samples, config, plan, ranks.world_size)
        self.loader = training_loader(self.corpus, self.samples, config, plan, pin_memory=on_gpu)
        self.evaluator = Evaluator(
            self.corpus,
            "dev",
            evaluation_config(config, ranks.world_size),
            self.corpus.vocabulary,
            device=device,
            dtype=self.dtype,
            num_workers=min(1, config.data.num_workers),
        )
        self.pending = PendingFigures(_UNREAD_STEPS if on_gpu else 1)
        self.divergence = DivergenceMonitor(config.optimizer.lr)
        self.interruption = Interruption()

    def load_start_weights(self) -> None:
        """Load the weights that a new training starts from."""
        self.start_point = str(load_start_weights(self.state.network, self.config, self.corpus))
        if self.state.average is not None:
            self.state.average.restart()

    def resume(self, run: RunFolder) -> str:
        """Restore the run's last save; returns the changes of the configuration since then, in one line."""
        if self.ranks.is_first:
            run.remove_unfinished()
        if not run.last.is_file():  # stopped before the first save
            self.load_start_weights()
            return ""
        changes = resume_state(run, self.state, self.config, self.corpus)
        self.start_point = f"{run.last}, after step {self.state.step:,}"
        if self.ranks.is_first:
            run.record_resumption(self.state.epoch)
            run.write_metrics(self.state.history)  # the last epoch's may have been cut off
        return changes

    def start(self, run: RunFolder, observer: TrainingObserver) -> None:
        """Prepare the first step, after the weights are loaded, and report the outline."""
        self.run, self.observer = run, observer
        self.stepper = Stepper(
            self.state,
            self.config,
            device=self.device,
            dtype=self.dtype,
            num_steps=self.batches.num_steps,
            ranks=self.ranks,
        )
        self.saver = CheckpointSaver(run, self.config, self.corpus, observer)
        observer.on_start(self._outline())
        batches_done = 0 if self.state.unfinished is None else self.state.unfinished.batches
        train_frames = self.batches.remaining_frames(self.state.epoch, batches_done)
        self.estimate = TimeEstimate(train_frames, self._remaining_evaluation_frames(), observer.on_estimate)
        for note in self.crop_notes:
            observer.on_warning(note)
        clips = unfit_clips(self.samples, self.config.data, self.state.network.plan)
        if clips:
            log_text = f"clips with fewer output steps than their glosses need ({len(clips)}): {', '.join(clips)}"
            observer.on_warning(describe_unfit_clips(clips), log_text)

    def train_epoch(self, epoch: int) -> EpochSums:
        """Train on each clip once, or on the rest of an interrupted epoch."""
        batches = self.batches.epoch_batches(epoch)
        sums = self.state.unfinished = self._resumed_sums(epoch, batches_checksum(batches))
        set_training_mode(self.state.network, self.config.training.frozen)
        seconds_before, started = sums.seconds, time.perf_counter()
        remaining = batches[sums.batches :]
        ranks, accumulation = self.ranks, self.config.training.accumulation
        loaded = load_batches(self.loader, remaining, accumulation, ranks.rank, ranks.world_size)
        for _ in remaining:
            waiting_since = time.perf_counter()
            batch = self._next_batch(loaded)
            sums.waited += time.perf_counter() - waiting_since
            keys = self._train_batch(batch, epoch)
            sums.batches += 1
            sums.clips += len(keys)
            sums.seconds = seconds_before + time.perf_counter() - started
            self.estimate.add_batch(self.batches.num_frames(keys))
            if self.pending.is_full or sums.batches == len(batches):
                self._read_figures()
            self.observer.on_progress(self.state.progress(self.config.training.epochs, self.batches.num_steps))
            if ranks.is_first and self.saver.is_due:
                self._read_figures()
                self.saver.save_within_epoch(self.state)
        return sums

    def evaluate(self, epoch: int) -> SplitResult | None:
        """Recognise dev with all ranks and score it; None if this epoch is not evaluated."""
        if not self._is_evaluated(epoch):
            return None
        with self.state.evaluation_weights():
            result = evaluate_with_all_ranks(
                self.evaluator, self.state.network, self.ranks, self.interruption, self.observer.on_progress
            )
        if result is None:
            self._save_and_stop()
        return result

    def save(self, record: EpochRecord, dev: SplitResult | None) -> None:
        """Finish an epoch: add its record to the history, and write the files of the run."""
        state = self.state
        is_best = record.wer is not None and (state.best_wer is None or record.wer < state.best_wer)
        state.history.append(record)
        state.epoch, state.unfinished = record.epoch, None
        try:
            self.observer.before_save(state.history, dev, is_best=is_best)
        except OSError as error:
            reason = f"cannot be written ({error.strerror or error}); training continues"
            self.observer.on_warning(f"{error.filename or self.run.path}: {reason}")
        if self.ranks.is_first:
            self.saver.save_after_epoch(state, is_best=is_best)

    def _resumed_sums(self, epoch: int, checksum: int) -> EpochSums:
        """The sums of an epoch that was interrupted, or new ones."""
        unfinished = self.state.unfinished
        if unfinished is not None and unfinished.order == checksum:
            return unfinished
        if unfinished is not None:
            self.observer.on_warning(
                f"epoch {epoch} starts again, because its batches have changed since the interruption"
            )
        return EpochSums(checksum)

    def _next_batch(self, loaded: Iterator[LoadedBatch]) -> LoadedBatch | None:
        """Wait for the next batch; None if a stop request comes first."""
        with suppress(StopRequestedError), self.interruption.raise_on_request():
            return next(loaded)
        return None

    def _train_batch(self, batch: LoadedBatch | None, epoch: int) -> ClipKeys:
        """Perform a step, unless a rank has been asked to stop; return the clips of all ranks."""
        micro_batches = [
            (frames, self.stepper.count(frames, is_counted=micro_batch.is_counted))
            for micro_batch, frames in (() if batch is None else batch.micro_batches)
        ]
        counts = [dataclasses.astuple(count) for count in (BatchCounts(0, 0), *(count for _, count in micro_batches))]
        *totals, stop_requested = self.ranks.sum(
            [*map(sum, zip(*counts, strict=True)), float(self.interruption.requested)]
        )
        if stop_requested or batch is None:
            self._save_and_stop()
        batch_counts = BatchCounts(*totals)
        with translate_out_of_memory(memory_advice(self.config, self.device, self.run.path)):
            figures = self.stepper(micro_batches, batch_counts, epoch)
            if self.state.average is not None:
                self.state.average.update()
        self.pending.add(
            figures,
            epoch=epoch,
            step=self.state.step,
            lr=self.state.lr,
            sample_ids=tuple(self.samples[key.index].sample_id for key in batch.keys),
            unfit_clips=int(batch_counts.unfit_clips),
        )
        return batch.keys

    def _read_figures(self) -> None:
        """Read the figures of the steps since the last reading; fail if too many of them were skipped."""
        assert self.state.unfinished is not None  # an epoch is in progress
        scaler = self.state.scaler
        for step in self.pending.read():
            self.state.unfinished.add(step)
            self.observer.on_step(step)
            self.divergence.check(step, scaler.get_scale() if scaler.is_enabled() and not step.finite else None)

    def _save_and_stop(self) -> NoReturn:
        """Save the state within an epoch, and raise a StoppedBySignalError; called by all ranks."""
        self._read_figures()
        if self.ranks.is_first:
            self.saver.save_within_epoch(self.state, must_succeed=True)
        # All together: the launcher gives the other ranks little time once the first one has ended.
        reasons = self.ranks.gather(self.interruption.reason)
        reason = reasons[self.ranks.rank] or f"{next(filter(None, reasons), 'a signal')} to another process"
        # Ctrl-C for one process is Ctrl-C for all: they end with the same status.
        reason = next((each for each in reasons if each == CTRL_C), None) or reason
        raise stopped_error(
            reason,
            f"in epoch {self.state.epoch + 1}, after step {self.state.step}; everything is saved",
            f"continue with: cslr train --resume {self.run.path}",
        )

    def _outline(self) -> TrainingOutline:
        network, settings = self.state.network, self.config.training
        device, num_devices = str(self.device), self.ranks.world_size
        if self.device.type == "cuda":
            device = torch.cuda.get_device_name(self.device)
        return TrainingOutline(
            network=self.config.model.name,
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            trainable=sum(parameter.numel() for parameter in trained_parameters(network)),
            start=self.start_point,
            corpus=self.corpus.name,
            glosses=len(self.corpus.vocabulary.glosses),
            train_clips=len(self.samples),
            dev_clips=len(self.evaluator.samples),
            batches=self.batches.num_batches(settings.epochs),
            epochs=settings.epochs,
            finished_epochs=self.state.epoch,
            device=device if num_devices == 1 else f"{num_devices} × {device}",
            precision=precision_name(self.dtype),
        )

    def _is_evaluated(self, epoch: int) -> bool:
        """Whether dev is evaluated after an epoch: every `training.evaluation_interval` epochs, and after the last."""
        settings = self.config.training
        return epoch == settings.epochs or epoch % settings.evaluation_interval == 0

    def _remaining_evaluation_frames(self) -> int:
        """Frames of all evaluations from here to the end."""
        epochs = range(self.state.epoch + 1, self.config.training.epochs + 1)
        evaluations = sum(map(self._is_evaluated, epochs))
        return evaluations * sum(sample.num_frames or 1 for sample in self.evaluator.samples)
