from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cslr_cli.cli.inputs import find_inputs, is_video_file, output_names


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Videos, pictures and other things; only names count here."""
    for name in (
        *("b.mp4", "a.MOV", "notes.txt", "[odd] talk.mp4", "o talk.mp4"),
        *("week/2.mp4", "week/1.mkv", "week/clip.zip", "week/read me.txt", "week/.hidden.mp4"),
        *("week/frames/001.png", "week/deeper/3.mp4", "week/empty/readme"),
        *("frames/1.jpg", "frames/2.jpg", "nothing/readme"),
        *("film/talk.mp4", "film/poster.jpg"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*arguments: str, listed: str = "") -> list[str]:
    return [path.as_posix() for path in find_inputs(arguments, lambda: listed)]


def test_named_files_are_inputs_whatever_their_suffix_and_order(recordings: Path) -> None:
    assert found("b.mp4", "notes.txt", "a.MOV", "b.mp4") == ["b.mp4", "notes.txt", "a.MOV", "b.mp4"]


def test_a_folder_of_pictures_is_one_input(recordings: Path) -> None:
    assert found("frames", "frames/") == ["frames", "frames"]


def test_a_folder_of_videos_stands_for_its_direct_contents(recordings: Path) -> None:
    assert found("week") == ["week/1.mkv", "week/2.mp4", "week/clip.zip", "week/frames"]


def test_pictures_next_to_videos_are_not_inputs(recordings: Path) -> None:
    assert found("film") == ["film/talk.mp4"]


def test_a_missing_input_is_returned_unchanged(recordings: Path) -> None:
    assert found("missing.mp4", "nothing", "*.avi") == ["missing.mp4", "nothing", "*.avi"]


def test_patterns_are_expanded_in_order_of_names(recordings: Path) -> None:
    assert found("*.mp4") == ["[odd] talk.mp4", "b.mp4", "o talk.mp4"]
    assert found("**/*.mp4") == [
        *("[odd] talk.mp4", "b.mp4", "film/talk.mp4", "o talk.mp4", "week/2.mp4", "week/deeper/3.mp4")
    ]
    assert found("w*k") == found("week")


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(recordings: Path) -> None:
    assert found("[odd] talk.mp4") == ["[odd] talk.mp4"]


def test_standard_input_gives_one_path_per_line(recordings: Path) -> None:
    assert found("a.MOV", "-", listed="\ufeffb.mp4\n\nframes\r\n  missing.mp4\n") == [
        "a.MOV",
        "b.mp4",
        "frames",
        "missing.mp4",
    ]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_returned_unchanged(recordings: Path) -> None:
    Path("week").chmod(0)
    try:
        assert found("week") == ["week"]
    finally:
        Path("week").chmod(0o755)


def test_a_video_is_distinguished_from_pictures(recordings: Path) -> None:
    assert [is_video_file(Path(name)) for name in ("b.mp4", "week/clip.zip", "frames")] == [True, False, False]


# Names of outputs


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        (["talk.mp4"], ["talk"]),
        (["monday/talk.mp4", "tuesday/talk.mp4", "other.mp4"], ["monday_talk", "tuesday_talk", "other"]),
        (["talk.mp4", "talk.mov"], ["talk.mp4", "talk.mov"]),
        (["a/talk.mp4", "a/talk.mov", "b/talk.mp4"], ["talk.mp4", "talk.mov", "b_talk"]),
        (["x/a/talk.mp4", "y/a/talk.mp4"], ["x_a_talk.mp4", "y_a_talk.mp4"]),
        (["talk.mp4", "talk.mp4"], ["talk_1", "talk_2"]),
        ([], []),
    ],
)
def test_an_output_name_is_the_shortest_unique_part_of_the_path(inputs: list[str], names: list[str]) -> None:
    assert output_names([Path(path) for path in inputs]) == names


paths = st.lists(st.sampled_from(["a", "b", "A", "a_b"]), min_size=1, max_size=3).flatmap(
    lambda folders: st.sampled_from(["a.mp4", "a.mov", "b.mp4", "a_a.mp4", "A.mp4"]).map(
        lambda name: Path(*folders, name)
    )
)


@given(st.lists(paths, max_size=8))
def test_no_two_outputs_ever_share_a_name(inputs: list[Path]) -> None:
    names = output_names(inputs)
    assert len({name.casefold() for name in names}) == len(inputs)
    assert all("/" not in name for name in names)
