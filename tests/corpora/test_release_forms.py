"""Releases in the forms in which people have them: videos and zips instead of folders, downloads, archives."""

from __future__ import annotations

import os
import pickle
import shutil
import tarfile
import unicodedata
import zipfile
from pathlib import Path

import pytest

from cslr_cli.corpora import CORPORA, AnnotationError, Release, ReleasePaths, read_release
from cslr_cli.corpora.csl import CSL
from cslr_cli.corpora.preparation import PreparationOptions, prepare
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import DataError, UsageError
from tests.corpora.releases import (
    NUM_FRAMES,
    PHOENIX_FRAMES,
    annotation_lines,
    write_csl,
    write_csl_daily,
    write_frames,
    write_phoenix2014,
    write_phoenix2014_t,
    write_si5,
    write_text,
)
from tests.corpora.test_corpora import EVERY, RELEASES
from tests.corpora.test_own_corpus import write_counting_video


def read(name: str, source: Path, annotations: Path | None = None) -> Release:
    return read_release(CORPORA[name], ReleasePaths(source, annotations)).check()


def clip_folders(release: Path) -> list[Path]:
    """The folders of pictures below a folder."""
    pictures = [*release.rglob("*.png"), *release.rglob("*.jpg")]
    return sorted({path.parent for path in pictures})


def replace_by(folder: Path, suffix: str) -> None:
    """Replace a folder of a clip by a zip or a video of its name; PHOENIX has the pictures in a folder `1`."""
    outer = folder.parent if folder.name == "1" else folder
    if suffix == ".zip":
        with zipfile.ZipFile(outer.with_name(f"{outer.name}.zip"), "w") as archive:
            for path in folder.iterdir():
                archive.write(path, path.name)
    else:
        write_counting_video(outer.with_name(f"{outer.name}{suffix}"), NUM_FRAMES, 30 if suffix == ".avi" else 25)
    shutil.rmtree(outer)


@EVERY
@pytest.mark.parametrize("suffix", [".zip", ".mp4", ".avi"])
def test_a_zip_or_a_video_stands_for_a_folder_of_pictures(name: str, suffix: str, tmp_path: Path) -> None:
    write, clips = RELEASES[name]
    source = write(tmp_path / "release")
    for folder in clip_folders(tmp_path / "release")[1:]:  # one clip stays a folder
        replace_by(folder, suffix)
    release = read(name, source)
    assert sum(sample.frames.endswith(suffix) for sample in release.samples) >= sum(clips.values()) - 1
    report = prepare(CORPORA[name], source, tmp_path / "prepared", PreparationOptions(frame_size=16), workers=1)
    assert report.faults == ()
    assert {split: counts.clips for split, counts in report.splits.items()} == clips


@pytest.mark.parametrize("name", ["phoenix2014", "phoenix2014-T"])
@pytest.mark.parametrize(
    "home", ["videos/{split}", "videos/fullFrame-210x260px/{split}", "videos_phoenix/videos/{split}"]
)
def test_videos_of_phoenix_may_be_in_another_folder(name: str, home: str, tmp_path: Path) -> None:
    write, clips = RELEASES[name]
    root = write(tmp_path / "release")
    for split in clips:
        for folder in (root / PHOENIX_FRAMES / split).iterdir():
            write_counting_video(root / home.format(split=split) / f"{folder.name}.mp4", 4, 25)
    shutil.rmtree(root / "features")
    release = read(name, root)
    for sample in release.samples:
        assert sample.frames == f"{home.format(split=sample.split)}/{sample.sample_id}.mp4"
    assert release.notes == (f"frames are read from {home.format(split='').rstrip('/')}, a folder of {root}",)


