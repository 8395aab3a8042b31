from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cslr_cli.dataset.manifest import PreparedCorpus
from tests.cli.conftest import Command


@pytest.fixture
def checkpoint(trained: Path) -> list[str]:
    return ["--checkpoint", str(trained), "--precision", "fp32", "--device", "cpu"]


def test_a_corpus_gives_one_file_per_clip_or_per_split(
    cslr: Command, checkpoint: list[str], tiny_corpus: PreparedCorpus, workplace: Path
) -> None:
    corpus = ["--corpus", "prepared/synthetic", "--split", "dev"]
    done = cslr("features", *corpus, *checkpoint)
    frames = sum(sample.num_frames or 0 for sample in tiny_corpus.samples("dev"))
    assert done.status == 0
    assert done.stdout.startswith(f"features/synthetic/dev: 4 clips, {frames} frames, ")
    names = sorted(path.stem for path in Path("features/synthetic/dev").glob("*.npz"))
    assert names == sorted(sample.sample_id for sample in tiny_corpus.samples("dev"))
    done = cslr("features", *corpus, *checkpoint, "--single-file", "--json")
    counts = json.loads(done.stdout)
    assert counts["output"] == "features/synthetic/dev.npz"
    assert len(np.load("features/synthetic/dev.npz")["frame_features"]) == counts["frames"] == frames


def test_videos_give_one_file_each_and_a_bad_one_is_skipped(
    cslr: Command, checkpoint: list[str], tiny_corpus: PreparedCorpus
) -> None:
    clips = [tiny_corpus.frames_path(sample) for sample in tiny_corpus.samples("test")[:2]]
    Path("text.mp4").write_text("no video")
    too_long = "l" * 300 + ".mp4"
    done = cslr("features", clips[0], "text.mp4", too_long, clips[1], *checkpoint, "--output", "out")
    assert done.status == 1
    assert "error: text.mp4" in done.stderr
    assert f"error: {too_long}" in done.stderr
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(
        ["features.json", "ledger.jsonl", ".cslr-output.json", *(f"{clip.stem}.npz" for clip in clips)]
    )


def test_a_bad_clip_of_a_corpus_is_named_and_the_others_are_written(
    cslr: Command, checkpoint: list[str], tiny_corpus: PreparedCorpus, workplace: Path
) -> None:
    import shutil

    shutil.copytree(tiny_corpus.path, workplace / "damaged")
    bad, *_ = tiny_corpus.samples("dev")
    (workplace / "damaged" / bad.frames).write_bytes(b"no zip")
    done = cslr("features", "--corpus", "damaged", "--split", "dev", *checkpoint)
    assert done.status == 1
    assert bad.sample_id in done.stderr
    assert len(list(Path("features/damaged/dev").glob("*.npz"))) == 3


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        ([], "neither videos nor --corpus"),
        (["clip.mp4", "--corpus", "prepared/synthetic"], "both videos and --corpus"),
        (["clip.mp4", "--split", "dev"], "--split without --corpus"),
        (
            ["--corpus", "prepared/synthetic", "--source-fps", "30"],
            "--source-fps, --start, --end and --frame-fit do not apply",
        ),
        (["clip.mp4", "--source-fps", "0"], "the frame rate is 0 frames per second; expected 1 to 1000"),
    ],
)
def test_contradicting_options_are_refused(
    cslr: Command, checkpoint: list[str], arguments: list[str], reported: str
) -> None:
    done = cslr("features", *arguments, *checkpoint)
    assert done.status == 2
    assert reported in done.stderr
    assert not Path("features").exists()


def test_an_unwritable_output_folder_is_an_error(
    cslr: Command, checkpoint: list[str], tiny_corpus: PreparedCorpus
) -> None:
    Path("taken").write_text("a file")
    done = cslr("features", "--corpus", "prepared/synthetic", *checkpoint, "--output", "taken")
    assert done.status == 1
    assert "taken" in done.stderr
    assert "Traceback" not in done.stderr
