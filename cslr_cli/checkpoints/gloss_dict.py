"""Vocabularies in other formats: the published code's `gloss_dict.npy`, and text files with one gloss per line.

A `gloss_dict.npy` contains a zero-dimensional array with a pickled dictionary `gloss -> [id, count]`. It is read
by `load_plain_pickle`, which runs no code.
"""

from __future__ import annotations

import io
import pickle
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cslr_cli.corpora.registry import open_prepared_corpus
from cslr_cli.errors import DataError, join_faults
from cslr_cli.files import atomic_file
from cslr_cli.plain_pickle import ForbiddenContentError, load_plain_pickle
from cslr_cli.untrusted import MIB, UntrustedDataError, abbreviate, has_control_characters, read_bytes, read_text
from cslr_cli.vocabulary import Vocabulary

_NPY: Any = np.lib.format  # only some versions of numpy annotate it

_EXPECTED = "use the published code's gloss_dict.npy: gloss -> [id, count], with ids from 1"


def read_any_vocabulary(path: Path) -> Vocabulary:
    """Read a vocabulary in any supported format.

    Args:
        path: a `gloss_dict.npy`, the folder of a prepared corpus, a `vocabulary.txt`, or a text file with one gloss
            per line in the order of the ids.

    Raises:
        DataError: the file is missing or invalid.
    """
    if path.is_dir():
        return open_prepared_corpus(path).vocabulary
    if path.suffix == ".npy":
        return read_gloss_dict(path)
    try:
        lines = read_text(path).split("\n")
    except (OSError, UnicodeDecodeError):
        return Vocabulary.read(path)  # raises the error that describes the file
    if any("\t" in line for line in lines):
        return Vocabulary.read(path)
    return _vocabulary_from_glosses([line.strip() for line in lines if line.strip()], path)


def _vocabulary_from_glosses(glosses: list[str], path: Path) -> Vocabulary:
    repeated = sorted(gloss for gloss, count in Counter(glosses).items() if count > 1)
    wrong = [gloss for gloss in glosses if len(gloss.split()) > 1 or has_control_characters(gloss)]
    faults = [f"{abbreviate(gloss)} occurs twice" for gloss in repeated]
    faults += [f"{abbreviate(gloss)} has spaces or control characters" for gloss in wrong]
    if faults or not glosses:
        raise DataError(
            f"{path}: not a vocabulary\n{join_faults(faults) if faults else 'it contains no glosses'}",
            "write one gloss per line, optionally with a tab and its count; line n is the gloss with id n",
        )
    return Vocabulary(tuple(glosses), (0,) * len(glosses))


def read_gloss_dict(path: Path) -> Vocabulary:
    """Read a `gloss_dict.npy` without running code from it.

    Raises:
        DataError: the file cannot be read or contains something else.
    """
    try:
        content = _read_object(path)
    except OSError as error:
        raise DataError(f"{path}: cannot read the vocabulary ({error.strerror})") from error
    except UntrustedDataError:
        raise
    except ForbiddenContentError as error:
        raise DataError(
            f"{path}: contains objects other than glosses and numbers ({error}); no code in it was run", _EXPECTED
        ) from error
    except Exception as error:  # a damaged pickle can raise anything
        raise DataError(f"{path}: not a gloss_dict.npy, or an incomplete one", _EXPECTED) from error
    faults = _find_faults(content)
    if faults:
        raise DataError(f"{path}: not a gloss_dict.npy\n{join_faults(faults)}", _EXPECTED)
    glosses = sorted(content, key=lambda gloss: int(content[gloss][0]))
    return Vocabulary(tuple(glosses), tuple(int(content[gloss][1]) for gloss in glosses))


# The largest vocabulary of a published corpus has 60 kB.
_MAX_BYTES = 64 * MIB


def _read_object(path: Path) -> Any:
    """Read the object in a zero-dimensional array; other files give None or any exception."""
    with io.BytesIO(read_bytes(path, max_bytes=_MAX_BYTES)) as file:
        is_version_1 = _NPY.read_magic(file) == (1, 0)
        read_header = _NPY.read_array_header_1_0 if is_version_1 else _NPY.read_array_header_2_0
        shape, _, dtype = read_header(file)
        if not dtype.hasobject or shape != ():
            return None
        array = load_plain_pickle(file.read())
        return array.item() if isinstance(array, np.ndarray) else None


def _find_faults(content: Any) -> list[str]:
    if not isinstance(content, Mapping) or not content:
        return ["it contains no dictionary"]
    wrong = [
        f"{abbreviate(gloss)} -> {abbreviate(value)}"
        for gloss, value in content.items()
        if not (isinstance(gloss, str) and _is_gloss(gloss) and _is_pair_of_numbers(value))
    ]
    if wrong:
        return wrong
    ids = sorted(int(value[0]) for value in content.values())
    if ids != list(range(1, len(ids) + 1)):
        return [f"its {len(ids)} ids are {ids[0]} to {ids[-1]}, expected 1 to {len(ids)}, each once"]
    return []


def _is_gloss(text: str) -> bool:
    return len(text.split()) == 1 and not has_control_characters(text)


def _is_pair_of_numbers(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(type(number) is int for number in value)


def write_gloss_dict(vocabulary: Vocabulary, path: Path) -> None:
    """Write a vocabulary in the published code's format, atomically."""
    glosses = zip(vocabulary.glosses, vocabulary.counts, strict=True)
    content = {gloss: [gloss_id, count] for gloss_id, (gloss, count) in enumerate(glosses, start=1)}
    array = np.array(content, dtype=object)
    # numpy 2 writes a module name that older versions do not know; all versions know the old name.
    pickled = pickle.dumps(array, protocol=3).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    with atomic_file(path) as unfinished, open(unfinished, "wb") as file:
        _NPY.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        file.write(pickled)
