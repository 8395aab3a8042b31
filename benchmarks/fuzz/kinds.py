"""The kinds of input: valid examples of each, and what the package does with such a file."""

from __future__ import annotations

import dataclasses
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from PIL import Image

from cslr_cli.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from cslr_cli.checkpoints.corpus_origin import CorpusOrigin
from cslr_cli.checkpoints.gloss_dict import read_any_vocabulary, write_gloss_dict
from cslr_cli.checkpoints.inspection import inspect_checkpoint
from cslr_cli.checkpoints.published import open_checkpoint, write_published
from cslr_cli.config import Config, load_config
from cslr_cli.corpora import find_reader
from cslr_cli.corpora.own_corpus import OwnCorpus
from cslr_cli.corpora.preparation import PreparationOptions, prepare
from cslr_cli.corpora.release_paths import ReleasePaths
from cslr_cli.corpora.synthetic import SyntheticOptions, make_release
from cslr_cli.corpora.transcripts import SentenceOptions, TranscriptCorpus
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.media.frames import open_frames
from cslr_cli.recognizer import Recognizer
from cslr_cli.result_files.ledger import LedgerEntry
from cslr_cli.result_files.marked_folder import OutputMarker
from cslr_cli.scoring.transcripts import read_ctm, read_stm
from cslr_cli.training.run.folder import RunFolder
from cslr_cli.training.run.state import TrainingState

_CPU = torch.device("cpu")
_MAX_BYTES = 2**26  # of a case; several changes can make a file of gigabytes
_MAX_FRAMES = 200  # that a case decodes


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Attributes:
        name: short name.
        suffix: suffix of its files.
        seeds: valid inputs: the bytes of a file, or a nested value that `dump` turns into bytes.
        use: reads a file as the package does; may raise any CslrError.
        dump: function from a nested value to the bytes of a file.
        is_whole: whether an independent reader can read a file; the package must refuse what it cannot. None if there
            is no such reader.
    """

    name: str
    suffix: str
    seeds: list[Any]
    use: Callable[[Path], object]
    dump: Callable[[Any], bytes] = field(default=bytes)
    is_whole: Callable[[bytes], bool] | None = None

    def write(self, changed: Any, path: Path) -> bool:
        """Write a changed seed; return whether it can be written at all (JSON has no lone surrogates, for example)."""
        try:
            content = changed if isinstance(changed, bytes) else self.dump(changed)
            if len(content) > _MAX_BYTES:
                return False
            path.write_bytes(content)
        except (ValueError, TypeError, OverflowError, RecursionError, RuntimeError, yaml.YAMLError):
            return False
        return True


def make_kinds(folder: Path) -> dict[str, Kind]:
    """Make valid inputs of each kind in an empty folder; return the kinds by name."""
    release, corpus_dir = folder / "release", folder / "prepared" / "synthetic"
    options = SyntheticOptions(num_train_clips=3, num_dev_clips=2, num_test_clips=2, num_signers=3, num_glosses=8)
    make_release(release, options, workers=1)
    prepare(find_reader("synthetic"), release, corpus_dir, PreparationOptions(frame_size=36), workers=1)
    corpus = PreparedCorpus.open(corpus_dir)
    checkpoint = _make_checkpoint(corpus)
    paths = {name: folder / name for name in ("plain.pt", "published.pt", "gloss_dict.npy", "clip.avi", "run")}
    save_checkpoint(checkpoint, paths["plain.pt"])
    write_published(dataclasses.replace(checkpoint, training=None), paths["published.pt"])
    write_gloss_dict(corpus.vocabulary, paths["gloss_dict.npy"])
    kinds = [
        *_checkpoint_kinds(paths, checkpoint),
        *_corpus_kinds(corpus),
        *_text_kinds(corpus, checkpoint, folder),
        *_media_kinds(corpus, checkpoint, paths["clip.avi"]),
    ]
    return {kind.name: kind for kind in kinds}


def _make_checkpoint(corpus: PreparedCorpus) -> Checkpoint:
    """Make a checkpoint of a tiny network with the state of an optimizer, without training it."""
    config = Config.from_dict(
        {
            "data": {"frame_size": 36, "crop_size": 32, "min_clip_frames": 16, "num_workers": 0},
            "model": {"width": 8, "hidden_size": 16, "pretrained": False},
        },
        "fuzz",
    )
    state = TrainingState.create(config, corpus.vocabulary.num_classes, _CPU, torch.float32)
    for parameter in state.network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    state.optimizer.step()
    return state.to_checkpoint(config, corpus.vocabulary, CorpusOrigin.from_corpus(corpus), resumable=True)


def save(content: Any) -> bytes:
    """Return the file of a checkpoint."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _checkpoint_kinds(paths: dict[str, Path], checkpoint: Checkpoint) -> list[Kind]:
    content: dict[str, Any] = torch.load(paths["plain.pt"], weights_only=True)
    # Without the weights, which a change would rarely miss.
    metadata = {key: value for key, value in content.items() if key not in ("weights", "training")}
    training = {"training": content["training"]}
    pickles = [_HostilePickle(name).content() for name in ("posix.system", "builtins.eval", "os.remove")]

    def use(path: Path) -> None:
        load_checkpoint(path).build_network()
        inspect_checkpoint(path)

    state = TrainingState.create(checkpoint.config, checkpoint.vocabulary.num_classes, _CPU, torch.float32)

    def restore(path: Path) -> None:
        state.restore(load_checkpoint(path), path)
        for parameter in state.network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        state.optimizer.step()

    def use_published(path: Path) -> None:
        open_checkpoint(path, paths["gloss_dict.npy"]).checkpoint.build_network()

    return [
        Kind("checkpoint", ".pt", [paths["plain.pt"].read_bytes(), *pickles], use),
        Kind("checkpoint values", ".pt", [metadata], use, lambda value: save({**content, **_dict(value)})),
        Kind("training state", ".pt", [training], restore, lambda value: save({**content, **_dict(value)})),
        Kind("published", ".pt", [paths["published.pt"].read_bytes()], use_published),
        Kind("gloss_dict", ".npy", [paths["gloss_dict.npy"].read_bytes()], read_any_vocabulary),
    ]


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"format": value}


