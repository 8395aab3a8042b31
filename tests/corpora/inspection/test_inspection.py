from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from PIL import Image

from cslr_cli.corpora import find_reader
from cslr_cli.corpora.inspection import CorpusInspection, Finding, draw_plots, inspect_corpus
from cslr_cli.corpora.preparation import PreparationOptions, prepare
from cslr_cli.documents import format_json
from cslr_cli.errors import DataError, UsageError
from cslr_cli.progress import Progress
from cslr_cli.temporal_plan import TemporalPlan

# One step is two frames: nine frames make five steps.
PLAN = TemporalPlan.parse(["K5", "P2"])


def inspected(folder: Path, plan: TemporalPlan = PLAN, *, read_frames: bool = True) -> CorpusInspection:
    return inspect_corpus(folder, plan=plan, read_frames=read_frames, workers=1)


def findings(folder: Path, kind: str, plan: TemporalPlan = PLAN) -> list[Finding]:
    return [finding for finding in inspected(folder, plan).findings if finding.kind == kind]


def change_line(path: Path, change: Callable[[dict[str, object]], object], number: int = 0) -> None:
    """Change one line of a manifest."""
    lines = path.read_text().splitlines()
    values = json.loads(lines[number])
    change(values)
    lines[number] = json.dumps(values)
    path.write_text("\n".join(lines) + "\n")


# Counts


def test_everything_is_counted_by_split(folder: Path) -> None:
    inspection = inspected(folder)
    train = inspection.splits["train"]
    assert (train.clips, train.frames, train.glosses) == (3, 30, 7)
    assert train.hours(25.0) == pytest.approx(30 / 25 / 3600)
    assert train.lengths == (9, 10, 11)
    assert train.gloss_counts == {"ICH": 1, "OSTERN": 1, "WETTER": 2, "MORGEN": 2, "WARM": 1}
    assert train.signers == {"Signer01": 2, "Signer02": 1}
    assert train.glosses_per_clip == (3, 3, 1)
    assert inspection.num_glosses == 6
    assert not inspection.breaks_training


def test_the_histogram_has_every_clip_in_the_bin_of_its_length(folder: Path) -> None:
    bins = inspected(folder).length_histogram()
    assert bins == [
        (9, 9, {"train": 1, "dev": 1, "test": 1}),
        (10, 10, {"train": 1, "dev": 1, "test": 0}),
        (11, 11, {"train": 1, "dev": 0, "test": 0}),
    ]


def test_json_has_the_same_values(folder: Path) -> None:
    values = json.loads(format_json(inspected(folder).to_dict()))
    assert values["splits"]["train"]["frames_per_clip"] == {"min": 9, "median": 10, "mean": 10, "max": 11}
    assert values["splits"]["dev"]["glosses_per_clip"] == {"min": 1, "median": 2, "mean": 2, "max": 3}
    assert values["splits"]["test"]["signers"] == {"Signer03": 1}
    assert values["breaks_training"] is False
    assert {finding["kind"] for finding in values["findings"]} == {
        "unseen_glosses",
        "equal_sentences",
        "known_signers",
    }


def test_progress_is_reported_clip_by_clip(folder: Path) -> None:
    steps: list[Progress] = []
    inspect_corpus(folder, plan=PLAN, workers=1, progress=steps.append)
    assert [step.done for step in steps] == [1, 2, 3, 4, 5, 6]


# What is worth knowing


def test_glosses_that_training_never_sees_and_sentences_that_it_sees_are_reported(folder: Path) -> None:
    (unseen,) = findings(folder, "unseen_glosses")
    assert not unseen.breaks_training
    assert unseen.what == "glosses of dev that are not in train: 2 (1 distinct)"
    assert unseen.details == ("S+H (2)",)
    (equal,) = findings(folder, "equal_sentences")
    assert not equal.breaks_training
    assert equal.what == "clips of dev whose sentence is also in train: 1 (50.0 %)"
    assert equal.details == ("d-1: the same glosses as a-3",)


def test_clips_too_short_for_their_glosses_are_reported_under_the_plan_of_the_network(folder: Path) -> None:
    assert findings(folder, "too_short_for_glosses") == []
    plan = TemporalPlan.parse(["K5", "P2", "K5", "P2"])  # nine or ten frames make three steps
    (short,) = findings(folder, "too_short_for_glosses", plan)
    assert not short.breaks_training
    # Three glosses, and one step more between two that are equal.
    assert short.details == ("d-2: 10 frames make 3 steps, its 3 glosses need 4",)
    inspection = inspect_corpus(folder, plan=PLAN, frame_interval=4, workers=1)
    assert sum(len(finding.details) for finding in inspection.findings if finding.kind == "too_short_for_glosses") == 3


def test_clips_shorter_than_the_network_takes_break_evaluation(folder: Path) -> None:
    plan = TemporalPlan.parse(["K5", "P2"], min_frames=10)
    found = findings(folder, "too_short", plan)
    assert [(finding.breaks_training, finding.details) for finding in found] == [
        (True, ("d-1: 9 frames",)),
        (True, ("t-1: 9 frames",)),
        (False, ("a-1: 9 frames",)),  # training passes over it
    ]


# What breaks training


def test_a_missing_clip_and_a_damaged_one_are_named(folder: Path) -> None:
    missing, damaged, cut = (folder / "frames" / name for name in ("train/a-1.zip", "dev/d-1.zip", "test/t-1.zip"))
    missing.unlink()
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 0xFF
    damaged.write_bytes(data)
    cut.write_bytes(cut.read_bytes()[:100])
    (finding,) = findings(folder, "missing_frames")
    assert finding.breaks_training
    first, second, third = finding.details
    assert first.startswith(f"train clip a-1: {missing}: there is no such file")
    assert second.startswith(f"dev clip d-1: {damaged}")
    assert third.startswith(f"test clip t-1: {cut}: the file is not a zip, or is cut off")


def test_a_quick_inspection_counts_frames_and_does_not_read_them(folder: Path) -> None:
    path = folder / "frames/dev/d-1.zip"
    with zipfile.ZipFile(path) as archive:
        last = archive.infolist()[-1]
    data = bytearray(path.read_bytes())
    data[last.header_offset + 60] ^= 0xFF
    path.write_bytes(data)
    assert inspected(folder).breaks_training
    assert not inspected(folder, read_frames=False).breaks_training
    (folder / "frames/dev/d-2.zip").unlink()
    assert inspected(folder, read_frames=False).breaks_training


def test_a_clip_with_fewer_frames_than_the_manifest_says_is_named(folder: Path) -> None:
    change_line(folder / "train.jsonl", lambda values: values.update(num_frames=12))
    (finding,) = findings(folder, "missing_frames")
    assert finding.details == (f"train clip a-1: {folder / 'frames/train/a-1.zip'}: 9 frames, but 12 in the manifest",)


def test_frames_of_another_size_are_named(folder: Path) -> None:
    path = folder / "frames/dev/d-1.zip"
    path.unlink()
    picture = io.BytesIO()
    Image.new("RGB", (20, 24)).save(picture, "png")
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(9):
            archive.writestr(f"{number}.png", picture.getvalue())
    (finding,) = findings(folder, "missing_frames")
    assert finding.details == (f"dev clip d-1: {path}: frames of 20×24 pixels, not 16×16",)


def test_names_and_frames_that_occur_twice_are_reported(folder: Path) -> None:
    change_line(folder / "dev.jsonl", lambda values: values.update(sample_id="a-1"))
    change_line(folder / "test.jsonl", lambda values: values.update(frames="frames/train/a-2.zip", num_frames=10))
    (names,) = findings(folder, "duplicate_sample_id")
    assert (names.breaks_training, names.details) == (True, ("a-1: train, dev",))
    (frames,) = findings(folder, "duplicate_frames")
    assert frames.details == ("frames/train/a-2.zip: train, test",)


def test_a_vocabulary_that_disagrees_with_the_manifests_is_reported(folder: Path) -> None:
    path = folder / "vocabulary.txt"
    assert path.read_text() == "ICH\t2\nMORGEN\t4\nOSTERN\t1\nS+H\t2\nWARM\t2\nWETTER\t2\n"
    path.write_text("MORGEN\t3\nICH\t2\nNEBEL\t1\nS+H\t2\nWARM\t2\nWETTER\t2\n")
    (missing,) = findings(folder, "not_in_vocabulary")
    assert (missing.breaks_training, missing.details) == (True, ("OSTERN (1)",))
    (differ,) = findings(folder, "counts_differ")
    assert differ.details == ("MORGEN: 3 in the vocabulary, 4 in the manifests",)
    (unused,) = findings(folder, "unused_glosses")
    assert unused.details == ("NEBEL",)
    assert len(findings(folder, "unsorted_vocabulary")) == 1


