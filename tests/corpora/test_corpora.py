"""What holds for every corpus: a release is found, read and prepared for real."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from cslr_cli.corpora import CORPORA, Release, ReleasePaths, find_reader, read_release
from cslr_cli.corpora.preparation import PreparationOptions, prepare
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import DataError
from cslr_cli.media.frames import open_frames
from cslr_cli.scoring import PROTOCOLS, read_stm
from tests.corpora.releases import (
    NUM_FRAMES,
    write_csl,
    write_csl_daily,
    write_phoenix2014,
    write_phoenix2014_t,
    write_si5,
)

Writer = Callable[[Path], Path]

# How a release is written, and how many clips of train, dev and test there are in it.
RELEASES: dict[str, tuple[Writer, dict[str, int]]] = {
    "phoenix2014": (write_phoenix2014, {"train": 6, "dev": 1, "test": 1}),
    "phoenix2014-si5": (write_si5, {"train": 5, "dev": 1, "test": 1}),
    "phoenix2014-T": (write_phoenix2014_t, {"train": 5, "dev": 1, "test": 1}),
    "csl": (write_csl, {"train": 4, "dev": 2}),
    "csl-daily": (write_csl_daily, {"train": 5, "dev": 1, "test": 1}),
}
EVERY = pytest.mark.parametrize("name", RELEASES)


def read(name: str, paths: ReleasePaths) -> Release:
    return read_release(find_reader(name), paths).check()


@EVERY
def test_a_release_is_prepared_with_real_frames(name: str, tmp_path: Path) -> None:
    write, clips = RELEASES[name]
    source = write(tmp_path / "release")
    report = prepare(find_reader(name), source, tmp_path / "prepared", PreparationOptions(frame_size=32), workers=1)
    assert report.faults == ()
    assert {split: counts.clips for split, counts in report.splits.items()} == clips
    assert {split: counts.frames for split, counts in report.splits.items()} == {
        split: NUM_FRAMES * count for split, count in clips.items()
    }
    corpus = PreparedCorpus.open(tmp_path / "prepared")
    assert (corpus.name, corpus.splits) == (name, tuple(clips))
    samples = [sample for split in corpus.splits for sample in corpus.samples(split)]
    assert all(open_frames(corpus.frames_path(sample)).read().shape == (3, 32, 32, 3) for sample in samples)
    # The vocabulary: every gloss of all splits, by code point, with its count.
    counts = Counter(gloss for sample in samples for gloss in sample.glosses)
    assert corpus.vocabulary.glosses == tuple(sorted(counts))
    assert corpus.vocabulary.counts == tuple(counts[gloss] for gloss in sorted(counts))
    for split in corpus.splits:
        references = read_stm(corpus.references(split))
        assert [reference.sample_id for reference in references] == [
            sample.sample_id for sample in corpus.samples(split)
        ]


@EVERY
@pytest.mark.parametrize("above", [0, 1, 2])
def test_a_release_is_found_in_its_folder_and_in_those_above_it(name: str, above: int, tmp_path: Path) -> None:
    write, clips = RELEASES[name]
    folder = write(tmp_path / "release")
    source = [folder, *folder.parents][above]
    release = read(name, ReleasePaths(source))
    assert len(release.samples) == sum(clips.values())
    for sample in release.samples:
        assert open_frames(release.root / sample.frames).num_frames == NUM_FRAMES


@EVERY
def test_a_release_is_found_from_within_its_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, clips = RELEASES[name]
    monkeypatch.chdir(write(tmp_path / "release"))
    release = read(name, ReleasePaths(Path()))
    assert len(release.samples) == sum(clips.values())
    assert all((release.root / sample.frames).is_dir() for sample in release.samples)


@EVERY
def test_annotations_may_be_elsewhere(name: str, tmp_path: Path) -> None:
    write, clips = RELEASES[name]
    source = write(tmp_path / "release")
    lists = tmp_path / "lists"
    lists.mkdir()
    release_folder = tmp_path / "release"
    for path in [*release_folder.rglob("*.csv"), *release_folder.rglob("*.txt")]:
        path.rename(lists / path.name)
    release = read(name, ReleasePaths(source, annotations=lists))
    assert len(release.samples) == sum(clips.values())
    assert all((release.root / sample.frames).is_dir() for sample in release.samples)
    # And without frames not even the folder of the release has to be there.
    nowhere = ReleasePaths(tmp_path / "nowhere", annotations=lists, need_frames=False)
    assert [sample.glosses for sample in read(name, nowhere).samples] == [sample.glosses for sample in release.samples]


@EVERY
def test_annotations_that_are_not_found_are_named_with_the_layout_and_the_option(name: str, tmp_path: Path) -> None:
    write, _ = RELEASES[name]
    source = write(tmp_path / "release")
    (path, *_) = [*source.rglob("*dev*.csv"), *sorted((tmp_path / "release").rglob("*.txt"))]
    path.unlink()
    with pytest.raises(DataError) as caught:
        read(name, ReleasePaths(source))
    assert path.name in caught.value.message
    assert caught.value.hint is not None
    assert find_reader(name).layout in caught.value.hint
    assert "--annotations" in caught.value.hint


def test_an_annotation_in_both_places_is_taken_from_the_release_with_a_note(tmp_path: Path) -> None:
    root = write_csl(tmp_path / "release")
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "dev.txt").write_text("CSL_Continuous/video450|他\n")
    release = read("csl", ReleasePaths(root, annotations=lists))
    assert len(release.samples) == 6
    assert release.notes == (f"{root / 'dev.txt'} of the release was used instead of {lists / 'dev.txt'}",)


@EVERY
def test_references_that_are_given_are_preferred_to_those_of_the_release(name: str, tmp_path: Path) -> None:
    write, clips = RELEASES[name]
    source = write(tmp_path / "release")
    given = tmp_path / "stm"
    given.mkdir()
    lines = [
        f"{sample.sample_id} 1 somebody 0.0 1.79769e+308 GIVEN"
        for sample in read(name, ReleasePaths(source)).samples
        if sample.split == "dev"
    ]
    (given / "dev.stm").write_text("\n".join(lines) + "\n")
    options = PreparationOptions(frames=False)
    paths = ReleasePaths(source, references=given)
    report = prepare(find_reader(name), paths, tmp_path / "prepared", options)
    assert report.references["dev"] == "official: ../stm/dev.stm"
    references = read_stm(PreparedCorpus.open(tmp_path / "prepared").references("dev"))
    assert [reference.glosses for reference in references] == [("GIVEN",)] * clips["dev"]


def test_a_folder_of_references_without_any_is_reported(tmp_path: Path) -> None:
    source = write_csl(tmp_path / "release")
    (tmp_path / "stm").mkdir()
    with pytest.raises(DataError, match=r"stm: no references in this folder; files sought: train\.stm, dev\.stm"):
        read("csl", ReleasePaths(source, references=tmp_path / "stm"))


@EVERY
def test_the_release_of_another_corpus_is_recognised(name: str, tmp_path: Path) -> None:
    write, _ = RELEASES[name]
    source = write(tmp_path / "release")
    if name == "phoenix2014-si5":  # its release holds the other half too
        source.rename(tmp_path / "alone")
        source = tmp_path / "alone"
    others = [other for other in RELEASES if other != name]
    for other in others:
        with pytest.raises(DataError) as caught:
            read(other, ReleasePaths(source))
        assert caught.value.hint is not None
        assert caught.value.hint.splitlines()[0] == f"this looks like {find_reader(name).title}"


@EVERY
def test_every_corpus_says_how_it_is_scored_and_how_fast_it_is(name: str) -> None:
    reader = find_reader(name)
    assert reader.protocol in PROTOCOLS
    assert reader.fps == (30.0 if name.startswith("csl") else 25.0)
    assert reader.frame_pattern in reader.layout


@pytest.mark.parametrize("spelling", ["CSL-Daily", "csl-daily", "CSL-DAILY"])
def test_names_are_found_in_any_case(spelling: str) -> None:
    assert find_reader(spelling) is CORPORA["csl-daily"]
    assert find_reader("PHOENIX2014-t") is CORPORA["phoenix2014-T"]


def test_frames_of_drawn_signers_are_resized_as_published(tmp_path: Path) -> None:
    source = write_phoenix2014_t(tmp_path / "release")
    prepare(find_reader("phoenix2014-T"), source, tmp_path / "prepared", workers=1)
    corpus = PreparedCorpus.open(tmp_path / "prepared")
    for sample in corpus.samples("train"):
        folder = source / "features/fullFrame-210x260px/train" / sample.sample_id
        expected = [
            cv2.resize(cv2.imread(str(path)), (256, 256), interpolation=cv2.INTER_LANCZOS4)[..., ::-1]
            for path in sorted(folder.glob("*.png"))
        ]
        np.testing.assert_array_equal(open_frames(corpus.frames_path(sample)).read(), np.stack(expected))


MANUAL = (Path(__file__).parents[2] / "docs" / "corpora.md").read_text(encoding="utf-8")


@EVERY
def test_the_manual_has_the_layout_of_every_corpus(name: str) -> None:
    assert find_reader(name).layout in MANUAL
    assert f"| `{name}` |" in MANUAL
