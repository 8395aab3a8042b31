from __future__ import annotations

import sys
import warnings
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any
from xml.etree import ElementTree

import pytest

from cslr_cli.errors import MissingPackageError
from cslr_cli.output.formats import FORMATS, FormatOptions
from cslr_cli.recognition import Alternative, Recognition
from cslr_cli.scoring import TimedGloss
from tests.output.recognitions import GLOSSES, ODD, ONE, recognised, two_sentences

elan = pytest.importorskip("pympi.Elan")
praat = pytest.importorskip("pympi.Praat")


def eaf(where: Path, recognition: Recognition, **options: Any) -> Path:
    path = where / "talk.eaf"
    path.write_text(FORMATS["eaf"].document(recognition, FormatOptions(**options)), encoding="utf-8")
    return path


def tiers_of(path: Path) -> dict[str, list[tuple[int, int, str]]]:
    """The annotations of each tier: start and end in milliseconds, and text, as pympi reads them."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of versions of the format that pympi does not know
        document = elan.Eaf(str(path))
    return {
        name: [tuple(found[:3]) for found in document.get_annotation_data_for_tier(name)] for name in document.tiers
    }


# ELAN


def test_an_elan_document_has_a_tier_for_each_hypothesis(tmp_path: Path) -> None:
    other = Alternative((TimedGloss("HEUTE", 0.0, 0.4, 0.2),), -3.0)
    assert tiers_of(eaf(tmp_path, recognised(*GLOSSES, nbest=(other,)))) == {
        "glosses": [(40, 360, "GESTERN"), (800, 1120, "A<B&C>"), (3_599_960, 3_600_200, '今天"x",ÄÖÜ')],
        "glosses 2": [(0, 400, "HEUTE")],
    }


def test_confidences_have_a_tier_if_wanted(tmp_path: Path) -> None:
    tiers = tiers_of(eaf(tmp_path, recognised(*GLOSSES), show_confidence=True))
    assert list(tiers) == ["glosses", "confidence"]
    assert tiers["confidence"] == [(40, 360, "0.62"), (800, 1120, "0.90")]  # the third has no confidence
    (tmp_path / "talk.TextGrid").write_text(
        FORMATS["textgrid"].document(recognised(ONE), FormatOptions(show_confidence=True))
    )
    grid = praat.TextGrid(str(tmp_path / "talk.TextGrid"))
    assert [interval for interval in grid.get_tier("confidence").get_intervals() if interval[2]] == [
        (0.04, 0.36, "0.62")
    ]


def test_annotations_have_a_tier_for_the_sentences_and_for_the_other_head_if_wanted(tmp_path: Path) -> None:
    tiers = {
        "glosses": [(40, 360, "GESTERN"), (800, 1120, "A<B&C>"), (20000, 20500, "MOND")],
        "glosses 2": [(20000, 20500, "SONNE")],
        "sentences": [(0, 2000, "GESTERN A<B&C>"), (19000, 21000, "MOND")],
    }
    assert tiers_of(eaf(tmp_path, two_sentences())) == tiers
    other_head = {"convolution head": [(40, 360, "GESTERN"), (20000, 20500, "SONNE")]}
    assert tiers_of(eaf(tmp_path, two_sentences(), all_heads=True)) == tiers | other_head
    for all_heads in (False, True):
        path = tmp_path / "talk.TextGrid"
        path.write_text(FORMATS["textgrid"].document(two_sentences(), FormatOptions(all_heads=all_heads)))
        names = {tier.name for tier in praat.TextGrid(str(path)).get_tiers()}
        assert names == tiers.keys() | (other_head.keys() if all_heads else set())


def test_an_elan_document_follows_version_3(tmp_path: Path) -> None:
    root = ElementTree.parse(eaf(tmp_path, two_sentences(), all_heads=True)).getroot()
    assert root.tag == "ANNOTATION_DOCUMENT"
    assert (root.get("VERSION"), root.get("FORMAT")) == ("3.0", "3.0")
    assert {"AUTHOR", "DATE"} <= set(root.keys())
    schema = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
    assert root.get(schema) == "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
    order = [child.tag for child in root]
    expected = ["HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "CONSTRAINT"]
    assert list(dict.fromkeys(order)) == expected  # the schema demands them in this order
    header = root.find("HEADER")
    assert header is not None
    assert header.get("TIME_UNITS") == "milliseconds"

    slots = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE", "-1")) for slot in root.iter("TIME_SLOT")}
    assert list(slots) == [f"ts{number}" for number in range(1, len(slots) + 1)]
    assert list(slots.values()) == sorted(slots.values())
    annotations = list(root.iter("ALIGNABLE_ANNOTATION"))
    used = [annotation.get(name) for annotation in annotations for name in ("TIME_SLOT_REF1", "TIME_SLOT_REF2")]
    assert sorted(map(str, used)) == sorted(map(str, slots))  # each once
    assert all(slots[a.get("TIME_SLOT_REF1")] < slots[a.get("TIME_SLOT_REF2")] for a in annotations)
    ids = [str(annotation.get("ANNOTATION_ID")) for annotation in annotations]
    assert len(set(ids)) == len(ids)
    last = header.find("PROPERTY[@NAME='lastUsedAnnotationId']")
    assert last is not None
    assert int(str(last.text)) == max(int(name.removeprefix("a")) for name in ids)
    types = {kind.get("LINGUISTIC_TYPE_ID") for kind in root.iter("LINGUISTIC_TYPE")}
    assert {tier.get("LINGUISTIC_TYPE_REF") for tier in root.iter("TIER")} <= types


def linked(path: Path) -> dict[str, str]:
    found = ElementTree.parse(path).getroot().find("HEADER/MEDIA_DESCRIPTOR")
    return {} if found is None else dict(found.attrib)


def test_the_video_is_linked_by_absolute_and_relative_path(tmp_path: Path) -> None:
    video = tmp_path / "my talks" / "täglich 1.MOV"
    path = eaf(tmp_path, recognised(ONE), video=video, output_dir=tmp_path / "out")
    assert linked(path) == {
        "MEDIA_URL": f"file://{video.as_posix()}",
        "RELATIVE_MEDIA_URL": "../my talks/täglich 1.MOV",
        "MIME_TYPE": "video/quicktime",
    }
    beside = linked(eaf(tmp_path, recognised(ONE), video=video, output_dir=video.parent))
    assert beside["RELATIVE_MEDIA_URL"] == "./täglich 1.MOV"
    assert "RELATIVE_MEDIA_URL" not in linked(eaf(tmp_path, recognised(ONE), video=video))


@pytest.mark.parametrize(
    ("video", "folder"),
    [
        ("talk.mp4", "."),
        ("talk.mp4", "notes"),
        ("my talks/täglich 1%20.mp4", "notes/elan"),
        ("my talks/täglich 1%20.mp4", "link to elan"),
        ("link to talks/a.mp4", "notes"),
        ("link to talks/a.mp4", "link to elan"),
        ("link to talks/a.mp4", "link to talks"),
        ("link.mp4", "store/elan"),
        ("..mp4", "."),
    ],
)
@pytest.mark.parametrize("absolute", [False, True])
def test_the_relative_link_leads_from_the_folder_of_the_document_to_the_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, video: str, folder: str, absolute: bool
) -> None:
    work = tmp_path / "work"
    for name in ("work/my talks", "work/notes/elan", "work/store/elan", "disk/deep/talks", "disk/elan"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(work)
    Path("link to talks").symlink_to(tmp_path / "disk" / "deep" / "talks")
    Path("link to elan").symlink_to("../disk/elan")
    Path("link.mp4").symlink_to("../disk/deep/talks/b.mp4")
    Path("../disk/deep/talks/b.mp4").touch()
    Path(video).touch()
    output_dir = work / folder if absolute else Path(folder)
    link = linked(eaf(tmp_path, recognised(ONE), video=Path(video), output_dir=output_dir))["RELATIVE_MEDIA_URL"]
    assert link.startswith(("./", "../"))  # ELAN takes everything else for an absolute path
    monkeypatch.chdir(folder)
    assert Path(link).samefile(work / video)
    assert Path(link).name == Path(video).name  # a link to a video stays a link: its name may matter


def test_a_video_on_another_drive_has_no_relative_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise ValueError("path is on mount 'C:', start on mount 'D:'")

    monkeypatch.setattr("os.path.relpath", fail)
    attributes = linked(eaf(tmp_path, recognised(ONE), video=tmp_path / "talk.mp4", output_dir=tmp_path))
    assert attributes.keys() == {"MEDIA_URL", "MIME_TYPE"}


@pytest.mark.parametrize(
    ("path", "url"),
    [
        (PurePosixPath("/home/me/täglich 1%20.mp4"), "file:///home/me/täglich 1%20.mp4"),
        (PureWindowsPath(r"C:\Users\me\täglich 1.mp4"), "file:///C:/Users/me/täglich 1.mp4"),
        (PureWindowsPath(r"\\server\share\talk.mp4"), "file://server/share/talk.mp4"),
    ],
)
def test_urls_of_videos_are_written_like_those_of_elan(path: PurePath, url: str) -> None:
    from cslr_cli.output.elan_praat import file_url  # needs pympi

    assert file_url(path) == url


@pytest.mark.parametrize(("suffix", "kind"), [(".mp4", "video/mp4"), (".mpg", "video/mpeg"), (".mkv", "video/*")])
def test_the_mime_type_is_one_that_elan_knows(tmp_path: Path, suffix: str, kind: str) -> None:
    assert linked(eaf(tmp_path, recognised(ONE), video=tmp_path / f"talk{suffix}"))["MIME_TYPE"] == kind


def test_a_recording_without_video_has_no_link(tmp_path: Path) -> None:
    assert linked(eaf(tmp_path, recognised(ONE))) == {}


# Praat


def test_a_textgrid_has_one_tier_per_hypothesis_over_the_whole_time(tmp_path: Path) -> None:
    path = tmp_path / "talk.TextGrid"
    quoted = TimedGloss('SAY "NO"', 1.5, 1.75)
    other = Alternative((ODD,), -2.0)
    path.write_text(FORMATS["textgrid"].document(recognised(ONE, quoted, nbest=(other,))), encoding="utf-8")
    grid = praat.TextGrid(str(path))
    assert (grid.xmin, grid.xmax) == (0.0, 3602.0)
    tiers = {tier.name: list(tier.get_all_intervals()) for tier in grid.get_tiers()}
    assert list(tiers) == ["glosses", "glosses 2"]
    assert [found for found in tiers["glosses"] if found[2]] == [(0.04, 0.36, "GESTERN"), (1.5, 1.75, 'SAY "NO"')]
    for intervals in tiers.values():
        edges = [edge for start, end, _ in intervals for edge in (start, end)]
        assert (edges[0], edges[-1]) == (0.0, 3602.0)
        assert edges[1:-1:2] == edges[2::2]  # no gaps, as Praat wants it


def test_an_empty_textgrid_is_one_empty_interval(tmp_path: Path) -> None:
    path = tmp_path / "talk.TextGrid"
    path.write_text(FORMATS["textgrid"].document(recognised()), encoding="utf-8")
    (tier,) = praat.TextGrid(str(path)).get_tiers()
    assert list(tier.get_all_intervals()) == [(0.0, 3602.0, "")]


@pytest.mark.parametrize("name", ["eaf", "textgrid"])
def test_a_missing_package_is_an_error_with_the_install_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cslr_cli.output.elan_praat", raising=False)
    for module in ("pympi", "pympi.Elan", "pympi.Praat"):
        monkeypatch.setitem(sys.modules, module, None)
    for act in (FORMATS[name].load_function, lambda: FORMATS[name].document(recognised(ONE))):
        with pytest.raises(MissingPackageError, match="pympi-ling") as caught:
            act()
        assert "pip install '.[elan]'" in str(caught.value)