@pytest.mark.parametrize("name", ["phoenix2014", "phoenix2014-T", "csl-daily"])
@pytest.mark.parametrize("home", ["in place", "elsewhere", "inner folder"])
def test_frames_in_any_form_are_added_to_a_corpus_without_frames(name: str, home: str, tmp_path: Path) -> None:
    write, _ = RELEASES[name]
    source = write(tmp_path / "release")
    output, top = tmp_path / "prepared", tmp_path / "release"
    folders = clip_folders(top)
    for number, folder in enumerate(folders):
        folder.rename(tmp_path / f"kept-{number}")
    for path in sorted(top.rglob("*"), reverse=True):  # the frames are not downloaded yet
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    prepare(CORPORA[name], top, output, PreparationOptions(frames=False))
    for number, folder in enumerate(folders):
        outer = folder.parent if folder.name == "1" else folder
        if home == "elsewhere":
            write_counting_video(source / "videos" / outer.parent.name / f"{outer.name}.mp4", NUM_FRAMES, 25)
        else:
            target = outer / "1" if home == "inner folder" or folder.name == "1" else outer
            target.parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / f"kept-{number}").rename(target)
    report = prepare(CORPORA[name], top, output, PreparationOptions(frame_size=16), workers=1)
    assert report.faults == ()
    assert all(counts.frames for counts in report.splits.values())


def test_other_annotations_are_refused_for_a_corpus_without_frames(tmp_path: Path) -> None:
    source = write_csl_daily(tmp_path)
    prepare(CORPORA["csl-daily"], source, tmp_path / "out", PreparationOptions(frames=False))
    path = tmp_path / "CSL-Daily/sentence_label/video_map.txt"
    path.write_text(path.read_text(encoding="utf-8").replace("他 今天", "他 明天", 1), encoding="utf-8")
    with pytest.raises(DataError, match="the annotations or the drawn splits have changed"):
        prepare(CORPORA["csl-daily"], source, tmp_path / "out", PreparationOptions(frame_size=16), workers=1)


def test_a_missing_clip_is_not_replaced_by_other_pictures_of_its_name(tmp_path: Path) -> None:
    root = write_phoenix2014(tmp_path)
    clip = clip_folders(root / PHOENIX_FRAMES / "train")[0].parent
    split = "train"
    write_frames(root / "features/trackedRightHand-92x132px" / split / clip.name / "1")
    write_counting_video(root / "videos" / split / f"{clip.name}.mp4", 4, 25)
    shutil.rmtree(clip)
    (sample,) = (sample for sample in read("phoenix2014", root).samples if sample.sample_id == clip.name)
    assert sample.frames == f"{PHOENIX_FRAMES}/{split}/{clip.name}/1"


def test_crops_of_hands_do_not_stand_for_whole_frames(tmp_path: Path) -> None:
    root = write_phoenix2014(tmp_path)
    (root / PHOENIX_FRAMES).rename(root / "features/trackedRightHand-92x132px")
    with pytest.raises(AnnotationError, match="train: folder not found"):
        read("phoenix2014", root)


@EVERY
def test_doubled_folders_links_and_spaces_do_not_matter(name: str, tmp_path: Path) -> None:
    write, clips = RELEASES[name]
    top = tmp_path / "my data" / "unpacked"
    write(top)
    (inner,) = top.iterdir()
    doubled = top / "doubled"
    doubled.mkdir()
    inner.rename(doubled / inner.name)
    doubled.rename(top / inner.name)
    os.symlink(top, tmp_path / "link to it")
    release = read(name, tmp_path / "link to it")
    assert len(release.samples) == sum(clips.values())
    assert all((release.root / sample.frames).exists() for sample in release.samples)


