"""Check of real documents against their published schemas, by another library than the one that generates them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).parents[1] / "docs" / "schema"


def check_document(name: str, document: Any) -> None:
    """Check that a document fits its schema, and has no field that the schema does not describe."""
    schema = _close(json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8")))
    Draft202012Validator.check_schema(schema)
    faults = [f"{fault.json_path}: {fault.message}" for fault in Draft202012Validator(schema).iter_errors(document)]
    assert not faults, faults


def _close(schema: Any) -> Any:
    """Forbid unknown fields. The published schemas allow them, because a newer version may add some."""
    if isinstance(schema, list):
        return [_close(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _close(part) for key, part in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed
