from __future__ import annotations

import pickle

import pytest

from cslr_cli.errors import (
    CheckpointError,
    ConfigError,
    CslrError,
    DataError,
    DeviceError,
    MediaError,
    MissingPackageError,
    ScoringError,
    UsageError,
)

FAMILY = (
    CslrError,
    UsageError,
    ConfigError,
    DataError,
    MediaError,
    CheckpointError,
    DeviceError,
    ScoringError,
    MissingPackageError,
)


def test_an_error_says_what_is_wrong_and_below_it_how_to_fix_it() -> None:
    error = DataError("dev.csv:3: 5 fields", "expected 4:\nid|folder|signer|annotation")
    assert str(error) == "dev.csv:3: 5 fields\nhint: expected 4:\n      id|folder|signer|annotation"


def test_an_error_without_a_hint_is_its_message() -> None:
    assert str(MediaError("a.mp4: the file is empty")) == "a.mp4: the file is empty"


@pytest.mark.parametrize("kind", FAMILY)
def test_wrong_usage_ends_with_status_2_and_everything_else_with_1(kind: type[CslrError]) -> None:
    assert kind("message").exit_status == (2 if kind in (UsageError, ConfigError) else 1)


@pytest.mark.parametrize("kind", FAMILY)
def test_an_error_is_the_same_after_it_came_from_another_process(kind: type[CslrError]) -> None:
    received = pickle.loads(pickle.dumps(kind("message", "hint")))
    assert type(received) is kind
    assert (received.message, received.hint, str(received)) == ("message", "hint", "message\nhint: hint")
