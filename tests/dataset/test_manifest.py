from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import pytest
import yaml

from cslr_cli.dataset.manifest import (
    CorpusInfo,
    PreparedCorpus,
    SplitCounts,
    references_path,
    write_samples,
)
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import DataError
from cslr_cli.vocabulary import Vocabulary

INFO = CorpusInfo(
    name="phoenix2014",
    protocol="phoenix2014",
    fps=25.0,
    frame_size=256,
    interpolation="lanczos",
    layout="zip",
    image_format="png",
    source="/data/phoenix",
    annotations="0123456789abcdef",
    splits={"train": SplitCounts(2, 7, 5), "dev": SplitCounts(1, 3, 2)},
    references={"train": "made from the annotation", "dev": "official: evaluation/dev.stm"},
)
SAMPLES = [
    Sample("a", "train", "frames/train/a.zip", 3, "Signer01", ("WARM", "S+H"), "am märz"),
    Sample("b", "train", "frames/train/b.zip", 4, None, ("WARM", "IX", "天气")),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_samples(tmp_path, "train", SAMPLES)
    Vocabulary.from_counts({"WARM": 2, "IX": 1}).write(tmp_path / "vocabulary.txt")
    (tmp_path / "corpus.yaml").write_text(INFO.to_yaml(), encoding="utf-8")
    return tmp_path


def refused(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        PreparedCorpus.open(path)
    return caught.value


def change(folder: Path, **values: object) -> None:
    path = folder / "corpus.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}), encoding="utf-8")


def test_what_was_written_is_read(folder: Path) -> None:
    corpus = PreparedCorpus.open(folder)
    assert corpus.info == INFO
    assert corpus.samples("train") == tuple(SAMPLES)
    assert corpus.vocabulary.glosses == ("IX", "WARM")
    assert corpus.splits == ("train", "dev")
    assert (corpus.name, corpus.protocol, corpus.fps, corpus.frame_size) == ("phoenix2014", "phoenix2014", 25.0, 256)
    assert corpus.frames_path(SAMPLES[0]) == folder / "frames" / "train" / "a.zip"
    assert corpus.references("dev") == references_path(folder, "dev") == folder / "references" / "dev.stm"


def test_the_description_begins_with_what_a_reader_looks_for(folder: Path) -> None:
    lines = (folder / "corpus.yaml").read_text().splitlines()
    assert lines[:5] == [
        "format_version: 1",
        "name: phoenix2014",
        "protocol: phoenix2014",
        "fps: 25.0",
        "frame_size: 256",
    ]


def test_a_corpus_can_be_sent_to_another_process(folder: Path) -> None:
    corpus = PreparedCorpus.open(folder)
    assert len(corpus.vocabulary) == 3
    again = pickle.loads(pickle.dumps(corpus))
    assert again == corpus
    assert again.samples("train") == tuple(SAMPLES)


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("prepared/phoenix2014", "prepare it with: cslr prepare phoenix2014"),
        ("elsewhere/mine", "prepare it with: cslr prepare CORPUS --output elsewhere/mine"),
        ("disk/prepared/synthetic", "prepare it with: cslr prepare synthetic --output disk/prepared/synthetic"),
    ],
)
def test_a_corpus_that_does_not_exist_says_which_command_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    error = refused(Path(path))
    assert error.message.startswith(f"{path}: no prepared corpus here")
    assert error.hint == command


def test_a_folder_that_is_no_prepared_corpus_is_reported(tmp_path: Path) -> None:
    assert "the folder has no corpus.yaml" in refused(tmp_path).message
    (tmp_path / "file").touch()
    assert "this is a file" in refused(tmp_path / "file").message


def test_a_preparation_that_is_unfinished_is_reported(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    assert "is not finished" in refused(tmp_path).message


def test_a_newer_format_is_refused_with_both_versions(folder: Path) -> None:
    change(folder, format_version=7)
    assert "format version 7, but this version of cslr reads format version 1" in refused(folder).message


@pytest.mark.parametrize("text", ["[1, 2", "- a\n- b\n", "name: x\n", ""])
def test_a_description_that_is_invalid_is_reported(folder: Path, text: str) -> None:
    (folder / "corpus.yaml").write_text(text)
    assert str(folder / "corpus.yaml") in refused(folder).message


def test_an_unknown_protocol_is_an_error_that_names_the_file(folder: Path) -> None:
    change(folder, protocol="phoenixtrue")
    message = refused(folder).message
    assert message.startswith(f"{folder / 'corpus.yaml'}: protocol is 'phoenixtrue', expected one of")


def test_all_faults_of_a_description_are_reported_together(folder: Path) -> None:
    change(folder, frame_size="large", colour="blue")
    message = refused(folder).message
    assert "colour is unknown" in message
    assert "frame_size is 'large'" in message
    path = folder / "corpus.yaml"
    values = dataclasses.asdict(INFO)
    del values["protocol"], values["layout"]
    path.write_text(yaml.safe_dump(values))
    message = refused(folder).message
    assert "layout is missing; protocol is missing" in message


@pytest.mark.parametrize("splits", [{"train": {"clips": 1}}, {"train": 3}, ["train"]])
def test_counts_that_cannot_be_read_are_reported(folder: Path, splits: object) -> None:
    change(folder, splits=splits)
    assert "splits is" in refused(folder).message


def test_a_split_that_does_not_exist_names_those_that_are(folder: Path) -> None:
    corpus = PreparedCorpus.open(folder)
    for ask in (corpus.samples, corpus.references):
        with pytest.raises(DataError, match="phoenix2014 has no test split") as caught:
            ask("test")
        assert caught.value.hint == "its splits are train, dev"


def test_a_wrong_line_of_a_manifest_is_named_with_its_number(folder: Path) -> None:
    path = folder / "train.jsonl"
    path.write_text(path.read_text() + "{\n")
    with pytest.raises(DataError, match=r"train\.jsonl:3: not JSON"):
        PreparedCorpus.open(folder).samples("train")


def test_a_manifest_that_is_gone_is_reported(folder: Path) -> None:
    with pytest.raises(DataError, match=r"dev\.jsonl: the manifest cannot be read"):
        PreparedCorpus.open(folder).samples("dev")


@pytest.mark.parametrize("size", ["210", [210], [210, 0], [210, "260"]])
def test_an_original_size_that_is_invalid_is_reported(
    tiny_corpus: PreparedCorpus, tmp_path: Path, size: object
) -> None:
    values = yaml.safe_load((tiny_corpus.path / "corpus.yaml").read_text())
    assert values["original_size"] == [210, 260]
    (tmp_path / "corpus.yaml").write_text(yaml.safe_dump({**values, "original_size": size}))
    with pytest.raises(DataError, match="original_size is"):
        PreparedCorpus.open(tmp_path)
    del values["original_size"]  # as earlier versions wrote it
    (tmp_path / "corpus.yaml").write_text(yaml.safe_dump(values))
    assert PreparedCorpus.open(tmp_path).info.original_size is None
