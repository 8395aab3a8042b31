"""All JSON documents of cslr, and their JSON schemas, generated from the types that the code uses.

`python -m cslr_cli.cli.schemas docs/schema` writes one schema per document. `tests/cli/test_schemas.py` compares.
To add a document, write a `TypedDict` with `schema_version` next to the function that makes it, or a record with
`schema_version`, and add one line to `DOCUMENTS`.
"""

from __future__ import annotations

import inspect
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from cslr_cli.documents import format_json
from cslr_cli.files import write_text

# Each document by the name of its schema: the module and the type.
DOCUMENTS = {
    "checkpoint": "cslr_cli.checkpoints.inspection:CheckpointDocument",
    "conversion": "cslr_cli.cli.convert:ConversionDocument",
    "corpus": "cslr_cli.corpora.inspection.corpus_inspection:CorpusDocument",
    "environment": "cslr_cli.training.run.folder:EnvironmentDocument",
    "error": "cslr_cli.documents:ErrorDocument",
    "doctor": "cslr_cli.installation:InstallationDocument",
    "evaluation": "cslr_cli.evaluation.documents:EvaluationDocument",
    "explanation": "cslr_cli.cli.cam:ExplanationDocument",
    "features": "cslr_cli.cli.features_outputs:FeaturesDocument",
    "features-description": "cslr_cli.recognizer.features:FeaturesDescription",
    "hypotheses": "cslr_cli.evaluation.documents:HypothesesDocument",
    "ledger": "cslr_cli.result_files.ledger:LedgerEntry",
    "live-gloss": "cslr_cli.cli.predict_live:LiveGlossDocument",
    "metrics": "cslr_cli.training.monitoring.epoch_record:MetricsLine",
    "output-marker": "cslr_cli.result_files.marked_folder:OutputMarker",
    "preparation": "cslr_cli.corpora.preparation.report:PreparationDocument",
    "preparation-shard": "cslr_cli.corpora.preparation.report:ShardDocument",
    "release-check": "cslr_cli.corpora.preparation.release_check:ReleaseCheckDocument",
    "quickstart": "cslr_cli.quickstart:QuickstartDocument",
    "recognition": "cslr_cli.output.text:RecognitionDocument",
    "recordings": "cslr_cli.evaluation.recordings:RecordingsDocument",
    "report": "cslr_cli.report.figures:ReportDocument",
    "run": "cslr_cli.training.run.runs:RunDocument",
    "score": "cslr_cli.report.figures:ScoreDocument",
    "seeds": "cslr_cli.cli.score_seeds:SeedsDocument",
    "transcript": "cslr_cli.scoring.json_forms:TranscriptDocument",
    "transcripts": "cslr_cli.scoring.json_forms:TranscriptsDocument",
    "video": "cslr_cli.media.video_description:VideoDocument",
    "training": "cslr_cli.cli.train:TrainingDocument",
}

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ATTRIBUTE = re.compile(r"(\w+): (.*)")


def make_schema(name: str) -> dict[str, Any]:
    """Generate the JSON schema of a document."""
    module, _, type_name = DOCUMENTS[name].partition(":")
    document = getattr(import_module(module), type_name)
    schema = TypeAdapter(document).json_schema(mode="serialization", schema_generator=_SchemaGenerator)
    return {"$schema": _DIALECT, "title": name, **schema}


def write_schemas(folder: Path) -> None:
    """Write `NAME.json` for each document."""
    for name in DOCUMENTS:
        write_text(folder / f"{name}.json", format_json(make_schema(name), indent=2) + "\n")


class _SchemaGenerator(GenerateJsonSchema):
    """Adds the descriptions of docstrings, and requires the fields of records, which are always written."""

    def typed_dict_schema(self, schema: Any) -> JsonSchemaValue:
        """Return the schema of a `TypedDict`."""
        return _describe(super().typed_dict_schema(schema), schema["cls"])

    def dataclass_schema(self, schema: Any) -> JsonSchemaValue:
        """Return the schema of a record."""
        described = _describe(super().dataclass_schema(schema), schema["cls"])
        omitted = getattr(schema["cls"], "OMITTED", ())
        if omitted:
            described["required"] = [name for name in described["required"] if name not in omitted]
        return described

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        """Return the schema of a part of the configuration."""
        return _describe(super().model_schema(schema), schema["cls"])

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        """Return the schema of a field with a default, without the default: the field is always written."""
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return that names of fields are not repeated as titles."""
        return False

    def field_is_required(self, field: Any, total: bool) -> bool:
        """Return whether a field is always written."""
        return field["type"] != "typed-dict-field" or super().field_is_required(field, total)


def _describe(schema: JsonSchemaValue, cls: type) -> JsonSchemaValue:
    """Replace the title of an object by the texts of its class' docstring."""
    schema.pop("title", None)
    described = {"description": _summary(cls)} if "$ref" not in schema else {}
    texts = {name: re.sub(r"\bNone\b", "null", text) for name, text in _attribute_texts(cls).items()}
    for name, values in schema.get("properties", {}).items():
        if name in texts:
            values["description"] = texts[name]
    return {**described, **{key: value for key, value in schema.items() if key != "description"}}


def _summary(cls: type) -> str:
    """Return a docstring without its sections and examples, as one paragraph."""
    text = (inspect.getdoc(cls) or "").partition("\nAttributes:\n")[0].partition("\n    ")[0]
    return " ".join(text.split())


def _attribute_texts(cls: type) -> dict[str, str]:
    """Return the description of each attribute from the docstrings of a class and its bases."""
    texts: dict[str, str] = {}
    for base in getattr(cls, "__orig_bases__", ()):
        if isinstance(base, type):
            texts |= _attribute_texts(base)
    section = (inspect.getdoc(cls) or "").partition("\nAttributes:\n")[2].partition("\n\n")[0]
    for entry in re.split(r"\n    (?! )", f"\n{section}"):
        if match := _ATTRIBUTE.match(" ".join(entry.split())):
            texts[match[1]] = match[2]
    return texts


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/schema"))