def test_a_vocabulary_of_train_only_need_not_have_the_other_glosses(folder: Path, tmp_path: Path) -> None:
    options = PreparationOptions(frame_size=16, vocabulary_splits=("train",))
    prepare(find_reader("phoenix2014"), tmp_path / "release", tmp_path / "train-only", options, workers=1)
    inspection = inspected(tmp_path / "train-only")
    assert not inspection.breaks_training
    (unseen,) = (finding for finding in inspection.findings if finding.kind == "unseen_glosses")
    assert unseen.what == "glosses of dev that are not in train: 2 (1 distinct, 1 of them not in the vocabulary)"


def test_files_that_cannot_be_read_are_findings_and_stop_nothing(folder: Path) -> None:
    (folder / "vocabulary.txt").write_text("ICH\n")
    (folder / "references/dev.stm").write_text("d-1 1\n")
    with (folder / "train.jsonl").open("a") as manifest:
        manifest.write('{"sample_id": 3}\n{\n')
    inspection = inspected(folder)
    kinds = {finding.kind: finding for finding in inspection.findings if finding.breaks_training}
    assert set(kinds) == {"vocabulary", "references", "manifest"}
    assert inspection.num_glosses is None
    assert inspection.splits["train"].clips == 3
    assert [line.split(": ")[0] for line in kinds["manifest"].details] == [
        f"{folder / 'train.jsonl'}:4",
        f"{folder / 'train.jsonl'}:5",
    ]


def test_references_that_lack_a_clip_break_training(folder: Path) -> None:
    (folder / "references/dev.stm").write_text("d-1 1 Signer01 0.0 1.0 MORGEN\n")
    (finding,) = findings(folder, "references")
    assert finding.details == ("d-2",)


def test_clips_in_the_manifest_of_another_split_are_reported(folder: Path) -> None:
    change_line(folder / "dev.jsonl", lambda values: values.update(split="train"))
    (finding,) = findings(folder, "wrong_split")
    assert finding.details == ("d-1: in the manifest of dev, but its split is 'train'",)


def test_a_corpus_that_has_nothing_to_learn_from_breaks_training(folder: Path) -> None:
    (folder / "train.jsonl").write_text("")
    (finding,) = findings(folder, "empty_split")
    assert "no clip of train" in finding.what
    (differ,) = findings(folder, "counts_differ")
    assert differ.details == ("train: corpus.yaml says 3 clips, the manifest has 0",)
    path = folder / "corpus.yaml"
    values = yaml.safe_load(path.read_text())
    del values["splits"]["dev"]
    path.write_text(yaml.safe_dump(values))
    assert {finding.what.split(":")[0] for finding in findings(folder, "empty_split")} == {
        "no clip of train",
        "no clip of dev",
    }


def test_without_frames_nothing_can_be_trained(folder: Path, tmp_path: Path) -> None:
    options = PreparationOptions(frames=False)
    prepare(find_reader("phoenix2014"), tmp_path / "release", tmp_path / "bare", options)
    inspection = inspected(tmp_path / "bare")
    assert inspection.breaks_training
    assert inspection.splits["train"].frames is None
    assert inspection.length_histogram() == []
    assert "--no-frames" in inspection.findings[0].what


def test_what_breaks_training_comes_first(folder: Path) -> None:
    (folder / "frames/train/a-1.zip").unlink()
    assert [finding.breaks_training for finding in inspected(folder).findings] == [True, False, False, False, False]


def test_several_processes_find_the_same(folder: Path) -> None:
    (folder / "frames/train/a-1.zip").unlink()
    assert inspect_corpus(folder, plan=PLAN, workers=2).findings == inspected(folder).findings


def test_a_folder_that_is_no_prepared_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a prepared corpus"):
        inspected(tmp_path)


# Plots


@pytest.mark.parametrize("name", ["plot.png", "plot.svg", "plot.PDF"])
def test_plots_are_written_in_the_format_of_the_name(folder: Path, tmp_path: Path, name: str) -> None:
    draw_plots(inspected(folder), tmp_path / name)
    beginning = (tmp_path / name).read_bytes()[:5]
    assert beginning in (b"\x89PNG\r", b"<?xml", b"%PDF-")


def test_plots_of_a_corpus_without_frames_have_its_glosses(folder: Path, tmp_path: Path) -> None:
    prepare(find_reader("phoenix2014"), tmp_path / "release", tmp_path / "bare", PreparationOptions(frames=False))
    draw_plots(inspected(tmp_path / "bare"), tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.width > 1000


def test_a_format_that_cannot_be_written_is_reported(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown picture format") as caught:
        draw_plots(inspected(folder), tmp_path / "plot.docx")
    assert caught.value.hint is not None
    assert ".png" in caught.value.hint
    assert not (tmp_path / "plot.docx").exists()