def test_names_on_disk_may_have_another_unicode_form(tmp_path: Path) -> None:
    """macOS writes the names of files in NFD."""
    root = write_csl(tmp_path)
    for split in ("train", "dev"):
        text = (root / f"{split}.txt").read_text(encoding="utf-8").replace("CSL_Continuous/video", "Bücher/Vidéo")
        (root / f"{split}.txt").write_text(unicodedata.normalize("NFC", text), encoding="utf-8")
    (root / "CSL_Continuous").rename(root / unicodedata.normalize("NFD", "Bücher"))
    for folder in (root / unicodedata.normalize("NFD", "Bücher")).iterdir():
        folder.rename(folder.with_name(folder.name.replace("video", unicodedata.normalize("NFD", "Vidéo"))))
    release = read("csl", root)
    assert len(release.samples) == 6
    assert all((release.root / sample.frames).is_dir() for sample in release.samples)


def test_a_link_that_leads_back_ends_the_search(tmp_path: Path) -> None:
    root = write_csl_daily(tmp_path)
    (root / "frames_512x512").rename(root / "frames")
    os.symlink(root, root / "again")
    release = read("csl-daily", tmp_path)
    assert {sample.frames.rpartition("/")[0].rpartition("/")[2] for sample in release.samples} == {"frames"}


# Downloads in other forms


@pytest.mark.parametrize("named", ["the file", "its folder"])
def test_an_archive_is_an_error_that_says_how_to_unpack_it(named: str, tmp_path: Path) -> None:
    write_phoenix2014(tmp_path / "release")
    archive = tmp_path / "download" / "phoenix-2014.v3.tar"
    archive.parent.mkdir()
    with tarfile.open(archive, "w") as file:
        file.add(tmp_path / "release", "phoenix")
    with pytest.raises(DataError, match="this is a file, an archive; releases are read from folders") as caught:
        read("phoenix2014", archive if named == "the file" else archive.parent)
    assert caught.value.hint is not None
    assert f"tar -xf {archive} -C {archive.parent}" in caught.value.hint


@pytest.mark.parametrize(
    ("names", "command"),
    [
        (["frames.tar.gz"], "tar -xf {folder}/frames.tar.gz -C {folder}"),
        (["frames.tar.gz_00", "frames.tar.gz_01"], "cat {folder}/frames.tar.gz_* | tar -xz -C {folder}"),
        (["frames.tar.part01", "frames.tar.part02"], "cat {folder}/frames.tar.* | tar -x -C {folder}"),
        (["frames.zip"], "unzip {folder}/frames.zip -d {folder}"),
    ],
)
def test_frames_that_are_still_in_an_archive_have_the_command_that_unpacks_them(
    names: list[str], command: str, tmp_path: Path
) -> None:
    root = write_csl_daily(tmp_path)
    shutil.rmtree(root / "frames_512x512")
    for name in names:
        (root / name).write_bytes(b"x")
    with pytest.raises(AnnotationError, match="frames_512x512: folder not found") as caught:
        read("csl-daily", tmp_path / "CSL-Daily")
    assert caught.value.hint is not None
    assert command.format(folder=root) in caught.value.hint.splitlines()


def test_features_of_the_translation_community_are_named(tmp_path: Path) -> None:
    (tmp_path / "phoenix14t.pami0.train").write_bytes(b"\x1f\x8b")
    for source in (tmp_path, tmp_path / "phoenix14t.pami0.train"):
        with pytest.raises(DataError, match="features for translation models, not pictures"):
            read("phoenix2014-T", source)


# CSL-Daily


def write_pickle(release: Path, name: str = "csl2020ct_v2.pkl") -> Path:
    """Write CSL-Daily with a pickle instead of `video_map.txt`; give the folder of the annotation."""
    write_csl_daily(release)
    labels = release / "CSL-Daily" / "sentence_label"
    _, *rows = (labels / "video_map.txt").read_text(encoding="utf-8").splitlines()
    clips = []
    for row in rows:
        _, clip, length, gloss, char, word, postag = row.split("|")
        texts = {"label_gloss": gloss, "label_char": char, "label_word": word, "label_postag": postag}
        values = {key: text.split() for key, text in texts.items()}
        clips.append({"name": clip, "length": int(length), **values, "signer": 0, "time": 0})
    content = {"info": clips, "gloss_map": ["他"], "char_map": [], "word_map": [], "postag_map": []}
    (labels / name).write_bytes(pickle.dumps(content))
    (labels / "video_map.txt").unlink()
    return labels


