"""The schemas of `docs/schema` are those of the code, and what commands write fits them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from cslr_cli.cli.schemas import DOCUMENTS, make_schema
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import ErrorKind
from cslr_cli.result_files.ledger import InputFile, LedgerEntry
from cslr_cli.result_files.marked_folder import MARKER_FILE, OutputMarker
from tests.checkpoints.published_files import save_published
from tests.cli.conftest import Command
from tests.corpora.releases import write_csl
from tests.documents import SCHEMAS, check_document


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_schema_is_generated_from_the_code(name: str) -> None:
    published = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    assert published == make_schema(name), "run: python -m cslr_cli.cli.schemas"
    assert isinstance(published["properties"]["schema_version"]["const"], int)
    assert "schema_version" in published["required"]


def test_no_schema_is_left_over() -> None:
    assert {path.stem for path in SCHEMAS.glob("*.json")} == set(DOCUMENTS)


def test_the_page_lists_every_schema_and_every_kind_of_error() -> None:
    page = (SCHEMAS.parent / "json.md").read_text(encoding="utf-8")
    assert [name for name in DOCUMENTS if f"(schema/{name}.json)" not in page] == []
    assert [kind for kind in get_args(ErrorKind) if f"| `{kind}` |" not in page] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_field_is_described(name: str) -> None:
    schema = make_schema(name)
    objects = {name: schema, **schema.get("$defs", {})}
    undescribed = [
        f"{kind}.{field}"
        for kind, values in objects.items()
        if kind != "NumberSummary"  # min, median, mean and max
        for field, described in values.get("properties", {}).items()
        if "description" not in described
    ]
    assert undescribed == []


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_recognitions_and_errors(cslr: Command, trained: Path) -> None:
    clips = list(Path("prepared/synthetic/frames/test").iterdir())[:2]
    for options in ((), ("--nbest", 3), ("--window", 1)):
        outcome = cslr("predict", *clips, "missing.mp4", *options, "--json", "--checkpoint", trained)
        *recognised, failed = lines(outcome.stdout)
        for document in recognised:
            check_document("recognition", document)
            assert document["checkpoint"] == str(trained)
        check_document("error", failed)
    assert cslr("predict", clips[0], "--output", "talk.json", "--checkpoint", trained).status == 0
    check_document("recognition", read(Path("talk.json")))


def test_evaluations_reports_and_hypotheses(cslr: Command, trained: Path) -> None:
    outcome = cslr("evaluate", trained, "--json", "--nbest", 2, "--output", "report")
    (document,) = lines(outcome.stdout)
    check_document("evaluation", document)
    check_document("report", read(Path("report/report.json")))
    hypotheses = read(Path("report/dev.hypotheses.json"))
    check_document("hypotheses", hypotheses)
    assert {name for name in hypotheses if name != "schema_version"} == set(document["splits"]["dev"]["hypotheses"])


def test_scores_of_one_system_and_of_two(cslr: Command, workplace: Path) -> None:
    Path("signed.stm").write_text("a 1 x 0 1 A B\nb 1 y 0 1 C\n")
    Path("first.ctm").write_text("a 1 0 1 A\nb 1 0 1 D\n")
    Path("second.ctm").write_text("a 1 0 1 A\na 1 1 2 B\nb 1 0 1 D\n")
    for systems in (("first.ctm",), ("first.ctm", "second.ctm")):
        report = Path(f"report-{len(systems)}")
        (document,) = lines(cslr("score", "signed.stm", *systems, "--json", "--output", report).stdout)
        check_document("score", document)
        assert ("comparison" in document) == (len(systems) == 2)
        check_document("report", read(report / "report.json"))


def test_ledgers_and_marked_folders(tmp_path: Path) -> None:
    source = tmp_path / "talk.mp4"
    source.write_bytes(b"video")
    described = InputFile.describe(source, tmp_path)
    entry = LedgerEntry("predict", described.path, described.size, described.modified, "done", "talk.srt")
    for several in (entry, replace(entry, occurrence=2, start=0, end=10, reason="x", options={"format": "srt"})):
        check_document("ledger", json.loads(several.to_json()))
    OutputMarker("cam", "0.2.0", (described,), files=("cam.png",)).write(tmp_path)
    check_document("output-marker", read(tmp_path / MARKER_FILE))


def test_runs_and_their_files(cslr: Command, trained: Path, workplace: Path) -> None:
    options = ("--config", "tiny.yaml", "--name", "other", "--set", "training.epochs=1", "--device", "cpu", "--json")
    outcome = cslr("train", *options)
    (document,) = lines(outcome.stdout)
    check_document("training", document)
    run = Path(document["run"])
    resumed = cslr("train", "--resume", run, "--set", "training.epochs=2", "--device", "cpu")
    assert resumed.status == 0, resumed.stderr
    environment = read(run / "environment.json")
    check_document("environment", environment)
    assert len(environment["resumed"]) == 1
    metrics = lines((run / "metrics.jsonl").read_text())
    assert [record["epoch"] for record in metrics] == [1, 2]
    for record in metrics:
        check_document("metrics", record)
    listed = lines(cslr("runs", "--json").stdout)
    assert len(listed) == 2
    for document in listed:
        check_document("run", document)


def test_corpora(cslr: Command, workplace: Path) -> None:
    source = write_csl(Path("release"))
    small = ("prepare", "csl", "--source", source, "--size", 8, "--workers", 1, "--json")
    for number in (1, 2):
        check_document("preparation-shard", json.loads(cslr(*small, "--shard", f"{number}/2").stdout))
    check_document("preparation", json.loads(cslr(*small).stdout))
    check_document("preparation", read(Path("prepared/csl/prepare-report.json")))
    check_document("corpus", json.loads(cslr("inspect", "prepared/csl", "--json").stdout))


def test_checkpoints(cslr: Command, trained: Path, tiny_corpus: PreparedCorpus) -> None:
    check_document("checkpoint", json.loads(cslr("inspect", trained, "--json").stdout))
    published = save_published(Path("dev_18.80.pt"), "corrnet", tiny_corpus.vocabulary.num_classes)
    check_document("checkpoint", json.loads(cslr("inspect", published, "--json").stdout))
    for arguments in (
        (published, "--vocabulary", "prepared/synthetic", "--output", "converted.pt"),
        (trained, "--to", "published", "--output", "published.pt"),
        ("--average", trained.parent, "--best", 2),
    ):
        outcome = cslr("convert", *arguments, "--json")
        assert outcome.status == 0, outcome.stderr
        check_document("conversion", json.loads(outcome.stdout))


def test_features_and_heat_maps(cslr: Command, trained: Path) -> None:
    outcome = cslr("features", "--corpus", "prepared/synthetic", "--json", "--output", "features")
    documents = lines(outcome.stdout)
    assert len(documents) == 3
    for document in documents:
        check_document("features", document)
    check_document("features-description", read(Path("features/features.json")))
    clip = next(Path("prepared/synthetic/frames/test").iterdir())
    check_document("explanation", json.loads(cslr("cam", clip, "--json").stdout))
