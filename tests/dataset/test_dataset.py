from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cslr_cli.config import DataConfig
from cslr_cli.dataset.batching import training_batches
from cslr_cli.dataset.clip_dataset import Clip, ClipDataset, ClipKey
from cslr_cli.dataset.collate import Batch, single_clip_batch
from cslr_cli.dataset.loader import Loader, _init_worker
from cslr_cli.dataset.manifest import CorpusInfo, PreparedCorpus, SplitCounts, write_samples
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import CslrError, DataError, LostProcessError, MediaError
from cslr_cli.media import picture_sources, pictures
from cslr_cli.temporal_plan import TemporalPlan
from cslr_cli.vocabulary import Vocabulary

# Python 3.12 and newer warn of every fork of a process with threads; torch's loader forks its workers.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

PLAN = TemporalPlan.parse(["K5", "P2", "K5", "P2"])
SIZE = 36
VOCABULARY = Vocabulary.from_counts({"MORGEN": 3, "REGEN": 2, "WARM": 1})  # ids 1, 2, 3
CLIPS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "a": (9, ("REGEN", "MORGEN")),
    "b": (5, ("WARM",)),
    "c": (40, ("WARM", "NIE-GESEHEN", "MORGEN", "MORGEN")),
    "d": (12, ()),
}
CONFIG = DataConfig(crop_size=32, min_clip_frames=8)


def frames_of(sample_id: str) -> NDArray[np.uint8]:
    """The pictures of a clip, uint8 (T, SIZE, SIZE, 3), RGB."""
    rng = np.random.default_rng(ord(sample_id))
    return rng.integers(0, 256, (CLIPS[sample_id][0], SIZE, SIZE, 3), dtype=np.uint8)