@pytest.mark.parametrize("name", ["csl2020ct_v1.pkl", "csl2020ct_v2.pkl"])
def test_the_pickle_of_csl_daily_says_what_its_table_says(name: str, tmp_path: Path) -> None:
    write_csl_daily(tmp_path / "table")
    write_pickle(tmp_path / "pickle", name)
    expected = read("csl-daily", tmp_path / "table").samples
    found = read("csl-daily", tmp_path / "pickle").samples
    assert [(each.sample_id, each.split, each.glosses, each.translation) for each in found] == [
        (each.sample_id, each.split, each.glosses, each.translation) for each in expected
    ]
    for sample, same in zip(found, expected, strict=True):
        assert {key: sample.fields[key] for key in same.fields} == same.fields


def test_all_fields_of_csl_daily_stay_in_the_prepared_corpus(tmp_path: Path) -> None:
    source = write_csl_daily(tmp_path)
    prepare(CORPORA["csl-daily"], source, tmp_path / "prepared", PreparationOptions(frames=False))
    (dev,) = PreparedCorpus.open(tmp_path / "prepared").samples("dev")
    assert dev.fields == {
        "characters": "他 今 年 四 岁 。",
        "words": "他 今年 四 岁 。",
        "parts_of_speech": "r t m q w",
        "length": "54",
    }
    assert Sample.from_json(dev.to_json(), "here") == dev


