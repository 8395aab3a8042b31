from __future__ import annotations

import dataclasses
import multiprocessing
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cslr_cli.choices import Layout
from cslr_cli.corpora.phoenix2014 import Phoenix2014
from cslr_cli.corpora.preparation import PreparationOptions, prepare
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import DataError
from cslr_cli.locks import LockedError, lock_folder
from cslr_cli.progress import Progress
from tests.corpora.phoenix_release import CLIPS, write_annotation
from tests.corpora.preparation.steps import SMALL, contents, interrupt_after, prepared, refused

# Interrupted, and started again


@pytest.mark.parametrize("layout", ["zip", "folder"])
@pytest.mark.parametrize("num_clips", [1, 3, 4])
def test_a_preparation_that_was_stopped_goes_on_and_ends_with_the_same_bytes(
    release: Path, tmp_path: Path, num_clips: int, layout: Layout
) -> None:
    options = dataclasses.replace(SMALL, layout=layout)
    prepared(release, tmp_path / "whole", options)
    output = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        prepared(release, output, options, interrupt_after(num_clips))
    with pytest.raises(DataError, match="is not finished"):
        PreparedCorpus.open(output)
    finished = {path: path.stat().st_mtime_ns for path in (output / "frames").glob("*/*")}
    assert len(finished) == num_clips
    report = prepared(release, output, options)
    assert report.clips_finished_before == num_clips
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert contents(output) == contents(tmp_path / "whole")


KILLED_SCRIPT = """
import os, signal, sys
from pathlib import Path
from cslr_cli.corpora.preparation import clip_writer
from cslr_cli.corpora.phoenix2014 import Phoenix2014
from cslr_cli.corpora.preparation import PreparationOptions, prepare

encode, calls = clip_writer._encode, []

def encode_and_die(*arguments):
    calls.append(1)
    if len(calls) == 5:  # in the middle of the second clip
        os.kill(os.getpid(), signal.SIGKILL)
    return encode(*arguments)

clip_writer._encode = encode_and_die
options = PreparationOptions(frame_size=32, layout=sys.argv[3])
prepare(Phoenix2014(), Path(sys.argv[1]), Path(sys.argv[2]), options, workers=1)
"""


@pytest.mark.parametrize("layout", ["zip", "folder"])
def test_what_a_killed_preparation_left_half_written_is_cleared_away(
    release: Path, tmp_path: Path, layout: Layout
) -> None:
    output = tmp_path / "killed"
    done = subprocess.run([sys.executable, "-c", KILLED_SCRIPT, str(release), str(output), layout], check=False)
    assert done.returncode == -signal.SIGKILL
    assert list(output.rglob(".*.unfinished*"))
    options = dataclasses.replace(SMALL, layout=layout)
    assert prepared(release, output, options).clips_finished_before == 1
    prepared(release, tmp_path / "whole", options)
    assert contents(output) == contents(tmp_path / "whole")


def test_several_processes_write_the_same_bytes_as_one(release: Path, tmp_path: Path) -> None:
    prepared(release, tmp_path / "one")
    steps: list[Progress] = []
    report = prepare(Phoenix2014(), release, tmp_path / "two", SMALL, workers=2, progress=steps.append)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert [step.done for step in steps] == [1, 2, 3, 4]
    assert {step.total for step in steps} == {4}
    assert steps[-1].figures["frames"] == sum(counts.frames or 0 for counts in report.splits.values())
    assert multiprocessing.active_children() == []


def test_a_finished_corpus_is_left_as_it_is(release: Path, tmp_path: Path) -> None:
    output = tmp_path / "prepared"
    first = prepared(release, output)
    before = contents(output)
    again = prepared(release, output)
    assert again == dataclasses.replace(first, clips_finished_before=4)
    assert contents(output) == before


def test_a_clip_whose_zip_was_damaged_since_is_done_again(release: Path, tmp_path: Path) -> None:
    output = tmp_path / "prepared"
    prepared(release, output)
    before = contents(output)
    path = output / "frames" / "dev" / f"{CLIPS['dev'][0][0]}.zip"
    path.write_bytes(path.read_bytes()[:100])
    assert prepared(release, output).clips_finished_before == 3
    assert contents(output) == before