class _HostilePickle:
    """A checkpoint whose pickle calls a function when it is unpickled as code."""

    def __init__(self, name: str) -> None:
        self._module, self._function = name.split(".")

    def content(self) -> bytes:
        code = f"c{self._module}\n{self._function}\n(V{CANARY}\ntR.".encode()
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("archive/data.pkl", code)
            archive.writestr("archive/version", "3\n")
        return buffer.getvalue()


CANARY = "touch executed-code"  # a command that would leave a file in the current folder


def _corpus_kinds(corpus: PreparedCorpus) -> list[Kind]:
    samples = [json.loads(line) for line in (corpus.path / "train.jsonl").read_text().splitlines()]

    def beside(name: str) -> Callable[[Path], object]:
        """Read the corpus with one of its files replaced."""

        def use(path: Path) -> None:
            target = path.parent / "corpus"
            target.mkdir(exist_ok=True)
            for file in ("corpus.yaml", "train.jsonl", "vocabulary.txt"):
                (target / file).write_bytes((path if file == name else corpus.path / file).read_bytes())
            opened = PreparedCorpus.open(target)
            assert len(opened.vocabulary.glosses) > 0
            opened.readable_samples("train")
            opened.samples("train")

        return use

    text = {name: (corpus.path / name).read_bytes() for name in ("corpus.yaml", "train.jsonl", "vocabulary.txt")}
    return [
        Kind("corpus.yaml", ".yaml", [text["corpus.yaml"]], beside("corpus.yaml")),
        Kind("corpus values", ".yaml", [yaml.safe_load(text["corpus.yaml"])], beside("corpus.yaml"), dump_yaml),
        Kind("manifest", ".jsonl", [text["train.jsonl"]], beside("train.jsonl")),
        Kind("manifest values", ".jsonl", [samples], beside("train.jsonl"), dump_json_lines),
        Kind("vocabulary", ".txt", [text["vocabulary.txt"], b"HAUS\nREGEN\n"], read_any_vocabulary),
    ]


def dump_yaml(value: Any) -> bytes:
    """Return a YAML file."""
    return yaml.safe_dump(value, allow_unicode=True).encode()


def dump_json(value: Any) -> bytes:
    """Return a JSON file."""
    return json.dumps(value).encode()


def dump_json_lines(value: Any) -> bytes:
    """Return a file with one JSON document per line."""
    return b"\n".join(map(dump_json, value if isinstance(value, list) else [value]))


