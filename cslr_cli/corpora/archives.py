"""Recognise downloads that hold a release in another form: archives that must be unpacked, and files of features."""

from __future__ import annotations

import re
from pathlib import Path
from shlex import quote

_TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_TAR_FLAGS = {".gz": "z", ".bz2": "j", ".xz": "J"}
_PART = re.compile(r"\.tar(?P<compression>\.gz|\.bz2|\.xz)?[._-](?P<number>(?:part)?\d+)$", re.IGNORECASE)
_OTHER_ENDINGS = {
    ".zip": "unzip {path} -d {folder}",
    ".7z": "7z x {path} -o{folder}",
    ".rar": "unrar x {path} {folder}/",
}
# The pickles of features that the translation community trains on.
_FEATURES = "phoenix14t.pami0."
_MAX_ARCHIVES = 20


def describe_unusable_source(source: Path) -> tuple[str, str] | None:
    """Describe a source that is an archive or a file of features, or a folder with nothing else.

    Archives are not read in place: reading single pictures from a tar would need an index of all of its files first.

    Returns:
        Message and hint of an error; None for all other sources.
    """
    files = [source] if source.is_file() else _files_of(source)
    features = [path for path in files if path.name.startswith(_FEATURES)]
    if features:
        return (
            f"{features[0]}: this file has features for translation models, not pictures",
            "cslr needs the frames or videos of PHOENIX-2014-T and its annotations/manual/*.corpus.csv: download the "
            "release from its authors",
        )
    if len(files) > _MAX_ARCHIVES and not source.is_file():
        files = [path for path in files if path.suffix != ".zip"]  # zips of clips
    archives = [(path, command) for path in files if (command := _unpack_command(path)) is not None]
    if not archives:
        return None
    path, command = archives[0]
    target = path.parent
    return (
        f"{path}: this is a file, an archive; releases are read from folders",
        f"unpack it, then name the folder with --source:\n{command}\n--source {quote(str(target))}",
    )


def _files_of(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file())
    except OSError:
        return []


def _unpack_command(path: Path) -> str | None:
    """Return the command that unpacks an archive beside itself; None for other files."""
    name = path.name.lower()
    folder = quote(str(path.parent))
    if name.endswith(_TAR_ENDINGS):
        return f"tar -xf {quote(str(path))} -C {folder}"
    part = _PART.search(path.name)  # such as CSL-Daily.tar.gz_00 or CSL-Daily.tar.part01
    if part is not None:
        parts = quote(str(path.with_name(path.name[: part.start("number")])))
        return f"cat {parts}* | tar -x{_TAR_FLAGS.get(part['compression'] or '', '')} -C {folder}"
    command = next((command for ending, command in _OTHER_ENDINGS.items() if name.endswith(ending)), None)
    return None if command is None else command.format(path=quote(str(path)), folder=folder)
