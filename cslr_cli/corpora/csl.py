"""CSL: a hundred sentences in Chinese Sign Language, each signed five times by fifty people (USTC).

The download has the videos in one folder per sentence and `corpus.txt`, the glosses of the sentences. Published systems
use lists of clips, `train.txt` and `dev.txt`, which are not in the download, and number the videos.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from cslr_cli.corpora.annotation_files import SampleCollector, is_inside_release
from cslr_cli.corpora.clip_locations import CLIP_SUFFIXES
from cslr_cli.corpora.reader import CorpusReader, Release
from cslr_cli.corpora.release_paths import ReleasePaths, find_file, find_root
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import UsageError
from cslr_cli.media.frame_source import list_folder, shorten_list
from cslr_cli.media.picture_series import natural_sort_key

# Number of clips per split that are tried, to find the folder that the paths of the split files are relative to.
_NUM_CLIPS_TRIED = 5
# 50 signers × 5 repetitions. The published lists number all videos, sentence by sentence: video450 is of sentence 1.
_VIDEOS_PER_SENTENCE = 250
_DEV_SHARE = 5  # one in five signers, as in the published lists (10 of 50)
_SENTENCES = "corpus.txt"
_VIDEO_HOME = "color"

_LAYOUT = """\
CSL/
├── corpus.txt                           (000000 GLOSS GLOSS …)
└── color/000000/P01_s1_00_0._color.avi  (a folder of videos per sentence)
or, with the lists of the published systems:
CSL/
├── train.txt, dev.txt                   (or elsewhere: --annotations)
└── CSL_Continuous/VIDEO/*.jpg           (as in the lines of the split files; or VIDEO.zip, VIDEO.mp4)"""


@dataclass(frozen=True)
class CSL(CorpusReader):
    """CSL: the download, or one folder of JPEGs per video; with split files of lines `path/of/video|gloss gloss …`.

    Attributes:
        dev_signers: without split files, the signers of dev: their names, or their number; None for one in five.
        seed: seed of the random choice of the signers of dev.
    """

    name: str = "csl"
    title: str = "CSL"
    fps: float = 30.0
    protocol: str = "csl"
    layout: str = _LAYOUT
    frame_pattern: str = "*.jpg"
    original_size: tuple[int, int] | None = (1280, 720)
    vocabulary_size: int | None = 179
    release_marks: tuple[str, ...] = ("CSL_Continuous", f"{_VIDEO_HOME}/[0-9][0-9][0-9]*")
    splits: tuple[str, ...] = ("train", "dev")
    published_clips: Mapping[str, int] = field(default_factory=lambda: {"train": 20000, "dev": 5000})
    dev_signers: tuple[str, ...] | int | None = None
    seed: int = 0

    def read(self, paths: ReleasePaths) -> Release:
        """Find the release and read its split files; without split files, read the download."""
        if not paths.source.is_dir() and (paths.need_frames or paths.annotations is None):
            raise self.release_not_found(paths.source)
        lists = find_root(paths.source, ("CSL",), [f"{split}.txt" for split in self.splits])
        download = find_root(paths.source, ("CSL",), [_SENTENCES])
        folders = [folder for folder in (lists, download, paths.annotations) if folder is not None]
        if not folders:
            raise self.release_not_found(paths.source)
        collector = self.make_collector()
        given = [f"{split}.txt" for split in self.splits]
        if find_file(folders, given) is None and find_file(folders, [_SENTENCES]) is not None:
            root = self._read_download(paths, folders, collector)
        else:
            root = self._read_lists(paths, lists or paths.source, folders, collector)
        references = self.find_references(paths, [], collector)
        if collector.faults:
            collector.add_hint("expected lines of the form path/of/video|GLOSS GLOSS …")
            collector.add_hint(f"expected lines of the form 000000 GLOSS GLOSS … in {_SENTENCES}")
        return self.make_release(root, collector, references)

    # Split files

    def _read_lists(
        self, paths: ReleasePaths, folder: Path, folders: Sequence[Path], collector: SampleCollector
    ) -> Path:
        """Read the split files; return the folder that the samples' frames are relative to."""
        rows = {}
        for split in self.splits:
            path = self.find_annotation(paths, [folder], [f"{split}.txt"], collector)
            lines = [] if path is None else collector.read_lines(path)
            rows[split] = list(collector.split_rows(lines, 2))
        if not paths.need_frames:
            for split, split_rows in rows.items():
                _add_split(split_rows, split, 0, collector)
            return paths.source
        tried = [_listed_path(video) for split_rows in rows.values() for _, (video, _) in split_rows[:_NUM_CLIPS_TRIED]]
        tried = [video for video in tried if is_inside_release(video)]
        found = _find_listed_frames(paths.source, tried)
        if found is None:
            home = _find_video_home(paths.source)
            sentences = find_file(folders, [_SENTENCES])
            if home is not None and sentences is not None:
                self._add_numbered(rows, home, _read_sentences(sentences, collector), collector)
                return home
            if tried:
                pattern = paths.source / tried[0] / self.frame_pattern
                holds = list_folder(paths.source)
                collector.add_fault(str(pattern), f"no frame matches this pattern; {paths.source} holds {holds}")
                collector.add_hint(self.expected_layout)
        root, num_dropped = found or (paths.source, 0)
        for split, split_rows in rows.items():
            _add_split(split_rows, split, num_dropped, collector)
        self.locate_clips(root, paths, dict.fromkeys(self.splits, "."), collector)
        return root

    def _add_numbered(
        self,
        rows: Mapping[str, Sequence[tuple[str, list[str]]]],
        home: Path,
        sentences: Mapping[int, tuple[str, ...]],
        collector: SampleCollector,
    ) -> None:
        """Add the clips of lists that number the videos of the download, such as `CSL_Continuous/video450`."""
        videos = _list_videos(home)
        for split, split_rows in rows.items():
            for where, (video, annotation) in split_rows:
                match = re.search(r"(\d{1,6})$", PurePosixPath(video).stem)
                number, place = divmod(int(match[1]), _VIDEOS_PER_SENTENCE) if match else (-1, 0)
                found = videos.get(number, ())
                glosses = tuple(annotation.split())
                if len(found) != _VIDEOS_PER_SENTENCE:
                    what = (
                        f"{video} is video {place} of sentence {number}, which needs all {_VIDEOS_PER_SENTENCE} videos"
                    )
                    collector.add_fault(where, f"{what}; {home} has {len(found)} of this sentence")
                elif "".join(sentences.get(number, ())) != "".join(glosses):  # lists may divide words otherwise
                    expected = " ".join(sentences.get(number, ()))
                    collector.add_fault(where, f"{video} is of sentence {number}, whose glosses are {expected!r}")
                else:
                    # Under the name in the list, by which published hypotheses can be compared.
                    sample = replace(_sample(found[place], split, glosses), sample_id=PurePosixPath(video).stem)
                    collector.add(sample, where)
        collector.notes.append(
            f"the lists number the videos: video450 is number {450 % _VIDEOS_PER_SENTENCE} of sentence "
            f"{450 // _VIDEOS_PER_SENTENCE}, in the order of the file names; the glosses of all sentences agree"
        )

    # The download

    def _read_download(self, paths: ReleasePaths, folders: Sequence[Path], collector: SampleCollector) -> Path:
        """Read the sentences and list the videos; return the folder that the samples' frames are relative to."""
        home = _find_video_home(paths.source)
        if home is None:
            raise self.release_not_found(paths.source)
        path = find_file(folders, [_SENTENCES])
        sentences = {} if path is None else _read_sentences(path, collector)
        videos = _list_videos(home)
        unknown = [number for number in videos if number not in sentences]
        if unknown and sentences:
            collector.add_fault(str(path), f"no line for the folders {shorten_list([str(each) for each in unknown])}")
        missing = sorted(sentences.keys() - videos.keys())
        if missing:
            collector.notes.append(f"sentences without videos: {shorten_list([f'{each:06d}' for each in missing])}")
        unsigned = []
        signers = {}
        for clips in videos.values():
            for clip in clips:
                signer = _signer(clip)
                if signer is None:
                    unsigned.append(clip)
                else:
                    signers[clip] = signer
        for clip in unsigned:
            collector.add_fault(str(home / clip), "the name does not begin with the signer; expected P01_s1_00_0")
        dev = self._choose_dev_signers(sorted(set(signers.values())), collector)
        for split in self.splits:
            for number, clips in videos.items():
                for clip in clips:
                    if clip in signers and number in sentences and (signers[clip] in dev) == (split == "dev"):
                        collector.add(_sample(clip, split, sentences[number]), str(home / clip))
        return home

    def _choose_dev_signers(self, signers: Sequence[str], collector: SampleCollector) -> set[str]:
        """Choose the signers of dev, and add a note about it."""
        if isinstance(self.dev_signers, tuple):
            unknown = [name for name in self.dev_signers if name not in signers]
            if unknown:
                raise UsageError(f"--dev-signers: no signer {', '.join(unknown)}; the signers are {', '.join(signers)}")
            dev, how = set(self.dev_signers), "signers of --dev-signers"
        else:
            default = max(1, len(signers) // _DEV_SHARE) if len(signers) > 1 else 0
            number = default if self.dev_signers is None else self.dev_signers
            if number >= len(signers) > 0 and self.dev_signers is not None:
                raise UsageError(
                    f"--dev-signers {number}: there are only {len(signers)} signers; some must be in train"
                )
            dev = set(sorted(signers, key=self._random_key)[:number])
            how = f"drawn with seed {self.seed}"
        collector.notes.append(
            f"the download has no {self.splits[0]}.txt and dev.txt (the published lists): {len(dev)} of "
            f"{len(signers)} signers are in dev, {how}: {', '.join(sorted(dev)) or 'none'}. Results on this split are "
            "not comparable with published ones"
        )
        return dev

    def _random_key(self, signer: str) -> bytes:
        return hashlib.sha256(f"{self.seed} {signer}".encode()).digest()


def _listed_path(video: str) -> str:
    """Return the path of a list without its root: the published lists have paths such as /disk1/dataset/… ."""
    return video.lstrip("/")


def _find_listed_frames(source: Path, videos: Iterable[str]) -> tuple[Path, int] | None:
    """Find the folder that the videos' paths are relative to, after dropping some of their first parts.

    Returns:
        The folder and the number of dropped parts; None if no video was found.
    """
    for video in videos:
        parts = video.split("/")
        for num_dropped in range(len(parts)):
            rest = "/".join(parts[num_dropped:])
            marks = [rest, *(f"{rest}{suffix}" for suffix in CLIP_SUFFIXES)]
            root = find_root(source, ("CSL",), marks)
            if root is not None:
                return root, num_dropped
    return None


def _add_split(rows: Iterable[tuple[str, list[str]]], split: str, num_dropped: int, collector: SampleCollector) -> None:
    for where, (video, annotation) in rows:
        listed = _listed_path(video)
        if not is_inside_release(listed):
            collector.add_fault(where, f"{video!r} is not a folder of pictures in the release")
            continue
        parts = listed.split("/")
        path = PurePosixPath(parts[-1])
        sample = Sample(
            sample_id=path.stem if path.suffix.lower() in CLIP_SUFFIXES else path.name,
            split=split,
            frames="/".join(parts[num_dropped:]),
            num_frames=None,
            signer=_signer(video),  # None in the published lists, which number the videos
            glosses=tuple(annotation.split()),
        )
        collector.add(sample, where)


def _read_sentences(path: Path, collector: SampleCollector) -> dict[int, tuple[str, ...]]:
    """Read the glosses of each sentence, by its number."""
    sentences: dict[int, tuple[str, ...]] = {}
    for line in collector.read_lines(path):
        number, *glosses = line.text.split() or [""]
        if not re.fullmatch(r"[0-9]{1,9}", number) or not glosses:
            collector.add_fault(line.where, f"not the number of a sentence and its glosses: {line.text[:80]!r}")
        elif int(number) in sentences:
            collector.add_fault(line.where, f"duplicate sentence {number}")
        else:
            sentences[int(number)] = tuple(glosses)
    if len(sentences) > 1 and all(len(glosses) == 1 for glosses in sentences.values()):
        collector.add_fault(str(path), "each sentence is one word; expected glosses separated by spaces")
    return sentences


def _find_video_home(source: Path) -> Path | None:
    """Find the folder that has one folder of videos per sentence."""
    return find_root(source, ("CSL", _VIDEO_HOME), [f"{0:0{digits}d}" for digits in (6, 5, 4, 3)])


def _list_videos(home: Path) -> dict[int, list[str]]:
    """List the videos of each sentence, sorted by name and relative to `home`, by the number of the sentence."""
    videos: dict[int, list[str]] = {}
    with os.scandir(home) as entries:
        folders = sorted(entry.name for entry in entries if re.fullmatch(r"[0-9]{1,9}", entry.name) and entry.is_dir())
    for folder in folders:
        with os.scandir(home / folder) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".") and _is_clip(entry)]
        if names:
            videos.setdefault(int(folder), []).extend(
                f"{folder}/{each}" for each in sorted(names, key=natural_sort_key)
            )
    return videos


def _is_clip(entry: os.DirEntry[str]) -> bool:
    return PurePosixPath(entry.name).suffix.lower() in CLIP_SUFFIXES or entry.is_dir()


def _signer(path: str) -> str | None:
    match = re.match(r"P[0-9]+(?![0-9])", path.rpartition("/")[2])
    return match[0] if match else None


def _sample(video: str, split: str, glosses: tuple[str, ...]) -> Sample:
    """Make the sample of a video of the download, such as `000000/P01_s1_00_0._color.avi`."""
    folder, _, file = video.rpartition("/")
    path = PurePosixPath(file)
    stem = path.stem if path.suffix.lower() in CLIP_SUFFIXES else path.name
    name = re.sub(r"[._]*color$", "", stem)
    repetition = re.search(r"_([0-9]+)$", name)
    return Sample(
        sample_id=re.sub(r"\s+", "_", f"{folder}_{name}"),
        split=split,
        frames=video,
        num_frames=None,
        signer=_signer(video),
        glosses=glosses,
        fields={"repetition": repetition[1]} if repetition else {},
    )
