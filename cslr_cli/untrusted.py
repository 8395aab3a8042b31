"""Read data from outside: text, JSON, YAML, XML and zip files of any origin, within limits.

A file from outside can be damaged, huge by mistake, or made to exhaust the memory of its reader. Every other module
reads such data through these functions. They check sizes before they allocate, and raise `UntrustedDataError` for
everything that is wrong, whatever the underlying library raises. Pictures are read by `cslr_cli.media.pictures`, videos
by `cslr_cli.media.video`, and checkpoints by `cslr_cli.checkpoints.checkpoint_file`.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import reprlib
import select
import stat
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cslr_cli.errors import DataError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MIB: Final = 2**20
MAX_TEXT_BYTES: Final = 512 * MIB  # manifests and annotation files; 100,000 clips take about 40 MB
MAX_DOCUMENT_BYTES: Final = 16 * MIB  # one JSON document
MAX_YAML_BYTES: Final = MIB  # PyYAML reads about 100 kB per second
MAX_XML_BYTES: Final = 64 * MIB  # an annotation document of ELAN; an hour of signing takes about 5 MB
MAX_XML_ELEMENTS: Final = 2_000_000
MAX_DEPTH: Final = 64  # nested lists and objects; far below Python's limit of recursion
MAX_YAML_VALUES: Final = 100_000  # after references (`*name`) are replaced by what they refer to
MAX_DIGITS: Final = 18  # of a count
_MAX_BITS = 63  # of an integer in JSON and YAML, without its sign

MAX_ZIP_ENTRIES: Final = 1_000_000
MAX_ZIP_ENTRY_BYTES: Final = (
    256 * MIB
)  # inflated; a picture of the largest accepted size has 192 MiB without compression

MAX_FRAME_SIDE: Final = 2**14  # pixels of a frame size in a configuration, a checkpoint or a prepared corpus


class UntrustedDataError(DataError):
    """Data from outside is damaged, hostile or too large. The message says what is wrong, callers say where."""


# Text


def read_text(path: Path, *, max_bytes: int = MAX_TEXT_BYTES) -> str:
    r"""Read a text file: UTF-8 with or without a byte-order mark, or UTF-16 with one, as spreadsheets write it.

    Line ends of all systems become `\n`.

    Args:
        path: path of the file; a pipe is read to its end.
        max_bytes: maximum size in bytes.

    Raises:
        OSError: the file cannot be opened or read.
        UnicodeDecodeError: the file has another encoding.
        UntrustedDataError: the file is too large.

    Example:
        >>> vocabulary = read_text(Path("prepared/synthetic/vocabulary.txt"))
    """
    content = read_bytes(path, max_bytes=max_bytes)
    is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if is_utf_16 else "utf-8-sig")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def read_bytes(path: Path, *, max_bytes: int) -> bytes:
    """Read a file that has at most `max_bytes` bytes, which is checked before the memory is allocated.

    A pipe is read to its end; a writer must open it within seconds, and must not pause for long.

    Raises:
        OSError: the file cannot be opened or read.
        UntrustedDataError: the file is too large, or is a socket, a device, or a pipe that nobody writes to.
    """
    with open(path, "rb", opener=_open_at_once) as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISFIFO(mode):
            content = _read_pipe(file.fileno(), path, max_bytes + 1)
        else:
            _refuse_mode(mode, path)
            content = file.read(max_bytes + 1)  # one more, because a file can grow
    if len(content) > max_bytes:
        raise UntrustedDataError(f"{path}: larger than {_format_size(max_bytes)}", "use a smaller file")
    return content


def refuse_special_file(path: Path) -> None:
    """Raise an UntrustedDataError for a pipe, a socket or a device: reading it may never end, or needs other functions.

    A missing file and a folder are no special files.
    """
    with suppress(OSError):
        mode = path.stat().st_mode
        if stat.S_ISFIFO(mode):
            raise UntrustedDataError(f"{path}: a pipe, not a file", _SPECIAL_HINT)
        _refuse_mode(mode, path)


def _refuse_mode(mode: int, path: Path) -> None:
    kind = "socket" if stat.S_ISSOCK(mode) else "device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else None
    if kind is not None:
        raise UntrustedDataError(f"{path}: a {kind}, not a file", _SPECIAL_HINT)


def _open_at_once(path: str, flags: int) -> int:
    """Open a file; do not wait for the writer of a pipe, who may never come."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read_pipe(descriptor: int, path: Path, max_bytes: int) -> bytes:
    """Read a pipe to its end, or `max_bytes` of it."""
    content = bytearray()
    has_writer, deadline = False, time.monotonic() + _WRITER_SECONDS
    while len(content) < max_bytes:
        try:
            part = os.read(descriptor, min(MIB, max_bytes - len(content)))
        except BlockingIOError:  # a writer, but no data yet
            has_writer = True
            if not select.select([descriptor], [], [], _PAUSE_SECONDS)[0]:
                message = f"{path}: a pipe in which no data came for {_PAUSE_SECONDS:g} s"
                raise UntrustedDataError(message, _SPECIAL_HINT) from None
            continue
        content += part
        if not part and (has_writer or content):
            break
        if not part and time.monotonic() > deadline:
            raise UntrustedDataError(f"{path}: a pipe that no program writes to", _SPECIAL_HINT)
        if not part:
            time.sleep(0.01)
    return bytes(content)