# Something else is there


@pytest.mark.parametrize("num_clips", [1, None])
def test_other_options_than_those_of_the_corpus_that_is_there_are_refused(
    release: Path, tmp_path: Path, num_clips: int | None
) -> None:
    output = tmp_path / "prepared"
    if num_clips is None:
        prepared(release, output)
    else:
        with pytest.raises(KeyboardInterrupt):
            prepared(release, output, progress=interrupt_after(num_clips))
    before = contents(output)
    error = refused(release, output, PreparationOptions(frame_size=64, interpolation="area"))
    assert "frame_size was 32, is 64 now; interpolation was lanczos, is area now" in error.message
    assert error.hint is not None
    assert "choose another --output" in error.hint
    assert contents(output) == before


def test_a_second_release_is_refused_but_one_that_was_moved_is_not(release: Path, tmp_path: Path) -> None:
    output = tmp_path / "prepared"
    prepared(release, output)
    second = tmp_path / "second"
    shutil.copytree(release, second)
    error = refused(second, output)
    assert f"source was {release}, is {second} now" in error.message
    shutil.rmtree(release)
    assert prepared(second, output).clips_finished_before == 4


def test_an_annotation_that_has_changed_is_refused(release: Path, tmp_path: Path) -> None:
    output = tmp_path / "prepared"
    prepared(release, output)
    path = release / "annotations" / "manual" / "dev.corpus.csv"
    write_annotation(release, "dev", path.read_text().replace("MORGEN", "GESTERN"))
    assert "the annotations or the drawn splits have changed" in refused(release, output).message


def test_a_folder_with_other_things_in_it_is_not_written_to(release: Path, tmp_path: Path) -> None:
    output = tmp_path / "documents"
    output.mkdir()
    (output / "thesis.tex").touch()
    assert "the folder has files that do not belong to a prepared corpus" in refused(release, output).message
    assert [path.name for path in output.iterdir()] == ["thesis.tex"]


def test_two_preparations_do_not_work_in_one_folder(release: Path, tmp_path: Path) -> None:
    output = tmp_path / "prepared"
    output.mkdir()
    with lock_folder(output, "cslr prepare", "wait"), pytest.raises(LockedError, match="is writing to this folder"):
        prepared(release, output)
    assert list(output.iterdir()) == []


def test_an_output_that_cannot_be_made_is_reported(release: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be read or written (Not a directory)" in refused(release, tmp_path / "file" / "prepared").message


def test_a_full_disk_leaves_nothing_half_written_and_the_next_call_goes_on(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "prepared"
    written = []

    def write_or_fail(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, data: bytes) -> None:
        written.append(entry)
        if len(written) == 5:
            raise OSError(28, "No space left on device")
        archive._writestr(entry, data)  # type: ignore[attr-defined]

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "_writestr", zipfile.ZipFile.writestr, raising=False)
        patch.setattr(zipfile.ZipFile, "writestr", write_or_fail)
        error = refused(release, output)
    assert "cannot be written (No space left on device)" in error.message
    assert list(output.rglob("*.unfinished*")) == []
    assert prepared(release, output).clips_finished_before == 1


def test_the_release_is_only_read(release: Path, tmp_path: Path) -> None:
    before = contents(release)
    prepared(release, tmp_path / "prepared")
    assert contents(release) == before


def test_an_error_in_a_worker_process_reaches_the_caller_with_its_hint(release: Path, tmp_path: Path) -> None:
    output = tmp_path / "prepared"
    with pytest.raises(KeyboardInterrupt):
        prepared(release, output, progress=interrupt_after(1))
    (output / "frames" / "test").touch()  # a file where a folder must be
    with pytest.raises(DataError, match="cannot be written") as caught:
        prepare(Phoenix2014(), release, output, SMALL, workers=2)
    assert caught.value.hint is not None
    assert "repeat the command; it continues" in caught.value.hint
    assert multiprocessing.active_children() == []
