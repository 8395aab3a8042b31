"""Glosses, names and paths that look equal are equal."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cslr_cli.corpora import CORPORA, OwnCorpus, Release, ReleasePaths, read_release
from cslr_cli.corpora.inspection.checks import check_spelling
from cslr_cli.corpora.preparation import PreparationOptions, prepare
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.untrusted import normalize_label
from cslr_cli.vocabulary import Vocabulary
from tests.corpora.releases import ANNOTATIONS, write_frames
from tests.corpora.test_corpora import EVERY, RELEASES

NFD_UEBER = unicodedata.normalize("NFD", "ÜBER")
INVISIBLE = "\u200b\u200c\u200d\u00ad\ufeff\u2060\u200e"


def read(manifest: Path) -> Release:
    reader = OwnCorpus("mine", manifest=manifest)
    return reader.read(ReleasePaths(manifest.parent)).check()


@given(st.text(alphabet="aÄ한が\u0308\u200b\u00ad\ufeff他 "))
def test_normalising_is_nfc_without_invisible_characters_and_done_once(text: str) -> None:
    clean = normalize_label(text)
    assert clean == unicodedata.normalize("NFC", "".join(each for each in text if each not in INVISIBLE))
    assert normalize_label(clean) == clean


def test_glosses_names_and_signers_that_look_equal_are_equal_and_a_note_says_so(tmp_path: Path) -> None:
    rows = [
        f"a.mp4,ÜBER A{INVISIBLE}B,train,Jürg,x1",
        f"b.mp4,{NFD_UEBER} AB {INVISIBLE},dev,{unicodedata.normalize('NFD', 'Jürg')},{NFD_UEBER}",
    ]
    path = tmp_path / "clips.csv"
    path.write_text("\n".join(["path,glosses,split,signer,id", *rows]), encoding="utf-8")
    release = read(path)
    assert [sample.glosses for sample in release.samples] == [("ÜBER", "AB")] * 2
    assert [(sample.signer, sample.sample_id) for sample in release.samples] == [("Jürg", "x1"), ("Jürg", "ÜBER")]
    (note,) = (note for note in release.notes if "normalised" in note)
    assert "'AB' (with soft hyphen, zero width space, zero width non-joiner, " in note
    assert "'ÜBER' (not in NFC)" in note


@pytest.mark.parametrize("key", ["path", "glosses", "id", "signer", "translation"])
def test_text_that_is_no_unicode_is_a_fault(key: str, tmp_path: Path) -> None:
    path = tmp_path / "clips.jsonl"
    line = {"path": "a.mp4", "glosses": "A", "id": "x"} | {key: "\ud800"}
    path.write_text(json.dumps(line), encoding="utf-8")
    with pytest.raises(Exception, match=r"clips\.jsonl:1: '\\ud800.*' is no valid Unicode text"):
        read(path)


def test_names_that_look_equal_are_duplicates(tmp_path: Path) -> None:
    path = tmp_path / "clips.csv"
    rows = ["a.mp4,A,train,Ü", f"b.mp4,A,dev,{unicodedata.normalize('NFD', 'Ü')}"]
    path.write_text("\n".join(["path,glosses,split,id", *rows]), encoding="utf-8")
    with pytest.raises(Exception, match="duplicate clip 'Ü', first in"):
        read(path)


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_path_matches_the_file_in_either_unicode_form(
    forms: tuple[Literal["NFC", "NFD"], Literal["NFC", "NFD"]], tmp_path: Path
) -> None:
    written, on_disk = forms
    name = "Müller/Übung 1"
    write_frames(tmp_path / unicodedata.normalize(on_disk, name))
    path = tmp_path / "clips.csv"
    path.write_text(f"path,glosses,split\n{unicodedata.normalize(written, name)},A,train\n", encoding="utf-8")
    (sample,) = read(path).samples
    assert (tmp_path / sample.frames).is_dir()
    report = prepare(
        OwnCorpus("mine", manifest=path), tmp_path, tmp_path / "out", PreparationOptions(frame_size=16), workers=1
    )
    assert (report.faults, report.splits["train"].frames) == ((), 3)
    assert sample.sample_id == "Übung_1"


@EVERY
def test_vocabularies_of_the_published_corpora_stay_as_they_are(name: str, tmp_path: Path) -> None:
    """Glosses of the real lines, taken from the text without the package."""
    write, _ = RELEASES[name]
    release = read_release(CORPORA[name], ReleasePaths(write(tmp_path))).check()
    prepare(CORPORA[name], ReleasePaths(tmp_path), tmp_path / "out", PreparationOptions(frames=False))
    found = Counter(gloss for sample in release.samples for gloss in sample.glosses)
    assert PreparedCorpus.open(tmp_path / "out").vocabulary.glosses == tuple(sorted(found))
    file = {"phoenix2014-si5": "phoenix2014.corpus.csv", "csl": "csl.txt", "csl-daily": "csl-daily.video_map.txt"}
    text = (ANNOTATIONS / file.get(name, f"{name}.corpus.csv")).read_text(encoding="utf-8")
    column = {"csl": 1, "phoenix2014-T": 5}.get(name, 3)
    real = {gloss for line in text.splitlines() for gloss in line.split("|")[column].split()}
    assert found.keys() <= real
    assert not any("normalised" in note for note in release.notes)


def test_glosses_that_differ_only_in_case_or_width_are_found() -> None:
    vocabulary = Vocabulary.from_counts({"Haus": 2, "HAUS": 5, "AB": 1, "ＡＢ": 1, "BAUM": 3})
    (finding,) = check_spelling(vocabulary)
    assert (finding.kind, finding.breaks_training) == ("similar_glosses", False)
    assert finding.details == ("AB (1), ＡＢ (1)", "HAUS (5), Haus (2)")
    assert list(check_spelling(Vocabulary.from_counts({"HAUS": 1, "BAUM": 1}))) == []