_CSV = b"path,glosses,split,signer,start,end\nclip.avi,HAUS REGEN,train,anna,0:00:01.5,2\nclip.avi,HAUS,dev,ben,,\n"
_OWN = [
    {"path": "clip.avi", "glosses": ["HAUS", "REGEN"], "split": "train", "signer": "anna", "start": 0.5, "end": 2},
    {"path": "clip.avi", "glosses": "HAUS", "split": "dev", "translation": "ein Haus"},
]
_STM = b";; a comment\nclip1 1 anna 0.0 1.79769e+308 HAUS REGEN\nclip2 1 ben 0.0 3.5 SONNE\n"
_EAF = b"""<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="milliseconds"><MEDIA_DESCRIPTOR MEDIA_URL="file:///x/clip.avi"
MIME_TYPE="video/avi" TIME_ORIGIN="3"/></HEADER><TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="0"/>
<TIME_SLOT TIME_SLOT_ID="ts2"/><TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="3000"/></TIME_ORDER>
<TIER TIER_ID="S" PARTICIPANT="anna"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1"
TIME_SLOT_REF2="ts2"><ANNOTATION_VALUE>x</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION><ANNOTATION>
<ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts3"><ANNOTATION_VALUE>y
</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER><TIER TIER_ID="G" PARENT_REF="S"><ANNOTATION>
<REF_ANNOTATION ANNOTATION_ID="a3" ANNOTATION_REF="a1"><ANNOTATION_VALUE>ZEBRA</ANNOTATION_VALUE></REF_ANNOTATION>
</ANNOTATION><ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a4" ANNOTATION_REF="a1" PREVIOUS_ANNOTATION="a3">
<ANNOTATION_VALUE>APFEL</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>
"""
_TEXTGRID = b'''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 3.5
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "glosses"
        xmin = 0
        xmax = 3.5
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 0.8
            text = "SAY ""HALLO"""
        intervals [2]:
            xmin = 0.8
            xmax = 3.5
            text = "GUT"
'''
_SRT = b"1\n00:00:01,000 --> 00:00:01,500\n<i>HALLO</i>\n\n2\n00:01:00,000 --> 00:01:01,000\nGUT\n"
_GLOSS = {"gloss": "HALLO", "start": 0.2, "end": 0.6, "confidence": 0.9}
_RECOGNITION = {
    "source": "clip.avi", "glosses": [_GLOSS], "nbest": [{"glosses": [_GLOSS], "score": -1.0}],
    "sentences": [{"start": 0.0, "end": 2.0, "glosses": [_GLOSS]}],
}  # fmt: skip
_CSL_DAILY = {
    "info": [
        {"name": "S0_P0_T00", "length": 10, "label_gloss": ["A"], "label_char": ["a"], "label_word": ["a"],
         "label_postag": ["n"], "signer": 0, "time": 0}
    ],
    "gloss_map": ["A"],
}  # fmt: skip
_CTM = b"clip1 1 0.00 0.40 HAUS 0.91\nclip1 1 0.40 0.40 REGEN\nclip2 1 0.1 0.2 SONNE 1.0\n"