class _Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("harmed",)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (pickle.dumps(_Harmful()), r"contains objects other than plain values \((posix|nt)\.mkdir\)"),
        (b"\x80\x04 broken", "not a pickle, or an incomplete one"),
        (pickle.dumps({"info": []}), "it has no list 'info' of clips"),
        (pickle.dumps({"info": [{"name": "S1_P1_T1"}]}), r"info\[0\]: not a clip.*expected a dictionary with name"),
    ],
)
def test_a_wrong_pickle_is_a_fault_and_runs_no_code(
    content: bytes, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    labels = write_pickle(tmp_path)
    (labels / "csl2020ct_v2.pkl").write_bytes(content)
    with pytest.raises(AnnotationError, match=fault):
        read("csl-daily", tmp_path / "CSL-Daily")
    assert not (tmp_path / "harmed").exists()


def test_videos_of_csl_daily_may_be_in_another_folder(tmp_path: Path) -> None:
    root = write_csl_daily(tmp_path)
    for folder in (root / "frames_512x512").iterdir():
        write_counting_video(root / "sentence-crop" / f"{folder.name}.mp4", 4, 30)
    shutil.rmtree(root / "frames_512x512")
    release = read("csl-daily", tmp_path)
    assert all(sample.frames.endswith(f"sentence-crop/{sample.sample_id}.mp4") for sample in release.samples)
    assert all((release.root / sample.frames).is_file() for sample in release.samples)


# CSL as it is downloaded

SENTENCES = ["他 的 同学 是 警察", "他 妈妈 的 同学 是 公务员", "我 的 毛毯 是 新 的"]


def write_download(release: Path, signers: int = 5, repetitions: int = 2, *, digits: int = 6) -> Path:
    """Write the download: empty videos in one folder per sentence, and the sentences; give its folder."""
    root = release / "CSL"
    write_text(root / "corpus.txt", [f"{number:06d} {text}" for number, text in enumerate(SENTENCES)])
    for number in range(len(SENTENCES)):
        folder = root / "color" / f"{number:0{digits}d}"
        folder.mkdir(parents=True)
        for signer in range(1, signers + 1):
            for repetition in range(repetitions):
                (folder / f"P{signer:02d}_s1_{number:02d}_{repetition}._color.avi").touch()
    return root


@pytest.mark.parametrize("digits", [3, 6])
def test_the_download_of_csl_is_read_with_a_drawn_split_by_signer(digits: int, tmp_path: Path) -> None:
    root = write_download(tmp_path, signers=10, digits=digits)
    release = read("csl", tmp_path)
    assert len(release.samples) == 3 * 10 * 2
    folder = f"{0:0{digits}d}"
    (sample,) = (each for each in release.samples if each.sample_id == f"{folder}_P03_s1_00_1")
    assert sample.frames == f"{folder}/P03_s1_00_1._color.avi"
    assert (release.root / sample.frames).is_file()
    assert (sample.signer, sample.glosses, sample.fields) == ("P03", tuple(SENTENCES[0].split()), {"repetition": "1"})
    signers = {split: {each.signer for each in release.samples if each.split == split} for split in ("train", "dev")}
    assert (len(signers["train"]), len(signers["dev"])) == (8, 2)
    assert not signers["train"] & signers["dev"]
    (note,) = release.notes
    assert "2 of 10 signers are in dev, drawn with seed 0" in note
    assert "not comparable with published ones" in note
    assert root == release.root.parent


def test_signers_of_dev_follow_the_options(tmp_path: Path) -> None:
    write_download(tmp_path, signers=10)

    def dev(reader: CSL) -> set[str | None]:
        samples = reader.read(ReleasePaths(tmp_path)).check().samples
        return {sample.signer for sample in samples if sample.split == "dev"}

    assert dev(CSL(dev_signers=("P02", "P05"))) == {"P02", "P05"}
    assert len(dev(CSL(dev_signers=4))) == 4
    assert dev(CSL(seed=1)) == dev(CSL(seed=1))
    assert len({frozenset(dev(CSL(seed=seed))) for seed in range(9)}) > 1
    with pytest.raises(UsageError, match="no signer P11; the signers are P01"):
        dev(CSL(dev_signers=("P11",)))
    with pytest.raises(UsageError, match="there are only 10 signers"):
        dev(CSL(dev_signers=10))


def test_published_lists_number_the_videos_of_the_download(tmp_path: Path) -> None:
    """The real lines: the published dev list has video450, the first of the last ten signers in sentence 1."""
    root = write_download(tmp_path / "release", signers=50, repetitions=5)
    real = [line for line in annotation_lines("csl.txt") if line.startswith("CSL_Continuous/video450|")]
    assert real == [f"CSL_Continuous/video450|{SENTENCES[1]}"]
    lists = tmp_path / "lists"
    first = [f"/disk1/dataset/CSL_Continuous/video{number}|{SENTENCES[0]}" for number in (0, 249)]
    write_text(lists / "train.txt", first)
    write_text(lists / "dev.txt", real)
    release = read("csl", root, lists)
    assert [(each.sample_id, each.split, each.frames, each.signer) for each in release.samples] == [
        ("video0", "train", "000000/P01_s1_00_0._color.avi", "P01"),
        ("video249", "train", "000000/P50_s1_00_4._color.avi", "P50"),
        ("video450", "dev", "000001/P41_s1_01_0._color.avi", "P41"),
    ]
    write_text(lists / "dev.txt", [f"CSL_Continuous/video250|{SENTENCES[0]}"])
    with pytest.raises(
        AnnotationError, match=rf"dev\.txt:1: .*video250 is of sentence 1, whose glosses are '{SENTENCES[1]}'"
    ):
        read("csl", root, lists)
    (root / "color/000000/P01_s1_00_0._color.avi").unlink()
    with pytest.raises(AnnotationError, match="has 249 of this sentence"):
        read("csl", root, lists)


@pytest.mark.parametrize("root", ["", "/disk1/dataset/", "/disk1/dataset/CSL/"])
def test_published_lists_have_paths_of_another_machine(root: str, tmp_path: Path) -> None:
    """The lists in the published repository begin with /disk1/dataset/CSL_Continuous/."""
    release = write_csl(tmp_path / "release")
    for split in ("train", "dev"):
        path = release / f"{split}.txt"
        lines = [f"{root}{line}" for line in path.read_text(encoding="utf-8").splitlines()]
        write_text(path, lines)
    found = read("csl", tmp_path / "release")
    assert len(found.samples) == 6
    assert all((found.root / sample.frames).is_dir() for sample in found.samples)


def test_folders_of_pictures_stand_for_the_videos_of_the_download(tmp_path: Path) -> None:
    root = write_download(tmp_path)
    for video in (root / "color").glob("*/*.avi"):
        video.unlink()
        write_frames(video.with_suffix(""), suffix=".jpg")
    release = read("csl", tmp_path)
    assert len(release.samples) == 3 * 5 * 2
    (sample,) = (each for each in release.samples if each.sample_id == "000000_P03_s1_00_1")
    assert sample.frames == "000000/P03_s1_00_1._color"


def test_lists_may_name_the_videos_of_the_download(tmp_path: Path) -> None:
    root = write_download(tmp_path / "release")
    lists = tmp_path / "lists"
    write_text(lists / "train.txt", [f"color/000000/P01_s1_00_0._color|{SENTENCES[0]}"])
    write_text(lists / "dev.txt", [f"color/000001/P02_s1_01_1._color.avi|{SENTENCES[1]}"])
    release = read("csl", root, lists)
    assert [(each.frames, each.signer) for each in release.samples] == [
        ("color/000000/P01_s1_00_0._color.avi", "P01"),
        ("color/000001/P02_s1_01_1._color.avi", "P02"),
    ]


def test_all_faults_of_the_download_are_reported(tmp_path: Path) -> None:
    root = write_download(tmp_path)
    write_text(root / "corpus.txt", ["000000 他", "zero 他", "000000 我", "000001"])
    (root / "color/000000/signer 1.avi").touch()
    with pytest.raises(AnnotationError) as caught:
        read("csl", root)
    lines = root / "corpus.txt"
    assert [str(fault) for fault in caught.value.faults] == [
        f"{lines}:2: not the number of a sentence and its glosses: 'zero 他'",
        f"{lines}:3: duplicate sentence 000000",
        f"{lines}:4: not the number of a sentence and its glosses: '000001'",
        f"{lines}: no line for the folders 1, 2",
        f"{root / 'color/000000/signer 1.avi'}: the name does not begin with the signer; expected P01_s1_00_0",
    ]
    assert caught.value.hint is not None
    assert "000000 GLOSS GLOSS …" in caught.value.hint


def test_sentences_without_spaces_are_not_taken_for_glosses(tmp_path: Path) -> None:
    root = write_download(tmp_path)
    write_text(root / "corpus.txt", [f"{number:06d} {text.replace(' ', '')}" for number, text in enumerate(SENTENCES)])
    with pytest.raises(AnnotationError, match="expected glosses separated by spaces"):
        read("csl", root)


def test_si5_finds_videos_in_the_other_half(tmp_path: Path) -> None:
    source = write_si5(tmp_path)
    for folder in clip_folders(tmp_path):
        replace_by(folder, ".mp4")
    release = read("phoenix2014-si5", source)
    assert all((release.root / sample.frames).is_file() for sample in release.samples)


def test_phoenix2014_t_keeps_times_of_the_annotation(tmp_path: Path) -> None:
    root = write_phoenix2014_t(tmp_path)
    path = root / "annotations/manual/PHOENIX-2014-T.dev.corpus.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("|-1|-1|", "|3|70|"), encoding="utf-8")
    samples = {sample.split: sample for sample in read("phoenix2014-T", root).samples}
    assert (samples["dev"].fields, samples["test"].fields) == ({"start": "3", "end": "70"}, {})
