"""What must not grow unseen: bytes and frames, counted. No clock is looked at."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from cslr_cli.config import DataConfig
from cslr_cli.dataset.clip_dataset import ClipDataset, ClipKey
from cslr_cli.dataset.collate import collate
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.media import picture_sources, pictures
from cslr_cli.model import correlation
from cslr_cli.model.clips import ClipLayout
from cslr_cli.model.correlation import correlate
from cslr_cli.temporal_plan import TemporalPlan


class Live:
    """Bytes of the tensors that operations made and that are still there.

    Attributes:
        peak: the most at a time.
    """

    def __init__(self) -> None:
        self.peak = 0
        self._users: dict[int, int] = {}
        self._bytes: dict[int, int] = {}

    def add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage.data_ptr()
        self._users[key] = self._users.get(key, 0) + 1
        self._bytes[key] = storage.nbytes()
        self.peak = max(self.peak, sum(self._bytes.values()))
        weakref.finalize(tensor, self._drop, key)

    def _drop(self, key: int) -> None:
        self._users[key] -= 1
        if not self._users[key]:
            del self._users[key], self._bytes[key]


@contextmanager
def live_bytes() -> Iterator[Live]:
    live = Live()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            for value in result if isinstance(result, (tuple, list)) else [result]:
                if isinstance(value, Tensor):
                    live.add(value)
            return result

    watch: Any = Watch
    with watch():
        yield live


@pytest.mark.parametrize("frames", [16, 48])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_correlation_holds_its_features_and_a_few_blocks_of_affinities(
    frames: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    places, channels = 100, 16
    block = 2 * 2 * places * places  # affinities of two frames
    monkeypatch.setattr(correlation, "AFFINITY_BLOCK", block)
    query, keys = (torch.randn(frames, places, channels).to(dtype).requires_grad_() for _ in range(2))
    weights = torch.tensor([0.6, 0.3], requires_grad=True)
    clips = ClipLayout.from_lengths([frames], torch.device("cpu"))
    _ = clips.following, clips.preceding
    with live_bytes() as live:
        correlate(query, keys, weights, clips).sum().backward()
    features = frames * places * channels
    size = dtype.itemsize
    # Output, its gradient, those of query and keys, and the sum of the last in fp32, while it becomes 16 bits.
    of_features = features * (4 * size + 4)
    # In backward: gates, their gradients, and one product on its way; and some (n, 2P, C) beside them.
    of_blocks = 3 * block * size + 8 * (2 * 2 * places * channels) * 4
    assert live.peak <= of_features + of_blocks
    whole_maps = frames * 2 * places * places * size
    assert live.peak - of_features < whole_maps / 2


def test_training_decodes_the_frames_that_it_sampled_and_each_once(
    prepared: PreparedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    decode = pictures.decode_picture

    def counting(data: bytes, name: str) -> Any:
        decoded.append(name)
        return decode(data, name)

    monkeypatch.setattr(picture_sources, "decode_picture", counting)
    config = DataConfig(crop_size=32, min_clip_frames=8, max_clip_frames=12)
    samples = prepared.samples("train")[:3]
    dataset = ClipDataset(prepared, samples, config, training=True)
    for index, sample in enumerate(samples):
        decoded.clear()
        clip: Any = dataset[ClipKey(index, 1)]
        assert len(clip.frames) <= 12
        assert len(decoded) == len(set(decoded)) <= len(clip.frames) < (sample.num_frames or 0)


def test_a_batch_goes_to_the_device_as_one_byte_a_colour(prepared: PreparedCorpus) -> None:
    config = DataConfig(crop_size=32)
    dataset = ClipDataset(prepared, prepared.samples("dev")[:2], config, training=False)
    plan = TemporalPlan.parse(("K5", "P2", "K5", "P2"))
    clips: Any = [dataset[ClipKey(index)] for index in range(2)]
    batch = collate(clips, plan)
    longest = plan.padded_length(max(len(clip.frames) for clip in clips))
    assert batch.frames.nbytes == 2 * longest * 32 * 32 * 3
    others = (batch.frame_lengths, batch.targets, batch.target_lengths)
    assert sum(tensor.nbytes for tensor in others) < 1000


def test_no_picture_of_a_prepared_corpus_goes_through_opencv(
    prepared: PreparedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("decoded by OpenCV, at half the speed")

    monkeypatch.setattr("cv2.imdecode", refuse)
    clip = ClipDataset(prepared, prepared.samples("dev"), DataConfig(crop_size=32), training=False)[ClipKey(0)]
    assert not isinstance(clip, Exception), clip


def test_a_worker_makes_its_batch_where_the_process_that_wants_it_reads_it(
    prepared: PreparedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = ClipDataset(prepared, prepared.samples("dev")[:2], DataConfig(crop_size=32), training=False)
    clips: Any = [dataset[ClipKey(index)] for index in range(2)]
    plan = TemporalPlan.parse(("K5", "P2", "K5", "P2"))
    here = collate(clips, plan).frames
    assert not here.is_shared()
    monkeypatch.setattr("cslr_cli.dataset.collate.get_worker_info", lambda: "in a worker")
    there = collate(clips, plan).frames
    assert there.is_shared()
    assert torch.equal(here, there)
    assert here.stride() == there.stride()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedCorpus:
    from cslr_cli.corpora import find_reader
    from cslr_cli.corpora.preparation import PreparationOptions, prepare
    from cslr_cli.corpora.synthetic import SyntheticOptions, make_release

    folder: Path = tmp_path_factory.mktemp("counted")
    make_release(folder / "release", SyntheticOptions(num_train_clips=3, num_dev_clips=2, num_test_clips=2), workers=1)
    prepare(find_reader("synthetic"), folder / "release", folder / "prepared", PreparationOptions(frame_size=40))
    return PreparedCorpus.open(folder / "prepared")