def _text_kinds(corpus: PreparedCorpus, checkpoint: Checkpoint, folder: Path) -> list[Kind]:
    config = checkpoint.config.to_dict()
    metrics: list[dict[str, Any]] = [
        {"epoch": 1, "step": 2, "lr": 1e-4, "loss": 3.0, "wer": 50.0, "conv_wer": None, "skipped": []}
    ]
    environment = {"cslr": "0.2.0", "run_format": 1, "resumed": [{"after_epoch": 1}]}
    ledger = {
        "schema_version": 1, "command": "predict", "input": "a.mp4", "size": 10, "modified": 1.5, "status": "done",
        "output": "a.txt", "seconds": 1.0, "options": {"device": "cpu"}, "start": 0, "end": 10,
    }  # fmt: skip
    marker = {
        "schema_version": 1, "command": "predict", "version": "0.2.0", "options": {}, "files": [], "complete": True,
        "inputs": [{"path": "a.mp4", "size": 10, "modified": 1.5}],
    }  # fmt: skip

    def use_own(path: Path) -> None:
        (path.parent / "clip.avi").touch()
        OwnCorpus(name="own", manifest=path).read(ReleasePaths(path.parent))

    def use_transcripts(path: Path) -> None:
        (path.parent / "clip.avi").touch()
        source = ReleasePaths(path.parent, need_frames=False)
        TranscriptCorpus(name="own", transcripts=path, options=SentenceOptions(("*",))).read(source)

    def use_csl_daily(path: Path) -> None:
        (path.parent / "csl2020ct_v2.pkl").write_bytes(path.read_bytes())
        (path.parent / "split_1.txt").write_text("name|split\nS0_P0_T00|train\n", encoding="utf-8")
        find_reader("csl-daily").read(ReleasePaths(path.parent, need_frames=False))

    def use_run(name: str) -> Callable[[Path], object]:
        def use(path: Path) -> None:
            run = path.parent / "run"
            run.mkdir(exist_ok=True)
            (run / "config.yaml").write_text(checkpoint.config.to_yaml())
            (run / "metrics.jsonl").write_bytes(dump_json_lines(metrics))
            (run / name).write_bytes(path.read_bytes())
            opened = RunFolder.existing(run)
            opened.read_metrics()

        return use

    def use_ledger(path: Path) -> None:
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
            LedgerEntry.from_json(line)

    def use_marker(path: Path) -> None:
        (path.parent / ".cslr-output.json").write_bytes(path.read_bytes())
        OutputMarker.read(path.parent)

    return [
        Kind("configuration", ".yaml", [checkpoint.config.to_yaml().encode()], load_config),
        Kind("configuration values", ".yaml", [config], load_config, dump_yaml),
        Kind("own manifest", ".csv", [_CSV, _CSV.replace(b",", b";")], use_own),
        Kind("own manifest values", ".jsonl", [_OWN], use_own, dump_json_lines),
        Kind("ELAN", ".eaf", [_EAF], use_transcripts),
        Kind("TextGrid", ".TextGrid", [_TEXTGRID], use_transcripts),
        Kind("subtitles", ".srt", [_SRT], use_transcripts),
        Kind("corrected JSON", ".json", [_RECOGNITION], use_transcripts, dump_json),
        Kind("CSL-Daily pickle", ".pkl", [pickle.dumps(_CSL_DAILY)], use_csl_daily),
        Kind("metrics", ".jsonl", [dump_json_lines(metrics)], use_run("metrics.jsonl")),
        Kind("metrics values", ".jsonl", [metrics], use_run("metrics.jsonl"), dump_json_lines),
        Kind("environment", ".json", [environment], use_run("environment.json"), dump_json),
        Kind("ledger", ".jsonl", [dump_json_lines([ledger])], use_ledger),
        Kind("ledger values", ".jsonl", [[ledger]], use_ledger, dump_json_lines),
        Kind("marker", ".json", [marker], use_marker, dump_json),
        Kind("references", ".stm", [_STM], read_stm),
        Kind("hypotheses", ".ctm", [_CTM], read_ctm),
    ]


def _media_kinds(corpus: PreparedCorpus, checkpoint: Checkpoint, video: Path) -> list[Kind]:
    picture = np.arange(48 * 40 * 3, dtype=np.uint8).reshape(48, 40, 3)
    pictures = [_encode(picture, kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP")]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(3):
            archive.writestr(f"{number}.png", pictures[0])
    deflated = io.BytesIO()
    with zipfile.ZipFile(deflated, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.png", pictures[0])
    writer = cv2.VideoWriter(str(video), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (48, 40))
    for number in range(12):
        writer.write(np.full((40, 48, 3), 20 * number, np.uint8))
    writer.release()
    recognizer = Recognizer(checkpoint, device=_CPU)

    def use_picture(path: Path) -> None:
        folder = path.parent / "pictures"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        (folder / f"0{path.suffix}").write_bytes(path.read_bytes())
        (frame,) = open_frames(folder).read()
        assert frame.dtype == np.uint8
        assert frame.ndim == 3

    def use_clip(path: Path) -> None:
        source = open_frames(path)
        indices = source.resample(25.0).indices
        for frame in islice(source.iterate(indices), _MAX_FRAMES):
            assert frame.dtype == np.uint8

    return [
        *(
            Kind(f"picture {suffix}", suffix, [content], use_picture)
            for suffix, content in zip((".png", ".jpg", ".gif", ".bmp", ".webp"), pictures, strict=True)
        ),
        Kind("zip", ".zip", [buffer.getvalue(), deflated.getvalue()], use_clip),
        Kind("video", ".avi", [video.read_bytes()], use_clip),
        Kind("recognition", ".zip", [buffer.getvalue()], recognizer.recognize),
    ]


def _encode(picture: np.ndarray[Any, Any], kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind)
    return buffer.getvalue()
