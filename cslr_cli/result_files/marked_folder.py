"""A folder with the results of one call of a command, such as a report.

`.cslr-output.json` in the folder says which command wrote it for which inputs. The same command for the same inputs may
replace it. In any other folder, files that exist are not replaced.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cslr_cli.choices import ExistingFiles
from cslr_cli.files import write_text
from cslr_cli.result_files.faults import OutputFault, find_path_faults, refusal_hint
from cslr_cli.result_files.ledger import InputFile, path_for_user
from cslr_cli.untrusted import UntrustedDataError, read_json
from cslr_cli.version import __version__

MARKER_FILE = ".cslr-output.json"


@dataclass(frozen=True)
class OutputMarker:
    """The content of `.cslr-output.json`.

    Attributes:
        schema_version: version of this record.
        command: command that wrote the folder, such as `cam`.
        version: version of cslr.
        inputs: inputs of the command.
        options: options that the results depend on, by name.
        files: names of the files that the command wrote; empty if `ledger.jsonl` lists them.
        complete: whether the command has finished.
    """

    command: str
    version: str
    inputs: tuple[InputFile, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    complete: bool = False
    schema_version: Literal[1] = 1

    @classmethod
    def read(cls, folder: Path) -> OutputMarker | None:
        """Read the marker of a folder; None if there is none of this version."""
        try:
            values = read_json(folder / MARKER_FILE)
            if values["schema_version"] != cls.schema_version:
                return None
            inputs = tuple(InputFile(str(each["path"]), each["size"], each["modified"]) for each in values["inputs"])
            # A name without folders: files are removed by it.
            files, options = tuple(Path(name).name for name in values["files"]), dict(values["options"])
            return cls(
                str(values["command"]), str(values["version"]), inputs, options, files, values["complete"] is True
            )
        except (OSError, UntrustedDataError, KeyError, TypeError, ValueError):
            return None

    def write(self, folder: Path) -> None:
        """Write the marker of a folder, which may not exist yet."""
        values = {"schema_version": self.schema_version, **dataclasses.asdict(self)}
        write_text(folder / MARKER_FILE, json.dumps(values, indent=2) + "\n")


@dataclass(frozen=True)
class MarkedFolder:
    """The files that one call of a command is about to write.

    Example:
        >>> folder = MarkedFolder.plan("cam", Path("cam/talk"), [Path("talk.mp4")], ["cam.png", "cam.mp4"])
        >>> raise_output_faults(folder.find_faults("--output"))
        >>> if not folder.is_done:
        ...     folder.begin()
        ...     ...  # write the files
        ...     folder.finish(["cam.png", "cam.mp4"])

    Attributes:
        command: name of the command.
        path: the folder.
        inputs: inputs of the command, as they are now.
        required: names of files that a finished call has written.
        optional: names of files that it may have written.
        existing: what happens to files that exist.
        options: options that the results depend on, by name.
        found: marker that the folder has; None if it has none.
    """

    command: str
    path: Path
    inputs: tuple[InputFile, ...]
    required: tuple[str, ...]
    optional: tuple[str, ...]
    existing: ExistingFiles
    options: Mapping[str, str]
    found: OutputMarker | None

    @classmethod
    def plan(
        cls,
        command: str,
        path: Path,
        inputs: Sequence[Path | str],
        names: Iterable[str],
        existing: ExistingFiles = "refuse",
        options: Mapping[str, str] | None = None,
        *,
        optional: Iterable[str] = (),
    ) -> MarkedFolder:
        """Look at a folder and the inputs of a command. A text among the inputs is not a path, and kept."""
        states = (InputFile(each) if isinstance(each, str) else InputFile.describe(each, path) for each in inputs)
        found = OutputMarker.read(path)
        return cls(command, path, tuple(states), tuple(names), tuple(optional), existing, options or {}, found)

    def find_faults(self, option: str) -> list[OutputFault]:
        """Return why the files cannot be written; `option` names the folder in the messages."""
        if self.path.exists() and not self.path.is_dir():
            return [OutputFault(f"{option} {self.path}: a file, not a folder", "choose another name")]
        faults = find_path_faults(option, [self.path / name for name in (*self.required, *self.optional)], [])
        present = self._present_names()
        if self.existing == "overwrite" or not present:
            return faults
        hint = refusal_hint(self.existing)
        if self.found is not None and not self._is_of_same_call:
            inputs = ", ".join(path_for_user(each.path, self.path) for each in self.found.inputs)
            whose = f"results of cslr {self.found.command} for {inputs}"
            return [*faults, OutputFault(f"{option}: {self.path} has {whose}", hint)]
        if self.found is None:
            return faults if self.is_done else [*faults, *_existing_faults(option, self.path, present, hint)]
        if self.is_done:
            faults += find_option_faults(option, self.path, self.found.options, self.options)
        return faults

    @property
    def is_done(self) -> bool:
        """Whether nothing is to be done: the results exist, and may be kept."""
        if self.existing != "skip" or not set(self.required) <= set(self._present_names()):
            return False
        return self.found is None or (self.found.complete and self.found.inputs == self.inputs)

    def begin(self) -> None:
        """Mark the folder, so that the same call can be repeated if this one is interrupted."""
        marker = self.found if self.found is not None and self._fits else self._new_marker()
        dataclasses.replace(marker, complete=False).write(self.path)

    def is_written(self, name: str) -> bool:
        """Return whether a file is to be kept: an interrupted call has recorded it for the same state of the inputs."""
        recorded = self.existing == "skip" and self.found is not None and self._fits and name in self.found.files
        return recorded and (self.path / name).is_file()

    def record(self, name: str) -> None:
        """Record a file that is complete, so that it is kept if the command is interrupted."""
        marker = OutputMarker.read(self.path) or self._new_marker()
        dataclasses.replace(marker, files=tuple(dict.fromkeys((*marker.files, name)))).write(self.path)

    def finish(self, names: Iterable[str]) -> None:
        """Mark the folder as complete, and remove files of an earlier call that would no longer fit.

        Args:
            names: names of the files that were written. If inputs and options are those of the earlier call, its other
                files stay, for example those of another split.
        """
        written = dict.fromkeys(names)
        if self.found is not None and self._is_of_same_call:
            for name in self.found.files:
                if name not in written and self._fits:
                    written[name] = None
                elif name not in written and (self.path / name).is_file():
                    (self.path / name).unlink(missing_ok=True)
        dataclasses.replace(self._new_marker(), files=tuple(written), complete=True).write(self.path)

    @property
    def _is_of_same_call(self) -> bool:
        """Whether the same command wrote the folder for the same inputs, perhaps in another state."""
        found = self.found
        same_paths = found is not None and [each.path for each in found.inputs] == [each.path for each in self.inputs]
        return found is not None and found.command == self.command and same_paths

    @property
    def _fits(self) -> bool:
        """Whether the results of the earlier call fit to those of this one: equal inputs and options."""
        found = self.found
        return (
            found is not None and self._is_of_same_call and (found.inputs, found.options) == (self.inputs, self.options)
        )

    def _present_names(self) -> list[str]:
        return [name for name in (*self.required, *self.optional) if (self.path / name).exists()]

    def _new_marker(self) -> OutputMarker:
        return OutputMarker(self.command, __version__, self.inputs, self.options)


def _existing_faults(option: str, folder: Path, names: Iterable[str], hint: str) -> list[OutputFault]:
    return [OutputFault(f"{option}: {folder / name} exists", hint) for name in names]


def find_option_faults(
    option: str,
    output: Path,
    before: Mapping[str, str],
    now: Mapping[str, str],
    ignored: Collection[str] = (),
) -> list[OutputFault]:
    """Return a fault if results were made with other options than now; `ignored` ones are not compared."""
    names = dict.fromkeys((*before, *now))
    changed = [name for name in names if before.get(name) != now.get(name) and name not in ignored]
    if not changed:
        return []
    values = ", ".join(f"{name}: {before.get(name, 'default')}, now {now.get(name, 'default')}" for name in changed)
    message = f"{option}: {output} has results of other options ({values})"
    return [OutputFault(message, "use the same options, --overwrite, or another name")]