# Time in which a writer must open a pipe, and time in which the next data must come, seconds.
_WRITER_SECONDS, _PAUSE_SECONDS = 2.0, 60.0
_SPECIAL_HINT = "write the data to a file, and use this file"


def parse_count(text: str) -> int:
    """Parse a whole number, 0 or more, with ASCII digits only.

    Raises:
        UntrustedDataError: it is something else or has more than `MAX_DIGITS` digits.

    Example:
        >>> parse_count("250")
        250
    """
    if not (text.isascii() and text.isdigit()):
        raise UntrustedDataError(f"{abbreviate(text)} is not a whole number")
    if len(text) > MAX_DIGITS:
        raise UntrustedDataError(f"a number with {len(text)} digits")
    return int(text)


def abbreviate(value: object, max_characters: int = 60) -> str:
    """Format a value for a message, like `repr`, but not longer than `max_characters`, and fast for any value.

    Example:
        >>> abbreviate("MORGEN"), abbreviate(list(range(100)), 20)
        ("'MORGEN'", '[0, 1, 2, 3, 4, 5, …')
    """
    text = _SHORT_REPR.repr(value)
    return text if len(text) <= max_characters else f"{text[: max_characters - 1]}…"


def shorten_lines(text: str, max_characters: int = 2000) -> str:
    """Cut each line of a message that is longer than `max_characters`; a message can quote a very long value."""
    return "\n".join(
        line if len(line) <= max_characters else f"{line[: max_characters - 1]}…" for line in text.split("\n")
    )


_SHORT_REPR = reprlib.Repr()
_SHORT_REPR.maxlevel = 3
_SHORT_REPR.maxstring = _SHORT_REPR.maxother = 200  # characters
_SHORT_REPR.maxlist = _SHORT_REPR.maxtuple = _SHORT_REPR.maxdict = 10


def count_values(
    root: Any, parts: Callable[[Any], Iterable[Any]], *, max_values: int, max_depth: int = MAX_DEPTH
) -> int:
    """Count the values in a nested value; those that occur several times count several times.

    A few short lines can refer to each other so that they stand for billions of values. Everything that goes through
    such values, a message that shows them included, would then not end.

    Args:
        root: the nested value.
        parts: function that returns the values directly in a value.
        max_values: maximum number of values.
        max_depth: maximum number of levels below `root`.

    Raises:
        UntrustedDataError: there are more values or levels, or a value contains itself.
    """
    sizes: dict[int, int] = {}  # by id; 0 for the values that contain the current one

    def count(value: Any, levels: int) -> int:
        if (known := sizes.get(id(value))) is not None:
            if known == 0:
                raise UntrustedDataError("a value contains itself")
            return known
        if levels < 0:
            raise UntrustedDataError(f"nested more than {max_depth} levels deep")
        sizes[id(value)] = 0
        size = 1
        for part in parts(value):
            size += count(part, levels - 1)
            if size > max_values:
                raise UntrustedDataError(f"more than {max_values:,} values after replacing references")
        sizes[id(value)] = size
        return size

    return count(root, max_depth)


def normalize_label(text: str) -> str:
    r"""Return the one spelling of a gloss or a name: Unicode NFC without invisible characters.

    `Ü` can be one character or two, and zero-width spaces, soft hyphens and byte-order marks are not visible: without
    this, texts that look equal would be different glosses.

    Example:
        >>> normalize_label("U\u0308BER\u200b") == "ÜBER"
        True
    """
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", text))


# Soft hyphens; zero-width spaces, joiners and direction marks; byte-order marks.
_INVISIBLE = re.compile(r"[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")


def has_control_characters(text: str) -> bool:
    """Return whether a text contains characters that control a terminal, line ends and tabs included."""
    return _CONTROL.search(text) is not None


