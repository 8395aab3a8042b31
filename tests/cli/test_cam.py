"""`cslr cam` as a user runs it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from cslr_cli.checkpoints.checkpoint import Checkpoint
from cslr_cli.cli.cam import find_sample
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import DataError, UsageError
from cslr_cli.result_files import MARKER_FILE
from tests.cam.conftest import see_brightness
from tests.cli.conftest import Command
from tests.cli.test_bad_input import assert_error

FILES = ("cam.mp4", "cam.npz", "cam.png", "correlation.png")


def names(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir() if path.name != MARKER_FILE)


@pytest.fixture
def gloss(tiny_corpus: PreparedCorpus) -> str:
    return tiny_corpus.vocabulary.glosses[0]


def test_a_sample_of_the_corpus_gives_all_files(
    cslr: Command, trained: Path, tiny_corpus: PreparedCorpus, gloss: str
) -> None:
    sample = tiny_corpus.samples("test")[0]
    outcome = cslr("cam", "--sample", sample.sample_id, "--reference", gloss, "--json")
    assert outcome.status == 0, outcome
    assert names(f"cam/{sample.sample_id}") == list(FILES)
    result = json.loads(outcome.stdout)
    assert [single["gloss"] for single in result["glosses"]] == result["sentence"] == [gloss]
    assert {Path(path).name for path in result["files"].values()} == set(FILES)
    assert (result["layer"], result["head"], result["method"]) == ("layer1.0", "sequence", "grad-cam")
    assert f"signed: {' '.join(sample.glosses)}" in outcome.stderr


def test_the_maps_of_a_video_are_listed_in_a_table(
    cslr: Command, trained: Path, tiny_corpus: PreparedCorpus, gloss: str
) -> None:
    pictures = tiny_corpus.frames_path(tiny_corpus.samples("test")[0])
    options = ("--reference", gloss, "--method", "hires-cam", "--head", "conv", "--layer", "layer2.correlated")
    outcome = cslr("cam", pictures, "--checkpoint", trained, "--output", "maps", "--place", "10,12", *options)
    assert outcome.status == 0, outcome
    assert gloss in outcome.stdout
    assert "maps/cam.png" in outcome.stdout
    assert names("maps") == list(FILES)


def test_a_network_without_correlation_blocks_removes_an_old_correlation_sheet(
    cslr: Command, trained: Path, tiny_corpus: PreparedCorpus, gloss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = tiny_corpus.frames_path(tiny_corpus.samples("test")[0])
    assert cslr("cam", pictures, "--reference", gloss).status == 0
    see_brightness(monkeypatch)
    outcome = cslr("cam", pictures, "--reference", gloss, "--layer", "layer2", "--json")
    assert outcome.status == 0, outcome
    assert "has no correlation blocks" in outcome.stderr
    assert names(f"cam/{pictures.stem}") == list(FILES[:3])
    assert json.loads(outcome.stdout)["warnings"] == []


def test_wrong_options_are_errors(
    cslr: Command, trained: Path, tiny_corpus: PreparedCorpus, gloss: str, tmp_path: Path
) -> None:
    video = tiny_corpus.frames_path(tiny_corpus.samples("test")[0])
    text = tmp_path / "notes.mp4"
    text.write_text("This is no video.\n")
    assert_error(cslr("cam"), 2, "expected a video or --sample")
    assert_error(cslr("cam", video, "--sample", "x"), 2, "not both")
    assert_error(cslr("cam", video, "--corpus", tiny_corpus.path), 2, "--corpus without --sample")
    assert_error(cslr("cam", video, "--layer", "layer9"), 2, "no layer 'layer9'", "stem, layer1.0, layer1")
    assert_error(cslr("cam", video, "--layer", ""), 2, "no layer ''", "stem, layer1.0, layer1")
    assert_error(cslr("cam", video, "--gloss", f"{gloss}X"), 2, "not in the vocabulary", f"did you mean {gloss}")
    assert_error(cslr("cam", video, "--place", "middle"), 2, "--place middle", "105,130")
    assert_error(cslr("cam", "--sample", "synthetic_test-9"), 2, "no clip 'synthetic_test-9'", "did you mean")
    assert_error(cslr("cam", "missing.mp4"), 1, "missing.mp4: there is no such file")
    assert_error(cslr("cam", text), 1, "notes.mp4", "text, not video")
    assert_error(cslr("cam", video, "--device", "99"), 1, "--device 99: no such GPU")
    assert_error(cslr("cam", video, "--output", text), 2, "a file, not a folder")
    assert_error(cslr("cam", video, "--runs-dir", "nowhere"), 2, "nowhere: no run")
    assert not Path("cam").exists()


def test_a_sample_is_found_in_any_split_and_similar_ids_are_suggested(tiny_corpus: PreparedCorpus) -> None:
    for split in tiny_corpus.splits:
        sample = tiny_corpus.samples(split)[-1]
        assert find_sample(tiny_corpus, sample.sample_id) == sample
    with pytest.raises(UsageError, match=r"no clip 'synthetic_test-00001'(.|\n)*did you mean .*synthetic_test-0001"):
        find_sample(tiny_corpus, "synthetic_test-00001")


def test_a_corpus_with_another_frame_size_is_refused(tiny_corpus: PreparedCorpus, tiny_checkpoint: Checkpoint) -> None:
    origin = dataclasses.replace(tiny_checkpoint.corpus, frame_size=256)
    checkpoint = dataclasses.replace(tiny_checkpoint, corpus=origin)
    with pytest.raises(DataError, match=r"36 pixels(.|\n)*--size 256"):
        checkpoint.corpus.check_frame_size(tiny_corpus)
