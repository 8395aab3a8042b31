"""Kinds of input that whole commands read: a workplace of a user in which one file is damaged, and the command.

A command ends well with 0, 1 or 2. With 1 or 2, it prints an error in plain words that names the damaged file.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
import yaml
from PIL import Image

from benchmarks.fuzz.kinds import Kind, dump_json_lines, dump_yaml, save
from cslr_cli.cli.app import app
from cslr_cli.errors import CslrError

_CORPUS = "prepared/synthetic"
_RUN = "runs/tiny"
_SYNTHETIC = "dataset/synthetic"
_SMALL = "--train-clips 3 --dev-clips 2 --test-clips 2 --signers 3 --glosses 8 --size 36 --workers 1"
_TINY = {
    "corpus": {"name": "synthetic"},
    "data": {"crop_size": 32, "min_clip_frames": 16, "num_workers": 0},
    "model": {"width": 8, "hidden_size": 16, "pretrained": False},
    "training": {"epochs": 2, "batch_size": 2, "precision": "fp32", "keep_best": 2, "num_threads": 1},
}
_ARPA = """\\data\\
ngram 1=5
ngram 2=3

\\1-grams:
-1.0\t<unk>\t0
0\t<s>\t-0.5
-0.7\t</s>\t0
-0.8\tMORGEN\t-0.3
-0.9\tREGEN\t-0.3

\\2-grams:
-0.4\t<s> MORGEN
-0.5\tMORGEN REGEN
-0.6\tREGEN </s>

