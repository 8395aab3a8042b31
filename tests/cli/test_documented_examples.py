"""The Python blocks and the commands of README.md and docs/ run, in order, with small files of the names they use."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cslr_cli
from cslr_cli.checkpoints.checkpoint import Checkpoint, save_checkpoint
from cslr_cli.config import Config
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.media.frames import open_frames
from cslr_cli.media.video_writer import video_writer
from tests.checkpoints.published_files import save_gloss_dict, save_published
from tests.cli.conftest import REPOSITORY, Command

DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
# Variables that a block takes as given: a minute of frames, as an application has them.
GIVEN: dict[str, Any] = {"frames": lambda: (np.full((36, 36, 3), 90, np.uint8) for _ in range(30 * 71))}


def python_blocks(document: Path) -> list[tuple[int, str]]:
    """The blocks of a document, each with the number of its first line."""
    text = document.read_text(encoding="utf-8")
    found = re.finditer(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, block.start(1)) + 1, block[1]) for block in found]


@pytest.fixture
def documented_files(workplace: Path, tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus, cslr: Command) -> Path:
    """The files that the documents speak of, made small, in the current folder."""
    for path in ("runs/quickstart/best.pt", "runs/corrnet/best.pt", "corrnet-phoenix2014.pt"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(tiny_checkpoint, Path(path))
    source = open_frames(tiny_corpus.frames_path(tiny_corpus.samples("dev")[0]))
    with video_writer(Path("talk.mp4"), 36, 36, tiny_corpus.fps) as video:
        for frame in source.iterate():
            video.write(frame)
    for copy in ("video.mp4", "runs/quickstart/example.mp4"):
        shutil.copy("talk.mp4", copy)
    save_published(Path("dev_18.80.pt"), "corrnet")
    save_gloss_dict(Path())
    network = ("--checkpoint", "runs/quickstart/best.pt")
    for arguments in (
        ("features", "--corpus", "prepared/synthetic", "--split", "dev", "--output", "features", *network),
        ("features", "--corpus", "prepared/synthetic", "--split", "dev", "--output", "one", "--single-file", *network),
        ("predict", "talk.mp4", "--save-logits", "talk.npz", *network),
    ):
        outcome = cslr(*arguments)
        assert outcome.status == 0, outcome.stderr
    shutil.copy("one/dev.npz", "features/dev.npz")
    elan = pytest.importorskip("pympi.Elan").Eaf()
    Path("videos").mkdir()
    for tier, annotation in (("sentences", "good weather"), ("glosses", "WEATHER")):
        elan.add_tier(tier)
        elan.add_annotation(tier, 0, 1000, annotation)
    elan.to_file("videos/lecture.eaf")
    return workplace


def test_the_documents_have_blocks_of_python() -> None:
    assert sum(len(python_blocks(document)) for document in DOCUMENTS) >= 10


@pytest.mark.parametrize(
    "document", [path for path in DOCUMENTS if python_blocks(path)], ids=lambda document: document.stem
)
def test_every_block_of_python_runs(document: Path, documented_files: Path) -> None:
    names: dict[str, Any] = {name: make() for name, make in GIVEN.items()}
    for line, block in python_blocks(document):
        exec(compile("\n" * (line - 1) + block, str(document), "exec"), names)


@pytest.mark.parametrize("name", [name for name in cslr_cli.__all__ if name != "__version__"])
def test_the_example_of_each_public_name_runs(
    name: str, documented_files: Path, tiny_release: Path, tiny_config: Config
) -> None:
    Path("dataset").mkdir()
    Path("dataset/synthetic").symlink_to(tiny_release)
    Path("runs/quickstart/config.yaml").write_text(tiny_config.to_yaml())
    examples = doctest.DocTestParser().get_examples(getattr(cslr_cli, name).__doc__)
    assert len(examples) > 1
    names: dict[str, Any] = {}
    for example in examples:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(example.source, name, "single"), names)
        assert not example.want or printed.getvalue() == example.want


# Commands that this test does not run, and what they need.
NOT_RUN = {
    r"phoenix2014|csl-daily|/data/|dev_18\.80|runs/corrnet|runs/mine|runs/NAME|runs/slower": "a real corpus",
    r"--device \d|torchrun": "GPUs",
    r"cslr predict (0|rtsp)": "a camera",
    r"\.arpa": "a language model",
    r"my-corpus|my-recipe|new/": "files of your own; run by test_own_corpus_manual",
    r"cslr quickstart|--config quickstart": "minutes; run by test_quickstart",
    r"cslr demo": "a visitor; run by tests/demo",
    r"--gloss |--reference |--sample ": "the network of the quickstart",
    r"refs\.stm|references\.(stm|csv)|hypotheses\.trn|fp32/": "hypotheses of your own; run by test_score",
    r"cslr train": "a real corpus",
}


def documented_commands(document: Path) -> list[list[str]]:
    """The arguments of the `cslr` commands in a document's blocks of shell that need no real data or hardware."""
    text = document.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```([^\n]*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    shell = [block for language, block in blocks if language in ("", "sh")]
    lines = [line.strip() for block in shell for line in block.splitlines() if line.startswith("cslr ")]
    needs_nothing = [line for line in lines if not any(re.search(pattern, line) for pattern in NOT_RUN)]
    return [shlex.split(line, comments=True)[1:] for line in needs_nothing]


def test_the_documents_have_commands_that_run_anywhere() -> None:
    assert sum(len(documented_commands(document)) for document in DOCUMENTS) >= 20


@pytest.mark.parametrize(
    "document", [path for path in DOCUMENTS if documented_commands(path)], ids=lambda path: path.stem
)
def test_every_command_that_needs_no_real_data_runs(document: Path, documented_files: Path, cslr: Command) -> None:
    shutil.copy("runs/quickstart/best.pt", "best.pt")
    Path("folder").mkdir()
    shutil.copy("talk.mp4", "folder")
    for arguments in documented_commands(document):
        expanded: list[str] = []
        for argument in arguments:
            expanded += sorted(map(str, Path().glob(argument))) if "*" in argument else [argument]
        outcome = cslr(*expanded)
        assert outcome.status == 0, (arguments, outcome.stderr)
