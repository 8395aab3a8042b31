"""Data from outside is read within limits, and everything wrong with it is one kind of error."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import tempfile
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import cslr_cli
from cslr_cli import untrusted
from cslr_cli.untrusted import (
    MAX_DEPTH,
    MAX_ZIP_ENTRY_BYTES,
    MIB,
    UntrustedDataError,
    abbreviate,
    has_control_characters,
    open_zip,
    parse_count,
    parse_json,
    parse_yaml,
    read_bytes,
    read_json,
    read_text,
    read_xml,
    read_yaml,
    read_zip_entry,
    refuse_special_file,
    shorten_lines,
)

_SCALARS = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.floats(allow_nan=False) | st.text(max_size=9)
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner))
_ALIASES = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + k)}: &{chr(98 + k)} [{','.join(['*' + chr(97 + k)] * 9)}]\n" for k in range(9)
)
_MERGES = "a: &a {x: 1}\n" + "".join(
    f"{chr(98 + k)}: &{chr(98 + k)} {{<<: [{','.join(['*' + chr(97 + k)] * 9)}]}}\n" for k in range(9)
)


@given(_VALUES)
def test_json_means_what_the_standard_library_says(value: Any) -> None:
    text = json.dumps(value)
    assert parse_json(text) == json.loads(text)


@given(_VALUES)
def test_yaml_means_what_pyyaml_says(value: Any) -> None:
    text = yaml.safe_dump(value)
    assert parse_yaml(text) == yaml.safe_load(text)


@given(st.text() | st.text(alphabet='[]{},:"0123456789.eE-nul&*!<> \n'))
def test_any_text_means_what_the_libraries_say_or_is_one_kind_of_error(text: str) -> None:
    libraries: dict[Callable[[str], Any], Callable[[str], Any]] = {parse_json: json.loads, parse_yaml: yaml.safe_load}
    for parse, library in libraries.items():
        try:
            expected = repr(library(text))
        except Exception:  # the libraries raise what Python's functions raise
            expected = "an error"
        try:
            found = repr(parse(text))
        except UntrustedDataError as error:
            found = expected if _LIMIT.search(error.message) else "an error"
        assert found == expected


_LIMIT = re.compile("digits|levels deep|contains itself|values after replacing references")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
        '{"a":' * 70 + "1" + "}" * 70,
        "9" * 5000,
        "",
        "nul",
    ],
)
def test_json_beyond_the_limits_is_an_error(text: str) -> None:
    with pytest.raises(UntrustedDataError):
        parse_json(text)


def test_brackets_in_text_are_not_levels() -> None:
    assert parse_json(json.dumps(["[" * 1000, '"{' * 1000])) == ["[" * 1000, '"{' * 1000]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (_ALIASES, "values after replacing references"),
        (_MERGES, "values after replacing references"),
        ("&a [*a]", "contains itself"),
        ("- " * 500, "levels deep"),
        ("[ " * 2000, "levels deep"),
        ("!!int x", "wrong value"),
        ("2020-13-45", "wrong value"),
        ("!!bool x", "wrong value"),
        ("!!timestamp x", "wrong value"),
        ("9" * 5000, "wrong value"),
        ("9" * 30, "too many digits"),
        ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("{[1]: 2}", "unhashable"),
        ("a: b: c", "line 1, column 5"),
        ("\x00", "unacceptable character"),
    ],
)
def test_yaml_beyond_the_limits_is_an_error(text: str, problem: str) -> None:
    with pytest.raises(UntrustedDataError, match=problem):
        parse_yaml(text)


def test_references_within_the_limits_are_replaced() -> None:
    assert parse_yaml("base: &base {lr: 1.0}\nother: {<<: *base, seed: 2}") == {
        "base": {"lr": 1.0},
        "other": {"lr": 1.0, "seed": 2},
    }


@pytest.mark.parametrize("read", [read_json, read_yaml])
def test_the_message_names_the_file(read: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "values"
    for content in (b"[1", b"\xff", b" " * (20 * MIB)):
        path.write_bytes(content)
        with pytest.raises(UntrustedDataError) as caught:
            read(path)
        assert caught.value.message.startswith(f"{path}: ")
        assert caught.value.message.count(str(path)) == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_read_in_the_encodings_of_spreadsheets(encoding: str, tmp_path: Path) -> None:
    for line_end in ("\n", "\r\n", "\r"):
        (tmp_path / "list.csv").write_text("ÜBER\nMORGEN\n", encoding=encoding, newline=line_end)
        assert read_text(tmp_path / "list.csv") == "ÜBER\nMORGEN\n"


def test_a_huge_text_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "huge.txt"
    with open(path, "wb") as file:
        file.truncate(2**33)  # takes no space on the disk
    tracemalloc.start()
    with pytest.raises(UntrustedDataError, match="larger than 1 MiB"):
        read_text(path, max_bytes=MIB)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * MIB


@pytest.mark.parametrize("text", ["", "-1", "1.0", "١", "9" * 19, "9" * 5000, "1_000"])
def test_a_count_has_a_few_digits(text: str) -> None:
    assert parse_count("007") == 7
    with pytest.raises(UntrustedDataError):
        parse_count(text)


def test_long_values_are_abbreviated_in_messages() -> None:
    assert abbreviate("REGEN") == "'REGEN'"
    long = ["A" * 10**6] * 10**6
    nested: list[Any] = []
    for _ in range(500):
        nested = [nested, nested]
    tracemalloc.start()
    assert [len(abbreviate(value)) <= 60 for value in (long, long[0], nested, {"a": nested})] == [True] * 4
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MIB


def test_only_long_lines_of_a_message_are_cut() -> None:
    assert shorten_lines("first\n" + "x" * 5000 + "\nlast", 10) == "first\nxxxxxxxxx…\nlast"


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\n", "\x7f", "\x9b"])
def test_control_characters_are_found(character: str) -> None:
    assert has_control_characters(f"MOR{character}GEN")
    assert not has_control_characters("MORGEN-ÜBER 他 ­")


# XML


def test_xml_means_what_the_standard_library_says(tmp_path: Path) -> None:
    text = '<?xml version="1.0" encoding="ISO-8859-1"?><a x="1">\xfc<b/>&amp;<!-- c --><c>d</c>e</a>'
    (tmp_path / "a.xml").write_bytes(text.encode("latin-1"))
    assert ElementTree.tostring(read_xml(tmp_path / "a.xml")) == ElementTree.tostring(
        ElementTree.fromstring(text.encode("latin-1"))
    )


_BOMB = "<!DOCTYPE a [<!ENTITY b0 'x'>" + "".join(f"<!ENTITY b{n} '{f'&b{n - 1};' * 10}'>" for n in range(1, 12))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (f"{_BOMB}]><a>&b11;</a>".encode(), "declares entities"),
        (b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', "declares entities"),
        (b"<a>" * 100_000, "levels deep"),
        (b"<a>&nothing;</a>", "undefined entity at line 1, column 4"),
        (b"", "no element found"),
        (b"\x00\xff", "not XML"),
        (b'<?xml version="1.0" encoding="unknown-9"?><a/>', "not XML"),
        (b"<a>" + b" " * 80 * MIB, "larger than 64 MiB"),
    ],
    ids=range(8),
)
def test_xml_beyond_the_limits_is_an_error(content: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(content)
    tracemalloc.start()
    with pytest.raises(UntrustedDataError, match=problem) as caught:
        read_xml(tmp_path / "a.xml")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.message.startswith(f"{tmp_path / 'a.xml'}: ")
    assert peak < 80 * MIB


@given(st.binary() | st.text(alphabet="<>/a&;!'\"[] ").map(str.encode))
def test_any_content_means_what_the_standard_library_says_or_is_one_kind_of_error(content: bytes) -> None:
    try:
        expected = ElementTree.tostring(ElementTree.fromstring(content))
    except (ElementTree.ParseError, ValueError, LookupError):
        expected = b"an error"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.xml").write_bytes(content)
        try:
            found = ElementTree.tostring(read_xml(Path(folder) / "a.xml"))
        except UntrustedDataError:
            found = b"an error"
    assert found == expected


# Pipes, sockets and devices


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_a_pipe_is_read_to_its_end(pipe: Path) -> None:
    def write() -> None:
        time.sleep(0.1)  # the reader is first
        with open(pipe, "wb") as file:
            for _ in range(20):
                file.write(b"REGEN\n" * 1000)
                file.flush()
                time.sleep(0.001)

    writer = threading.Thread(target=write)
    writer.start()
    assert read_text(pipe) == "REGEN\n" * 20_000
    writer.join()


def test_a_pipe_with_too_much_data_is_refused(pipe: Path) -> None:
    def write() -> None:
        with suppress(BrokenPipeError), open(pipe, "wb") as file:
            while True:
                file.write(b"x" * 4096)

    threading.Thread(target=write, daemon=True).start()
    with pytest.raises(UntrustedDataError, match="larger than 1 MiB"):
        read_bytes(pipe, max_bytes=MIB)


def test_a_pipe_that_nobody_writes_to_is_an_error(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untrusted, "_WRITER_SECONDS", 0.1)
    with pytest.raises(UntrustedDataError, match="pipe that no program writes to"):
        read_text(pipe)


def test_a_pipe_whose_writer_pauses_for_long_is_an_error(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untrusted, "_PAUSE_SECONDS", 0.1)
    descriptor = os.open(pipe, os.O_RDWR)  # this does not wait for a reader
    os.write(descriptor, b"REG")
    with pytest.raises(UntrustedDataError, match="no data came for"):
        read_text(pipe)
    os.close(descriptor)


def test_sockets_and_devices_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(UntrustedDataError, match="a socket, not a file"):
            refuse_special_file(Path("socket"))
        with pytest.raises(OSError, match="No such device"):
            read_bytes(Path("socket"), max_bytes=MIB)
    for device in ("/dev/zero", "/dev/null", "/dev/full"):
        with pytest.raises(UntrustedDataError, match="a device, not a file"):
            read_bytes(Path(device), max_bytes=MIB)
        with pytest.raises(UntrustedDataError, match="a device, not a file"), open_zip(Path(device)):
            pass


# Zip files


def _zip(path: Path, content: bytes, method: int) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("0.png", content)
    return path


def _read(path: Path) -> bytes:
    with open_zip(path) as archive:
        return read_zip_entry(archive, "0.png")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_entries_are_read_in_each_compression(method: int, tmp_path: Path) -> None:
    content = bytes(range(256)) * 300
    assert _read(_zip(tmp_path / "a.zip", content, method)) == content


def _patched(path: Path, offset: int, value: bytes) -> Path:
    """Change bytes of the entry in the central directory."""
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\x01\x02") + offset
    content[at : at + len(value)] = value
    path.write_bytes(content)
    return path


def test_a_zip_entry_inflates_no_further_than_it_says(tmp_path: Path) -> None:
    """The entry says that it has 1000 bytes, and inflates to 64 MiB."""
    path = _zip(tmp_path / "a.zip", bytes(64 * MIB), zipfile.ZIP_DEFLATED)
    _patched(path, 24, struct.pack("<I", 1000))
    tracemalloc.start()
    with pytest.raises(UntrustedDataError, match="CRC"):
        _read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * MIB


def test_a_zip_entry_that_says_it_is_huge_is_not_inflated(tmp_path: Path) -> None:
    path = _patched(
        _zip(tmp_path / "a.zip", b"x", zipfile.ZIP_DEFLATED), 24, struct.pack("<I", MAX_ZIP_ENTRY_BYTES + 1)
    )
    with pytest.raises(UntrustedDataError, match="larger than 256 MiB"):
        _read(path)


def test_damaged_zips_are_one_kind_of_error(tmp_path: Path) -> None:
    """Version 8.4 is NotImplementedError in the standard library, an encrypted entry RuntimeError."""
    original = _zip(tmp_path / "a.zip", bytes(range(256)) * 4, zipfile.ZIP_DEFLATED).read_bytes()
    path = tmp_path / "b.zip"
    path.write_bytes(original)
    for offset, value in ((6, struct.pack("<H", 84)), (8, struct.pack("<H", 1)), (10, struct.pack("<H", 77))):
        path.write_bytes(original)
        with pytest.raises(UntrustedDataError):
            _read(_patched(path, offset, value))
    for at in range(len(original)):
        for damaged in (original[:at], original[:at] + bytes([original[at] ^ 0xFF]) + original[at + 1 :]):
            path.write_bytes(damaged)
            with suppress(UntrustedDataError):
                assert _read(path) == bytes(range(256)) * 4


def test_a_missing_zip_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        _read(tmp_path / "none.zip")
    (tmp_path / "empty.zip").write_bytes(b"")
    with pytest.raises(UntrustedDataError, match="is empty"):
        _read(tmp_path / "empty.zip")


def test_no_other_module_parses_data_from_outside() -> None:
    """`pickle.loads` of our own worker processes and zips that are written are no data from outside."""
    package = Path(cslr_cli.__file__).parent
    parsers = re.compile(
        r"json\.loads?\(|yaml\.(safe_)?load\(|\.read_text\(|torch\.load\(|np\.load\(|Image\.open\("
        r"|ParserCreate\(|ElementTree\.(parse|fromstring|iterparse|XML)\(|minidom|pickle\.load\("
    )
    allowed = {
        "untrusted.py": "this door",
        "media/pictures.py": "the door of pictures",
        "checkpoints/checkpoint_file.py": "the door of checkpoints",
        "demo/page.py": "the package's own files",
        "report/page.py": "the package's own files",
        "recognizer/features.py": "arrays that it has just written",
        "installation.py": "the system's own files",
        "cli/quickstart.py": "what a command of cslr has just printed",
        "output/elan_praat.py": "a document that it has just written",
    }
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if parsers.search(path.read_text(encoding="utf-8"))
    }
    assert found <= allowed.keys(), "use cslr_cli.untrusted"
