"""A new corpus is one reader and one entry of the registry; every command then works with it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from cslr_cli.checkpoints.checkpoint import load_checkpoint
from cslr_cli.checkpoints.corpus_origin import CorpusOrigin
from cslr_cli.config import Config, CorpusConfig
from cslr_cli.corpora import CORPORA, find_reader, open_prepared_corpus, read_release
from cslr_cli.corpora.preparation import PreparationOptions, prepare
from cslr_cli.corpora.reader import CorpusReader, Release
from cslr_cli.corpora.registry import find_reader_by_vocabulary, identify_release
from cslr_cli.corpora.release_paths import ReleasePaths, find_root
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import DataError
from cslr_cli.evaluation import evaluate
from cslr_cli.media.png import encode_png
from cslr_cli.training.loop import train
from tests.corpora.releases import drawn_frames

SENTENCES = {"train": ("RAIN SUN", "SUN WIND", "WIND RAIN"), "dev": ("SUN RAIN",), "test": ("RAIN WIND",)}


@dataclasses.dataclass(frozen=True)
class ToyCorpus(CorpusReader):
    """A corpus whose release has one file, `clips.toy`, with lines `split|folder|gloss gloss …`."""

    name: str = "toy"
    title: str = "the toy corpus"
    fps: float = 12.5
    protocol: str = "plain"
    layout: str = "toy/\n├── clips.toy\n└── ID/*.png"
    frame_pattern: str = "*.png"
    original_size: tuple[int, int] | None = (210, 260)
    vocabulary_size: int | None = 3
    release_marks: tuple[str, ...] = ("clips.toy",)

    def read(self, paths: ReleasePaths) -> Release:
        root = find_root(paths.source, ["toy"], self.release_marks)
        if root is None:
            raise self.release_not_found(paths.source)
        collector = self.make_collector()
        for where, (split, clip, glosses) in collector.split_rows(collector.read_lines(root / "clips.toy"), 3):
            collector.add(Sample(clip, split, clip, None, None, tuple(glosses.split())), where)
        return self.make_release(root, collector, {})


@pytest.fixture
def toy_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a release of the corpus; the corpus is in the registry."""
    monkeypatch.setitem(CORPORA, "toy", ToyCorpus())
    lines = []
    for split, sentences in SENTENCES.items():
        for number, glosses in enumerate(sentences):
            clip = f"{split}-{number}"
            lines.append(f"{split}|{clip}|{glosses}\n")
            (tmp_path / "toy" / clip).mkdir(parents=True)
            for place, frame in enumerate(drawn_frames() * 2):
                (tmp_path / "toy" / clip / f"{place:02d}.png").write_bytes(encode_png(frame))
    (tmp_path / "toy" / "clips.toy").write_text("".join(lines))
    return tmp_path


def test_a_corpus_in_the_registry_is_prepared_trained_on_and_evaluated(toy_folder: Path, tiny_config: Config) -> None:
    options = PreparationOptions(frame_size=36)
    prepare(find_reader("toy"), toy_folder, toy_folder / "prepared", options, workers=1)
    corpus = open_prepared_corpus(toy_folder / "prepared")
    assert (corpus.fps, corpus.protocol, corpus.info.original_size) == (12.5, "plain", (210, 260))
    assert corpus.vocabulary.glosses == ("RAIN", "SUN", "WIND")

    config = tiny_config.model_copy(update={"corpus": CorpusConfig(name="toy", path=corpus.path)})
    cpu = torch.device("cpu")
    checkpoint = load_checkpoint(train(config, toy_folder / "run", device=cpu).run.last)
    assert checkpoint.corpus.fps == 12.5

    dev, test = evaluate(checkpoint, corpus, ("dev", "test"), device=cpu, dtype=torch.float32)
    assert [len(result.hypotheses["sequence"]) for result in (dev, test)] == [1, 1]


def test_the_facts_of_a_corpus_come_from_its_reader(toy_folder: Path, tiny_config: Config) -> None:
    assert find_reader_by_vocabulary(3) is CORPORA["toy"]
    old_checkpoint = CorpusOrigin("toy", "prepared/toy", "plain", 12.5, 36)  # before checkpoints had the original size
    assert old_checkpoint.frame_fit(tiny_config.data).original_size == (210, 260)


def test_a_release_is_identified_by_the_marks_of_its_reader(toy_folder: Path) -> None:
    assert identify_release(toy_folder) == "the toy corpus"
    with pytest.raises(DataError) as caught:
        read_release(find_reader("csl"), ReleasePaths(toy_folder))
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("this looks like the toy corpus")