\\end\\
"""
_PHOENIX = "phoenix2014-release/phoenix-2014-multisigner"
_HEADER = "id|folder|signer|annotation"


class RefusedError(CslrError):
    """A command has ended with an error for the user, as it should."""


class CommandFaultError(Exception):
    """A command has ended in another way than with a result or with an error for the user."""


@dataclass(frozen=True)
class DamagedFile:
    """A file of the workplace, and a command that reads it.

    Attributes:
        name: name of the kind, after that of the command.
        path: the file, in the workplace; its suffix says which format it has.
        command: command line; `{}` stands for the text of the file, if the file is the value of an option.
        needs: files and folders of the workplace that the command needs.
        named: texts of which one must be in an error; by default, the name of the file.
        values: what to change instead of bytes: all values in the file; of a checkpoint, `metadata` or `training`.
        may_be_damaged: whether the command may succeed with a damaged file, because it does not need all of it.
        text: content of a file that is not in the workplace.
    """

    name: str
    path: str
    command: str
    needs: tuple[str, ...]
    named: tuple[str, ...] = ()
    values: Literal["", "all", "metadata", "training"] = ""
    may_be_damaged: bool = False
    text: str | None = None


# What independent readers say


def _reads_without_error(read: Callable[[bytes], object]) -> Callable[[bytes], bool]:
    def is_whole(content: bytes) -> bool:
        try:
            read(content)
        except Exception:
            return False
        return True

    return is_whole


def _load_json_lines(content: bytes) -> list[Any]:
    return [json.loads(line) for line in content.decode("utf-8-sig").split("\n") if line.strip()]


def _check_zip(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if archive.testzip() is not None:
            raise ValueError


def _check_checkpoint(content: bytes) -> None:
    _check_zip(content)
    torch.load(io.BytesIO(content), weights_only=True)


# By the suffix of the file.
_IS_WHOLE: Mapping[str, Callable[[bytes], bool]] = {
    ".jsonl": _reads_without_error(_load_json_lines),
    ".yaml": _reads_without_error(yaml.safe_load),
    ".zip": _reads_without_error(_check_zip),
    ".pt": _reads_without_error(_check_checkpoint),
    ".png": _reads_without_error(lambda content: Image.open(io.BytesIO(content)).load()),
}


def make_command_kinds(folder: Path) -> list[Kind]:
    """Make a workplace in an empty folder by the commands themselves, and the kinds of its files."""
    workplace = folder / "workplace"
    workplace.mkdir()
    with _working_in(workplace):
        _fill_workplace()
        content = {damaged: _read(damaged) for damaged in _damaged_files()}
    return [_make_kind(damaged, workplace, seed) for damaged, seed in content.items()]


def _read(damaged: DamagedFile) -> Any:
    """Return what is changed: the bytes of the file, or the values in it."""
    content = Path(damaged.path).read_bytes() if damaged.text is None else damaged.text.encode()
    if not damaged.values:
        return content
    if damaged.path.endswith(".pt"):
        values = torch.load(io.BytesIO(content), weights_only=True)
        return {name: value for name, value in values.items() if _is_part(name, damaged.values)}
    return yaml.safe_load(content) if damaged.path.endswith(".yaml") else _load_json_lines(content)


def _is_part(name: str, part: str) -> bool:
    return name == "training" if part == "training" else name not in ("weights", "training")


def _make_kind(damaged: DamagedFile, workplace: Path, seed: Any) -> Kind:
    suffix = Path(damaged.path).suffix

    def dump(value: Any) -> bytes:
        if suffix == ".yaml":
            return dump_yaml(value)
        if suffix != ".pt":
            return dump_json_lines(value)
        whole = torch.load(workplace / damaged.path, weights_only=True)
        kept = {name: part for name, part in whole.items() if not _is_part(name, damaged.values)}
        return save({**kept, **(value if isinstance(value, dict) else {"format": value})})

    def use(path: Path) -> None:
        content = path.read_bytes()
        place = path.parent / "place"
        if place.exists():
            shutil.rmtree(place)
        place.mkdir()
        for name in damaged.needs:
            _copy(workplace / name, place / name)
        target = place / damaged.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        text = content.decode("utf-8", "surrogateescape").replace("\0", "")[:_MAX_ARGUMENT]
        arguments = [text if part == "{}" else part for part in damaged.command.split(" ")]
        with _working_in(place):
            run_command(arguments, damaged.named or (target.name,))

    name = f"{damaged.command.split(' ')[0]} {damaged.name}"
    is_whole = None if damaged.values or damaged.may_be_damaged else _IS_WHOLE.get(suffix)
    return Kind(name, suffix, [seed], use, dump, is_whole)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


# Running a command


def run_command(arguments: Sequence[str], named: Sequence[str] = ()) -> str:
    """Run a command in this process, and return what it prints on standard output.

    Args:
        arguments: command line.
        named: texts of which one must be in an error.

    Raises:
        RefusedError: the command ended with 1 or 2, and with an error as it should be.
        CommandFaultError: it ended in another way.
    """
    stdout, stderr = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace") for _ in range(2))
    standard_input, sys.stdin = sys.stdin, io.StringIO()
    try:
        with redirect_stdout(stdout), redirect_stderr(stderr):
            app(list(arguments), prog_name="cslr")
        status: Any = 0
    except SystemExit as ended:
        status = ended.code or 0
    finally:
        sys.stdin = standard_input
    output, messages = _content(stdout), _content(stderr)
    fault = find_fault(status, output, messages, named, as_json="--json" in arguments)
    if fault is not None:
        raise CommandFaultError(f"{fault}\n{' '.join(arguments)}\nexit status {status}\n{messages[-2000:]}")
    if status != 0:
        raise RefusedError(messages)
    return output


def _content(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode("utf-8", "backslashreplace")


_MAX_ARGUMENT = 30_000  # characters; Linux has a limit of 131,072 bytes
_MAX_MESSAGES = 30_000  # characters; a damaged file must not fill the screen
_INTERNAL = re.compile(r"\b[A-Z]\w*(Error|Exception)\b|<class |object at 0x|\bNoneType\b|\[Errno |\bTraceback\b")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def find_fault(status: object, output: str, messages: str, named: Sequence[str], *, as_json: bool) -> str | None:
    """Return what is wrong with the end of a command; None if nothing is."""
    if status not in (0, 1, 2):
        return f"exit status {status}"
    if "Traceback (most recent call last)" in output + messages:
        return "a traceback"
    if _CONTROL.search(output + messages):
        return "control characters"
    if len(messages) > _MAX_MESSAGES:
        return f"messages of {len(messages)} characters"
    if as_json and not _IS_WHOLE[".jsonl"](output.encode()):
        return "no JSON on standard output"
    if status == 0:
        return None
    if status == 1 and "breaks training: " in output:  # the result of `cslr inspect`
        return None
    errors = [line for line in messages.split("\n") if line.startswith("error: ")]
    is_usage = status == 2 and "Usage: " in messages
    if not is_usage and len(errors) != 1:
        return f"{len(errors)} errors"
    if not is_usage and (internal := _INTERNAL.search(errors[0])):
        return f"an error in the words of a library: {internal[0]}"
    if not is_usage and named and not any(text in messages for text in named):
        return "an error that does not name the file"
    return None


# The workplace


def _fill_workplace() -> None:
    """Make all files by the commands that make them, in the current folder."""
    run_command(f"prepare synthetic {_SMALL}".split())
    Path("tiny.yaml").write_bytes(dump_yaml(_TINY))
    run_command(["train", "--config", "tiny.yaml", "--name", "tiny", "--device", "cpu"])
    run_command(["convert", "runs/tiny/best.pt", "--to", "published", "--output", "published.pt"])
    shutil.copy(f"{_CORPUS}/vocabulary.txt", "glosses.txt")
    first_clip = next(Path(_CORPUS, "frames/dev").glob("*.zip"))
    shutil.copy(first_clip, "clip.zip")
    with zipfile.ZipFile(first_clip) as archive:
        archive.extractall("pictures")
    _write_pictures()
    _write_video(Path("clip.avi"))
    Path("model.arpa").write_text(_ARPA, encoding="utf-8")
    Path("references.stm").write_text("c1 1 anna 0.0 1.8e+308 HAUS REGEN\nc2 1 ben 0.0 3.5 SONNE\n", encoding="utf-8")
    Path("first.ctm").write_text("c1 1 0.00 0.40 HAUS 0.91\nc2 1 0.1 0.2 SONNE 1.0\n", encoding="utf-8")
    Path("second.ctm").write_text("c1 1 0.00 0.40 HAUS\nc2 1 0.1 0.2 REGEN\n", encoding="utf-8")
    _write_releases()
    run_command(
        [
            "predict",
            "clip.zip",
            "pictures",
            "--checkpoint",
            "runs/tiny",
            "--device",
            "cpu",
            "--output",
            "results/",
            "--format",
            "srt",
        ]
    )
    with suppress(RefusedError):
        run_command(
            ["predict", "clip.zip", "later.zip", "--checkpoint", "runs/tiny", "--device", "cpu", "--output", "all.csv"]
        )
    shutil.copy("clip.zip", "later.zip")
    run_command(["features", "clip.zip", "--checkpoint", "runs/tiny", "--device", "cpu", "--output", "features/"])
    run_command(["evaluate", "runs/tiny", "--device", "cpu", "--workers", "0", "--split", "dev"])
    run_command(["prepare", "own", "--manifest", "own/clips.csv", "--size", "36", "--workers", "1"])
    shutil.copytree("prepared/own", "begun")
    run_command(["score", "references.stm", "first.ctm", "--output", "report"])


def _write_pictures() -> None:
    picture = Image.fromarray(np.arange(36 * 36 * 3, dtype=np.uint32).reshape(36, 36, 3).astype(np.uint8))
    for suffix in ("jpg", "gif", "bmp", "webp"):
        folder = Path(f"pictures-{suffix}")
        folder.mkdir()
        for number in range(12):
            picture.save(folder / f"{number}.{suffix}")


def _write_video(path: Path) -> None:
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (48, 40))
    for number in range(16):
        writer.write(np.full((40, 48, 3), 10 * number, np.uint8))
    writer.release()


def _write_releases() -> None:
    """Write a folder of own clips, and releases of PHOENIX2014 and CSL-Daily with one clip per split."""
    own = Path("own")
    own.mkdir()
    lines, samples = ["path,glosses,split,signer,start,end"], []
    for split in ("train", "dev", "test"):
        shutil.copy("clip.zip", own / f"{split}.zip")
        lines.append(f"{split}.zip,HAUS REGEN,{split},anna,,")
        samples.append({"path": f"{split}.zip", "glosses": ["HAUS", "REGEN"], "split": split, "signer": "anna"})
    (own / "clips.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    (own / "clips.jsonl").write_bytes(dump_json_lines(samples))
    release = Path("phoenix", _PHOENIX)
    counts = []
    for split in ("train", "dev", "test"):
        annotation = release / f"annotations/manual/{split}.corpus.csv"
        annotation.parent.mkdir(parents=True, exist_ok=True)
        row = f"{split}1|{split}1/1/*.png|Signer01|HAUS REGEN"
        annotation.write_text(f"{_HEADER}\n{row}\n", encoding="utf-8")
        shutil.copytree("pictures", release / f"features/fullFrame-210x260px/{split}/{split}1/1")
        counts.append(f"{split}1 {len(list(Path('pictures').iterdir()))}")
    Path("counts.txt").write_text("\n".join([*counts, ""]), encoding="utf-8")
    daily = Path("daily/CSL-Daily/sentence")
    rows = [f"{number}|S{number}_P1_T0|20|A B|a b|a b|n n" for number in range(3)]
    daily.mkdir(parents=True)
    (daily / "video_map.txt").write_text(
        "\n".join(["index|name|length|gloss|char|word|postag", *rows]), encoding="utf-8"
    )
    splits = [f"S{number}_P1_T0|{split}" for number, split in enumerate(("train", "dev", "test"))]
    (daily / "split_1.txt").write_text("\n".join(["name|split", *splits]), encoding="utf-8")
    for number in range(3):
        shutil.copytree("pictures-jpg", daily / f"frames_512x512/S{number}_P1_T0")


# The files


def _damaged_files() -> list[DamagedFile]:
    """Return the files of the workplace, which is the current folder, and the commands that read them."""
    return [
        *_network_files(),
        *_recording_files(),
        *_result_files(),
        *_corpus_files(),
        *_run_files(),
        *_release_files(),
        *_score_files(),
        *_values_of_options(),
    ]


_BEST, _CLIP = f"{_RUN}/best.pt", "clip.zip"
_PREDICT = f"predict {_CLIP} --checkpoint {_BEST} --device cpu --json"
_NEW_RUN = "train --config tiny.yaml --epochs 1 --name new --device cpu --workers 0 --json"


def _network_files() -> Iterator[DamagedFile]:
    published = f"predict {_CLIP} --checkpoint published.pt --device cpu --json --vocabulary"
    yield DamagedFile("checkpoint", _BEST, _PREDICT, (_CLIP,))
    yield DamagedFile("checkpoint", _BEST, f"inspect {_BEST} --json", ())
    yield DamagedFile("first weights", _BEST, f"{_NEW_RUN} --init-weights {_BEST}", (_CORPUS, "tiny.yaml"))
    for command in (
        _PREDICT,
        f"inspect {_BEST}",
        f"cam {_CLIP} --checkpoint {_BEST} --device cpu --json",
        f"features {_CLIP} --checkpoint {_BEST} --device cpu",
        f"convert {_BEST} --to published --output new.pt --json",
        f"evaluate {_BEST} --device cpu --workers 0 --json",
    ):
        needs = (_CORPUS,) if command.startswith("evaluate") else (_CLIP,)
        yield DamagedFile("checkpoint values", _BEST, command, needs, (_BEST, _CORPUS), "metadata")
    convert = "convert published.pt --vocabulary glosses.txt --output new.pt"
    yield DamagedFile("published", "published.pt", convert, ("glosses.txt",))
    for name, command in (
        ("gloss_dict.npy", f"{published} gloss_dict.npy"),
        ("glosses.txt", f"{published} glosses.txt"),
        ("glosses.txt", convert),
    ):
        yield DamagedFile(name, name, command, (_CLIP, "published.pt"), (name, "published.pt"))
    yield DamagedFile("language model", "model.arpa", f"{_PREDICT} --lm model.arpa", (_CLIP, _BEST))
    yield DamagedFile("configuration", "tiny.yaml", _NEW_RUN, (_CORPUS,), ("tiny.yaml", "prepared/"))
    inspect = f"inspect {_CORPUS} --config tiny.yaml --workers 1"
    yield DamagedFile("configuration values", "tiny.yaml", inspect, (_CORPUS,), values="all")


def _recording_files() -> Iterator[DamagedFile]:
    network = f"--checkpoint {_BEST} --device cpu"
    outputs = "--output new/ --format srt --strip new/ --preview new/ --save-logits new/"
    for name, command in (
        ("zip", f"predict {_CLIP} {network} --json"),
        ("zip to files", f"predict {_CLIP} {network} {outputs}"),
        ("zip", f"cam {_CLIP} {network}"),
        ("zip", f"features {_CLIP} {network} --json"),
    ):
        yield DamagedFile(name, _CLIP, command, (_BEST,))
    yield DamagedFile("video", "clip.avi", f"predict clip.avi {network} --json", (_BEST,))
    picture = str(next(Path("pictures").iterdir()))
    yield DamagedFile("png", picture, f"predict pictures {network} --json", (_BEST, "pictures"))
    for kind in ("jpg", "gif", "bmp", "webp"):
        folder = f"pictures-{kind}"
        yield DamagedFile(kind, f"{folder}/3.{kind}", f"predict {folder} {network} --json", (_BEST, folder))


def _result_files() -> Iterator[DamagedFile]:
    """Return files of results that a command has written, which it reads to continue."""
    again = f"--checkpoint {_RUN} --device cpu --skip-existing --output"
    folder, one = (
        f"predict {_CLIP} pictures {again} results/ --format srt",
        f"predict {_CLIP} later.zip {again} all.csv",
    )
    needs = (_CLIP, _RUN, "pictures", "later.zip", "results", "features", "all.csv", "all.csv.ledger.jsonl")
    for path, command, named in (
        ("results/ledger.jsonl", folder, "results"),
        ("results/.cslr-output.json", folder, "results"),
        ("all.csv", one, "all.csv"),
        ("all.csv.ledger.jsonl", one, "all.csv"),
        ("features/.cslr-output.json", f"features {_CLIP} {again} features/", "features"),
    ):
        yield DamagedFile(f"again {path}", path, command, needs, (named,), may_be_damaged=True)
    files = ("references.stm", "first.ctm", "report")
    score = "score references.stm first.ctm --output report --skip-existing"
    yield DamagedFile("again", "report/.cslr-output.json", score, files, ("report",), may_be_damaged=True)


def _corpus_files() -> Iterator[DamagedFile]:
    """Return the files of a prepared corpus, which four commands read."""
    clips = {split: str(next(Path(_CORPUS, "frames", split).glob("*.zip"))) for split in ("train", "dev")}
    features = f"features --corpus {_CORPUS} --split dev --checkpoint {_BEST} --device cpu"
    for command, split in (
        (f"evaluate {_BEST} --split dev --device cpu --workers 0 --json", "dev"),
        (_NEW_RUN, "train"),
        (f"inspect {_CORPUS} --workers 1", "train"),
        (features, "dev"),
    ):
        needs = (_BEST, "tiny.yaml", _CORPUS)
        for name in ("corpus.yaml", f"{split}.jsonl", "vocabulary.txt", "references/dev.stm"):
            yield DamagedFile(name, f"{_CORPUS}/{name}", command, needs, (_CORPUS,))
        yield DamagedFile("frames", clips[split], command, needs, (_CORPUS,))
        for name in ("corpus.yaml", f"{split}.jsonl"):
            yield DamagedFile(f"{name} values", f"{_CORPUS}/{name}", command, needs, (_CORPUS,), "all")


def _run_files() -> Iterator[DamagedFile]:
    resume = f"train --resume {_RUN} --set training.epochs=3 --device cpu --json"
    average = f"convert --average {_RUN} --best 2 --json"
    needs, named = (_CORPUS, _RUN), (_RUN, _CORPUS)
    last, metrics, epoch = f"{_RUN}/last.pt", f"{_RUN}/metrics.jsonl", str(next(Path(_RUN).glob("epoch-*.pt")))
    yield DamagedFile("last.pt", last, resume, needs, named)
    yield DamagedFile("last.pt values", last, resume, needs, named, "metadata")
    yield DamagedFile("last.pt training", last, resume, needs, named, "training")
    yield DamagedFile("config.yaml", f"{_RUN}/config.yaml", resume, needs, named)
    for name in ("metrics.jsonl", "environment.json", "best.pt"):
        yield DamagedFile(name, f"{_RUN}/{name}", resume, needs, named, may_be_damaged=True)
    yield DamagedFile("metrics.jsonl", metrics, "runs --json", (_RUN,), may_be_damaged=True)
    yield DamagedFile("metrics.jsonl values", metrics, "runs", (_RUN,), (_RUN,), "all")
    yield DamagedFile("config.yaml", f"{_RUN}/config.yaml", "runs", (_RUN,))
    yield DamagedFile("metrics.jsonl", metrics, average, (_RUN,), (_RUN,), may_be_damaged=True)
    yield DamagedFile("epoch", epoch, average, (_RUN,))
    yield DamagedFile("epoch values", epoch, average, (_RUN,), (_RUN,), "metadata")


def _release_files() -> Iterator[DamagedFile]:
    own = "prepare own --size 36 --workers 1 --json --manifest own/clips"
    yield DamagedFile("own manifest", "own/clips.csv", f"{own}.csv", ("own",))
    yield DamagedFile("own manifest lines", "own/clips.jsonl", f"{own}.jsonl", ("own",))
    yield DamagedFile("own manifest values", "own/clips.jsonl", f"{own}.jsonl", ("own",), values="all")
    yield DamagedFile("own clip", "own/train.zip", f"{own}.csv --strict", ("own",))
    phoenix = "prepare phoenix2014 --source phoenix --size 36 --workers 1"
    annotation = f"phoenix/{_PHOENIX}/annotations/manual/train.corpus.csv"
    yield DamagedFile("phoenix2014", annotation, phoenix, ("phoenix",), ("phoenix2014",))
    counts = f"{phoenix} --no-frames --frame-counts counts.txt"
    yield DamagedFile("frame counts", "counts.txt", counts, ("phoenix",), ("counts.txt", _PHOENIX))
    daily = "prepare csl-daily --source daily --size 36 --workers 1"
    for name in ("video_map.txt", "split_1.txt"):
        yield DamagedFile(f"csl-daily {name}", f"daily/CSL-Daily/sentence/{name}", daily, ("daily",), ("sentence",))
    for path in sorted(Path(_SYNTHETIC).rglob("*")):
        if path.suffix in (".json", ".csv", ".stm"):
            command = f"prepare synthetic --output new {_SMALL}"
            yield DamagedFile(f"synthetic {path.name}", str(path), command, (_SYNTHETIC,), (_SYNTHETIC,))
    for path in sorted(Path("begun").iterdir()):
        if path.is_file():
            command = f"{own}.csv --output begun"
            yield DamagedFile(
                f"begun {path.name}", str(path), command, ("own", "begun"), ("begun",), may_be_damaged=True
            )


def _score_files() -> Iterator[DamagedFile]:
    score = "score references.stm first.ctm"
    names = ("references.stm", "first.ctm", "second.ctm")
    for name, command in zip(
        names,
        (f"{score} --json", f"{score} --json --missing empty", f"{score} second.ctm --output new --missing empty"),
        strict=True,
    ):
        yield DamagedFile(name, name, command, names)


def _values_of_options() -> Iterator[DamagedFile]:
    """Return texts that are the values of options."""
    needs = (_CLIP, _RUN, _CORPUS, "own", "model.arpa")
    network = f"--checkpoint {_BEST} --device cpu"
    own = "prepare own --manifest own/clips.csv --workers 1 --size"
    for command, text in (
        (f"{_PREDICT} --set {{}}", "decoding.beam_width=5"),
        (f"inspect {_CORPUS} --workers 1 --set {{}}", "data.min_clip_frames=16"),
        (f"{_PREDICT} --source-fps {{}}", "12.5"),
        (f"{_PREDICT} --start {{}}", "0.5"),
        (f"{_PREDICT} --window {{}}", "1.5"),
        (f"{_PREDICT} --max-frames {{}}", "20"),
        (f"{_PREDICT} --beam-width {{}}", "5"),
        (f"{_PREDICT} --lm model.arpa --lm-weight {{}}", "0.7"),
        (f"cam {_CLIP} {network} --reference {{}}", "MORGEN"),
        (f"cam {_CLIP} {network} --place {{}}", "12,20"),
        (f"cam {_CLIP} {network} --at {{}}", "0.5"),
        (f"evaluate {_BEST} --device cpu --workers 0 --split {{}}", "dev,test"),
        (f"{own} 36 --split-shares {{}}", "80,10,10"),
        (f"{own} {{}}", "36"),
        (f"{own} 36 --fps {{}}", "25"),
        (f"{own} 36 --shard {{}}", "1/2"),
    ):
        yield DamagedFile(command.split(" ")[-2], "value.txt", command, needs, ("error",), text=text)