def write_zip(path: Path, frames: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for number, frame in enumerate(frames):
            _, data = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
            archive.writestr(f"{number:06d}.png", data.tobytes())


@pytest.fixture
def corpus(tmp_path: Path) -> PreparedCorpus:
    samples = []
    for sample_id, (num_frames, glosses) in CLIPS.items():
        name = f"frames/train/{sample_id}.zip"
        write_zip(tmp_path / name, frames_of(sample_id))
        samples.append(Sample(sample_id, "train", name, num_frames, "Signer01", glosses))
    write_samples(tmp_path, "train", samples)
    VOCABULARY.write(tmp_path / "vocabulary.txt")
    info = CorpusInfo(
        name="own",
        protocol="phoenix2014",
        fps=25.0,
        frame_size=SIZE,
        interpolation="lanczos",
        layout="zip",
        image_format="png",
        source="/data/own",
        annotations="0123456789abcdef",
        splits={"train": SplitCounts(len(CLIPS), 66, 7)},
        references={"train": "made from the annotation"},
    )
    (tmp_path / "corpus.yaml").write_text(info.to_yaml(), encoding="utf-8")
    return PreparedCorpus.open(tmp_path)


def dataset_of(corpus: PreparedCorpus, *, training: bool = False, **changes: Any) -> ClipDataset:
    config = CONFIG.model_copy(update=changes)
    return ClipDataset(corpus, corpus.samples("train"), config, training=training, seed=1)


def read(dataset: ClipDataset, keys: Sequence[Sequence[ClipKey]], num_workers: int = 0) -> list[Batch]:
    return list(Loader(dataset, PLAN, num_workers).batches([list(batch) for batch in keys]))


def fault_of(
    dataset: ClipDataset, keys: Sequence[ClipKey], *, num_workers: int = 0, plan: TemporalPlan = PLAN
) -> CslrError:
    """The error that a batch of these clips gives; without its traceback, which would hold the loader."""
    try:
        list(Loader(dataset, plan, num_workers).batches([list(keys)]))
    except CslrError as error:
        return error.with_traceback(None)
    pytest.fail("no error")


def assert_equal(one: Batch, other: Batch) -> None:
    assert one.sample_ids == other.sample_ids
    for name in ("frames", "frame_lengths", "targets", "target_lengths"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


# Batches


def test_a_batch_has_each_clip_s_middle_between_copies_of_its_first_and_last_frame(corpus: PreparedCorpus) -> None:
    batch = read(dataset_of(corpus), [[ClipKey(0), ClipKey(1)]])[0]
    # 9 frames: 6 in front, up to ceil(9 / 4) · 4 + 12 behind; the shorter clip goes on to the same length.
    assert batch.frames.shape == (2, 24, 3, 32, 32)
    assert batch.frames.dtype == torch.uint8
    for clip, sample_id in zip(batch.frames, batch.sample_ids, strict=True):
        frames = frames_of(sample_id)[:, 2:34, 2:34]
        behind = 24 - 6 - len(frames)
        expected = np.concatenate([frames[:1].repeat(6, 0), frames, frames[-1:].repeat(behind, 0)])
        # (T, H, W, 3) -> (T, 3, H, W)
        assert np.array_equal(clip.numpy(), expected.transpose(0, 3, 1, 2))
    assert batch.sample_ids == ("a", "b")
    assert batch.frame_lengths.tolist() == [9, 5]
    assert batch.targets.tolist() == [2, 1, 3]
    assert batch.target_lengths.tolist() == [2, 1]
    assert {batch.targets.dtype, batch.target_lengths.dtype, batch.frame_lengths.dtype} == {torch.int64}


def test_frames_lie_channels_last_in_memory(corpus: PreparedCorpus) -> None:
    frames = read(dataset_of(corpus), [[ClipKey(0), ClipKey(1)]])[0].frames
    assert frames.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


def test_glosses_that_the_vocabulary_lacks_are_left_out_of_the_targets(corpus: PreparedCorpus) -> None:
    batch = read(dataset_of(corpus), [[ClipKey(2), ClipKey(3), ClipKey(1)]])[0]
    assert batch.targets.tolist() == [3, 1, 1, 3]
    assert batch.target_lengths.tolist() == [3, 0, 1]
    assert batch.targets.dtype == torch.int64


def test_a_batch_without_any_gloss_has_targets_of_the_same_type(corpus: PreparedCorpus) -> None:
    batch = read(dataset_of(corpus), [[ClipKey(3)]])[0]
    assert batch.targets.tolist() == []
    assert batch.targets.dtype == torch.int64


def test_frame_interval_takes_every_nth_frame(corpus: PreparedCorpus) -> None:
    batch = read(dataset_of(corpus, frame_interval=2), [[ClipKey(0)]])[0]
    assert batch.frame_lengths.tolist() == [5]
    expected = frames_of("a")[::2, 2:34, 2:34].transpose(0, 3, 1, 2)
    assert np.array_equal(batch.frames[0, 6:11].numpy(), expected)


@pytest.mark.parametrize("training", [False, True])
def test_only_the_frames_that_are_needed_are_decoded_and_each_once(
    corpus: PreparedCorpus, monkeypatch: pytest.MonkeyPatch, training: bool
) -> None:
    decoded: list[str] = []
    decode = pictures.decode_picture

    def counted(data: bytes, name: str) -> NDArray[np.uint8]:
        decoded.append(Path(name).name)
        return decode(data, name)

    monkeypatch.setattr(picture_sources, "decode_picture", counted)
    dataset = dataset_of(corpus, training=training, frame_interval=3)
    batch = read(dataset, [[ClipKey(2, 1)]])[0]
    assert len(decoded) == len(set(decoded)) <= 14  # of 40
    clip = batch.frames[0, 6 : 6 + int(batch.frame_lengths[0])]
    assert len(decoded) == len({frame.numpy().tobytes() for frame in clip})
    numbers = [int(name.removesuffix(".png")) for name in decoded]
    assert {number % 3 for number in numbers} == {numbers[0] % 3}


def test_a_single_clip_is_a_batch_of_one_without_a_reference() -> None:
    batch = single_clip_batch(frames_of("b")[:, :32, :32], PLAN, "video.mp4")
    assert batch.frames.shape == (1, 20, 3, 32, 32)
    assert (batch.sample_ids, batch.frame_lengths.tolist()) == (("video.mp4",), [5])
    assert (batch.targets.tolist(), batch.target_lengths.tolist()) == ([], [0])


# Chance


def test_a_training_clip_follows_from_seed_epoch_and_clip_alone(corpus: PreparedCorpus) -> None:
    dataset = dataset_of(corpus, training=True, colour_jitter=0.2)
    alone = [read(dataset, [[ClipKey(index, 3)]])[0] for index in (0, 1, 2)]
    later = read(dataset, [[ClipKey(3, 1)], [ClipKey(2, 3)], [ClipKey(0, 3)]])
    assert_equal(alone[2], later[1])
    assert_equal(alone[0], later[2])
    other_epoch = read(dataset, [[ClipKey(2, 4)]])[0]
    other_seed = ClipDataset(corpus, dataset.samples, dataset.config, training=True, seed=2)
    for other in (other_epoch, read(other_seed, [[ClipKey(2, 3)]])[0]):
        assert not torch.equal(other.frames[:, :40], alone[2].frames[:, :40])


def test_the_middle_frame_of_a_clip_is_that_of_the_clip_as_training_reads_it(corpus: PreparedCorpus) -> None:
    for changes in ({}, {"colour_jitter": 0.5, "resize_to": 64}):
        dataset = dataset_of(corpus, training=True, **changes)
        for key in (ClipKey(0, 1), ClipKey(1, 1), ClipKey(0, 2)):
            clip = dataset[key]
            assert isinstance(clip, Clip)
            assert np.array_equal(dataset.read_middle_frame(key), clip.frames[len(clip.frames) // 2])


def test_a_worker_gives_the_same_batches_in_the_same_order_pass_after_pass(corpus: PreparedCorpus) -> None:
    dataset = dataset_of(corpus, training=True, colour_jitter=0.2)
    loader = Loader(dataset, PLAN, num_workers=1)
    for epoch in (1, 2):
        keys = training_batches({0: 9, 1: 5, 2: 40, 3: 12}, 2, seed=0, epoch=epoch, by_length=True)
        for here, there in zip(read(dataset, keys), loader.batches(keys), strict=True):
            assert_equal(here, there)
            assert there.frames.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


def test_a_pass_that_was_cancelled_does_not_disturb_the_next(corpus: PreparedCorpus) -> None:
    loader = Loader(dataset_of(corpus), PLAN, num_workers=1)
    next(iter(loader.batches([[ClipKey(index)] for index in (0, 1, 2, 3)])))
    names = [batch.sample_ids for batch in loader.batches([[ClipKey(3)], [ClipKey(1), ClipKey(0)]])]
    assert names == [("d",), ("b", "a")]


# Faults


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_broken_clip_gives_its_own_error_from_any_process(corpus: PreparedCorpus, num_workers: int) -> None:
    path = corpus.path / "frames" / "train" / "b.zip"
    path.write_bytes(path.read_bytes()[:200])
    error = fault_of(dataset_of(corpus), [ClipKey(0), ClipKey(1)], num_workers=num_workers)
    assert type(error) is MediaError
    assert str(error) == f"{path}: the file is not a zip, or is cut off"


def test_after_a_broken_clip_the_loader_reads_others(corpus: PreparedCorpus) -> None:
    (corpus.path / "frames" / "train" / "b.zip").unlink()
    loader = Loader(dataset_of(corpus), PLAN, num_workers=1)
    with pytest.raises(MediaError, match="there is no such file"):
        list(loader.batches([[ClipKey(1)], [ClipKey(0)]]))
    assert [batch.sample_ids for batch in loader.batches([[ClipKey(0)]])] == [("a",)]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_clip_too_short_for_the_network_is_refused_by_name(corpus: PreparedCorpus, num_workers: int) -> None:
    plan = TemporalPlan.parse(["K5", "P2", "K5", "P2"], min_frames=6)
    error = fault_of(dataset_of(corpus), [ClipKey(0), ClipKey(1)], num_workers=num_workers, plan=plan)
    assert type(error) is MediaError
    assert error.message == "b: 5 frames, but this network needs at least 6"


def test_frames_of_another_size_than_the_corpus_are_refused(corpus: PreparedCorpus) -> None:
    path = corpus.path / "frames" / "train" / "b.zip"
    write_zip(path, np.zeros((5, 20, 30, 3), np.uint8))
    error = fault_of(dataset_of(corpus), [ClipKey(1)])
    assert type(error) is DataError
    assert error.message == f"{path}: frames of 30×20 pixels, but the corpus has 36×36"


@pytest.mark.parametrize("num_frames", [4, 6])
@pytest.mark.parametrize("training", [False, True])
def test_another_number_of_frames_than_in_the_manifest_is_refused(
    corpus: PreparedCorpus, training: bool, num_frames: int
) -> None:
    """The times of glosses in evaluations follow from the manifest."""
    path = corpus.path / "frames" / "train" / "b.zip"
    write_zip(path, np.zeros((num_frames, SIZE, SIZE, 3), np.uint8))
    error = fault_of(dataset_of(corpus, training=training), [ClipKey(1)])
    assert type(error) is DataError
    assert error.message == f"{path}: {num_frames} frames, but 5 in the manifest"


@pytest.mark.parametrize("training", [False, True])
def test_a_crop_larger_than_the_corpus_frames_is_refused(corpus: PreparedCorpus, training: bool) -> None:
    error = fault_of(dataset_of(corpus, training=training, crop_size=64), [ClipKey(0)], num_workers=1)
    assert type(error) is DataError
    assert error.message == "data.crop_size is 64 pixels, more than the 36 pixels of the prepared frames"


# The end of a loader


@pytest.fixture
def _no_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_garbage_collection")
@pytest.mark.parametrize("end", ["whole", "broken off", "error"])
def test_a_loader_without_references_ends_its_workers_at_once(corpus: PreparedCorpus, end: str) -> None:
    # Left to the garbage collector, it would wait five seconds for each of them.
    if end == "error":
        (corpus.path / "frames" / "train" / "b.zip").unlink()
    before = set(multiprocessing.active_children())
    loader = Loader(dataset_of(corpus), PLAN, num_workers=1)
    batches = loader.batches([[ClipKey(0)], [ClipKey(1)]])
    next(batches)
    if end != "broken off":
        with pytest.raises(MediaError) if end == "error" else nullcontext():
            list(batches)
    (worker,) = set(multiprocessing.active_children()) - before
    del loader, batches
    worker.join(60)
    assert not worker.is_alive()


def test_a_killed_worker_is_an_error_where_its_batch_is_needed_and_nowhere_else(corpus: PreparedCorpus) -> None:
    before, handler = set(multiprocessing.active_children()), signal.getsignal(signal.SIGCHLD)
    loader = Loader(dataset_of(corpus), PLAN, num_workers=1)
    batches = loader.batches([[ClipKey(0)]] * 9)
    next(batches)
    (worker,) = set(multiprocessing.active_children()) - before
    worker.kill()
    worker.join()
    time.sleep(0.01)  # torch's own handler would raise a RuntimeError here
    assert signal.getsignal(signal.SIGCHLD) == handler
    with pytest.raises(LostProcessError, match="was killed by SIGKILL, probably because memory was full") as caught:
        list(batches)
    assert "--workers" in str(caught.value.hint)
    with pytest.raises(LostProcessError):  # also the next pass, which cannot start
        list(loader.batches([[ClipKey(0)]]))


def begin_as_worker(parent: int | None) -> None:
    if parent is not None:
        multiprocessing.parent_process = lambda: SimpleNamespace(pid=parent)  # type: ignore[assignment, return-value]
    _init_worker(0)
    os._exit(3)


@pytest.mark.parametrize(("parent", "status"), [(None, 3), (-1, 0)])
def test_a_worker_whose_parent_was_killed_before_it_began_ends(parent: int | None, status: int) -> None:
    worker = multiprocessing.get_context("spawn").Process(target=begin_as_worker, args=[parent])
    worker.start()
    worker.join()
    assert worker.exitcode == status