def is_unicode(text: str) -> bool:
    """Return whether a text can be written as UTF-8; names of files and escapes of JSON may hold other parts."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def escape_control_characters(text: str) -> str:
    r"""Replace characters that control a terminal, and bytes that are not Unicode, by their codes.

    Line ends and tabs stay.

    Example:
        >>> escape_control_characters("talk\x1b[2J.mp4")
        'talk\\x1b[2J.mp4'
    """
    return _TERMINAL_CONTROL.sub(_escape_character, text)


def _escape_character(match: re.Match[str]) -> str:
    code = ord(match[0])
    is_byte = code < 256 or 0xDC80 <= code <= 0xDCFF  # Python keeps a byte of a file name as 0xDC00 + byte
    return f"\\x{code & 0xFF:02x}" if is_byte else f"\\u{code:04x}"


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TERMINAL_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


# JSON


def parse_json(text: str) -> Any:
    """Parse a JSON document.

    Returns:
        Plain value, nested at most `MAX_DEPTH` deep, whose integers fit into 64 bits.

    Raises:
        UntrustedDataError: it is not JSON or exceeds a limit; the message says where in the text.

    Example:
        >>> parse_json('{"glosses": ["MORGEN", "REGEN"]}')
        {'glosses': ['MORGEN', 'REGEN']}
    """
    # Counting is fast; only a document with many brackets can be nested too deeply.
    if text.count("[") + text.count("{") > MAX_DEPTH and _json_depth(text) > MAX_DEPTH:
        raise UntrustedDataError(f"nested more than {MAX_DEPTH} levels deep")
    try:
        return _JSON.decode(text)
    except json.JSONDecodeError as error:
        place = f"column {error.colno}" if "\n" not in error.doc else f"line {error.lineno}, column {error.colno}"
        raise UntrustedDataError(f"not JSON: {error.msg} at {place}") from error


def read_json(path: Path, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> Any:
    """Read a JSON file, as `parse_json` does.

    Raises:
        OSError: the file cannot be opened or read.
        UntrustedDataError: the file is not JSON or exceeds a limit; the message names it.
    """
    with _naming(path):
        return parse_json(_read_document(path, max_bytes))


def _json_integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS + 2 or (number := int(digits)).bit_length() > _MAX_BITS:
        raise UntrustedDataError(f"a number with {len(digits)} digits")
    return number


_JSON = json.JSONDecoder(parse_int=_json_integer)
_JSON_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)


def _json_depth(text: str) -> int:
    """Return how deep lists and objects are nested; brackets within strings do not count."""
    depth = deepest = 0
    for match in _JSON_BRACKETS.finditer(text):
        sign = match[0]
        if sign in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return depth
            deepest = max(deepest, depth)
        elif sign in "]}":
            depth -= 1
    return deepest


# YAML


def parse_yaml(text: str) -> Any:
    """Parse a YAML document of plain values.

    Returns:
        Plain value, nested at most `MAX_DEPTH` deep, with at most `MAX_YAML_VALUES` values, whose integers fit into
        64 bits.

    Raises:
        UntrustedDataError: it is not YAML, contains other objects, or exceeds a limit.

    Example:
        >>> parse_yaml("optimizer: {lr: 1.0e-4}")
        {'optimizer': {'lr': 0.0001}}
    """
    import yaml  # takes 20 ms, and most users of this module do not need it

    if len(text) > MAX_YAML_BYTES:
        raise UntrustedDataError(f"longer than {_format_size(MAX_YAML_BYTES)}")
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        count_values(node, _yaml_parts, max_values=MAX_YAML_VALUES)
        value = loader.construct_document(node)
    except UntrustedDataError:
        raise
    except yaml.YAMLError as error:
        raise UntrustedDataError(f"not YAML: {_describe_yaml_error(error)}") from error
    except RecursionError as error:
        raise UntrustedDataError(f"nested more than {MAX_DEPTH} levels deep") from error
    except Exception as error:  # `2020-13-45`, `!!int x`, `!!bool x`: the library raises what Python's functions raise
        raise UntrustedDataError(f"not YAML: a wrong value ({abbreviate(str(error))})") from error
    _check_yaml_numbers(value)
    return value


def read_yaml(path: Path) -> Any:
    """Read a YAML file, as `parse_yaml` does.

    Raises:
        OSError: the file cannot be opened or read.
        UntrustedDataError: the file is not YAML or exceeds a limit; the message names it.
    """
    with _naming(path):
        return parse_yaml(_read_document(path, MAX_YAML_BYTES))


def _yaml_parts(node: Any) -> Iterable[Any]:
    """Return the nodes in a node of PyYAML, whose `value` is text, a list of nodes, or a list of pairs of nodes."""
    if not isinstance(node.value, list):
        return ()
    return chain.from_iterable(item if isinstance(item, tuple) else (item,) for item in node.value)


def _check_yaml_numbers(value: Any) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _check_yaml_numbers(key)
            _check_yaml_numbers(item)
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            _check_yaml_numbers(item)
    elif isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise UntrustedDataError("a number with too many digits")


def _describe_yaml_error(error: Exception) -> str:
    """Return the problem and its position in one line; PyYAML's own text has several."""
    problem = getattr(error, "problem", None) or abbreviate(str(error))
    mark = getattr(error, "problem_mark", None)
    return f"{problem}" if mark is None else f"{problem} at line {mark.line + 1}, column {mark.column + 1}"


# XML


def read_xml(path: Path) -> Element:
    """Read an XML file into a tree of elements.

    Raises:
        OSError: the file cannot be opened or read.
        UntrustedDataError: the file is not XML, declares entities (a few lines of them can stand for gigabytes), or
            exceeds a limit; the message names it.
    """
    with _naming(path):
        return _parse_xml(read_bytes(path, max_bytes=MAX_XML_BYTES))


def _parse_xml(content: bytes) -> Element:
    from xml.etree.ElementTree import TreeBuilder
    from xml.parsers import expat

    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    num_elements = depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal num_elements, depth
        num_elements, depth = num_elements + 1, depth + 1
        if num_elements > MAX_XML_ELEMENTS:
            raise UntrustedDataError(f"more than {MAX_XML_ELEMENTS:,} elements")
        if depth > MAX_DEPTH:
            raise UntrustedDataError(f"nested more than {MAX_DEPTH} levels deep")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    def refuse_entity(*_: object) -> None:
        raise UntrustedDataError("it declares entities, which are not read")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = refuse_entity
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        problem = expat.ErrorString(error.code)
        place = f"line {error.lineno}, column {error.offset + 1}"
        raise UntrustedDataError(f"not XML: {problem} at {place}") from error
    except (LookupError, ValueError) as error:  # an unknown encoding
        raise UntrustedDataError(f"not XML: {abbreviate(str(error))}") from error
    return builder.close()


# Zip files


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip file for reading.

    Raises:
        OSError: the file cannot be opened or read.
        UntrustedDataError: it is not a zip, is cut off, or has more than `MAX_ZIP_ENTRIES` entries.
    """
    refuse_special_file(path)
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, UntrustedDataError):
        raise
    except Exception as error:  # damaged headers: BadZipFile, NotImplementedError, ValueError, UnicodeDecodeError
        why = "is empty" if path.stat().st_size == 0 else "is not a zip, or is cut off"
        raise UntrustedDataError(f"{path}: the file {why}") from error
    with archive:
        if len(archive.filelist) > MAX_ZIP_ENTRIES:
            raise UntrustedDataError(f"{path}: a zip of more than {MAX_ZIP_ENTRIES:,} files")
        yield archive


def read_zip_entry(archive: zipfile.ZipFile, name: str, *, max_bytes: int = MAX_ZIP_ENTRY_BYTES) -> bytes:
    """Read a file in a zip.

    Args:
        archive: the open zip.
        name: name of the file in it.
        max_bytes: maximum size after inflating, in bytes.

    Raises:
        UntrustedDataError: the file is damaged, encrypted, compressed in an unknown way, or too large.
    """
    try:
        entry = archive.getinfo(name)
        if entry.file_size > max_bytes:
            raise UntrustedDataError(f"larger than {_format_size(max_bytes)} after inflating")
        with archive.open(entry) as file:
            if entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                # With a size, no more than that is inflated, whatever the data holds. `read()` would inflate 2 GiB.
                return file.read(entry.file_size)
            # bzip2 and LZMA inflate all that they have read at once, so they get little at a time.
            return b"".join(iter(partial(file.read, 4096), b""))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UntrustedDataError(f"cannot be read from the zip ({reason})") from error
    except RuntimeError as error:  # encrypted; its subclass NotImplementedError: unknown compression
        raise UntrustedDataError(f"cannot be read from the zip ({error})") from error


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the path before the message of an UntrustedDataError that does not name it yet."""
    try:
        yield
    except UntrustedDataError as error:
        if error.message.startswith(f"{path}: "):
            raise
        raise UntrustedDataError(f"{path}: {error.message}", error.hint) from error


def _read_document(path: Path, max_bytes: int) -> str:
    try:
        return read_text(path, max_bytes=max_bytes)
    except UnicodeDecodeError as error:
        raise UntrustedDataError(f"{path}: not UTF-8 text, byte {error.start} ({error.reason})") from error


def _format_size(num_bytes: int) -> str:
    return f"{num_bytes / MIB:g} MiB"
