"""The files of `cslr features`: one per clip, or one per split."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer
from typing_extensions import TypedDict

from cslr_cli.cli.console import print_error, print_json, print_line, print_note, report_error, shown_progress
from cslr_cli.cli.results import (
    existing_files,
    keep_finished_results,
    plan_folder,
    print_kept_results,
    recorded_options,
)
from cslr_cli.errors import CslrError, UsageError
from cslr_cli.media.options import ReadOptions
from cslr_cli.progress import Progress
from cslr_cli.result_files import (
    LEDGER_FILE,
    MARKER_FILE,
    Ledger,
    OutputFault,
    OutputMarker,
    ResultPlan,
    find_file_faults,
    raise_output_faults,
    refusal_hint,
)

if TYPE_CHECKING:
    from cslr_cli.dataset.sample import Sample
    from cslr_cli.recognizer import Recognizer


class FeaturesDocument(TypedDict):
    """Written features: one line of `cslr features --json` per split, or one line for all videos.

    Attributes:
        schema_version: version of this document.
        output: file, or folder of one file per clip.
        clips: number of clips.
        frames: number of their frames.
        steps: number of their output steps.
    """

    schema_version: Literal[1]
    output: str
    clips: int
    frames: int
    steps: int


@dataclass(frozen=True)
class ClipGroup:
    """Clips whose features belong together: a split of a corpus, or all videos.

    Attributes:
        split: name of the split; empty for videos.
        paths: paths of the clips.
        names: names of their files, without suffix.
        samples: samples of the corpus; None for videos.
    """

    split: str
    paths: Sequence[Path]
    names: Sequence[str]
    samples: Sequence[Sample] | None = None

    @property
    def file_name(self) -> str:
        """The name of one file with all clips."""
        return f"{self.split or 'videos'}.npz"


class ClipFiles:
    """The features of all groups, in one file per clip: `SPLIT/SAMPLE_ID.npz`, or `NAME.npz` for videos."""

    def __init__(self, context: typer.Context, folder: Path, groups: Sequence[ClipGroup]) -> None:
        self.folder, self.groups = folder, groups
        self._existing = existing_files(context.params["overwrite"], context.params["skip_existing"])
        self.plans = []
        for group in groups:
            plan = ResultPlan("features", group.paths, self._existing, recorded_options(context))
            plan.add_folder("--output", self.folder_of(group), self.paths_of(group))
            self.plans.append(plan)

    @property
    def has_work(self) -> bool:
        """Whether there are features to compute."""
        return any(plan.todo for plan in self.plans)

    def folder_of(self, group: ClipGroup) -> Path:
        """Return the folder of the files of a group's clips."""
        return self.folder / group.split

    def paths_of(self, group: ClipGroup) -> list[Path]:
        """Return the files of a group's clips."""
        return [self.folder_of(group) / f"{name}.npz" for name in group.names]

    def check(self) -> None:
        """Raise UsageError about files that may not be replaced, and print what is kept."""
        faults = [fault for plan in self.plans for fault in plan.find_faults()]
        description = self.folder / "features.json"
        if self._existing == "refuse" and description.exists() and not self._was_written_before():
            faults += find_file_faults("--output", description, [], "refuse")
        raise_output_faults(faults)
        for plan in self.plans:
            plan.check()
            print_kept_results(plan)

    def write_description(self, recognizer: Recognizer, checkpoint: Path) -> None:
        """Write `features.json`.

        Raises:
            UsageError: the folder has features of another network, which would stay.
        """
        from cslr_cli.recognizer.features import describes_same_network, write_description

        if not describes_same_network(recognizer, self.folder):
            own = {path for group in self.groups for path in self.written_paths(group)}
            others = sorted({*self.folder.glob("*.npz"), *self.folder.glob("*/*.npz")} - own)
            if others:
                more = f" and {len(others) - 1} more" if others[1:] else ""
                raise UsageError(
                    f"--output: {others[0]}{more} has features of another network", "use another folder, or remove it"
                )
        write_description(recognizer, checkpoint, self.folder)

    def write(self, recognizer: Recognizer | None, read_options: ReadOptions, *, as_json: bool) -> bool:
        """Write the features and print their numbers; return whether all clips succeeded."""
        succeeded = True
        for group, plan in zip(self.groups, self.plans, strict=True):
            counts = {"clips": 0, "frames": 0, "steps": 0}
            if recognizer is not None and plan.todo:
                counts, failed = _write_clips(recognizer, group, plan, self.paths_of(group), read_options, as_json)
                succeeded = succeeded and not failed
            self.finish_group(group, counts, as_json=as_json)
        return succeeded

    def written_paths(self, group: ClipGroup) -> list[Path]:
        """Return the files that stay of a group at the end."""
        return self.paths_of(group)

    def finish_group(self, group: ClipGroup, counts: dict[str, int], *, as_json: bool) -> None:
        """Print the numbers of a group."""
        _print_counts(self.folder_of(group), counts, as_json=as_json)

    def _was_written_before(self) -> bool:
        """Whether an earlier call has written features to the folder."""
        markers = map(OutputMarker.read, [self.folder, *(path.parent for path in self.folder.glob(f"*/{MARKER_FILE}"))])
        return any(marker is not None and marker.command == "features" for marker in markers)


class SingleFiles(ClipFiles):
    """The features of each group in one file: `SPLIT.npz`, or `videos.npz`.

    The files of clips are collected in `NAME.npz.partial/`, and joined at the end.
    """

    def __init__(
        self, context: typer.Context, folder: Path, groups: Sequence[ClipGroup], inputs: Sequence[Path]
    ) -> None:
        self._marked = plan_folder(context, folder, inputs, [group.file_name for group in groups])
        todo = [] if self._marked.is_done else groups
        super().__init__(context, folder, [each for each in todo if not self._marked.is_written(each.file_name)])

    def folder_of(self, group: ClipGroup) -> Path:
        """Return the folder in which the clips are collected."""
        return self.folder / f"{group.file_name}.partial"

    def written_paths(self, group: ClipGroup) -> list[Path]:
        """Return the files that stay of a group at the end."""
        return [self.folder / group.file_name]

    def check(self) -> None:
        """Raise UsageError about files that may not be replaced, and print what is kept."""
        faults = []
        for group in self.groups if self._existing == "refuse" else ():
            ledger = Ledger(self.folder_of(group) / LEDGER_FILE)
            count = sum(entry.status == "done" for entry in ledger)
            if count:
                results = f"{count} results of an interrupted command"
                message = f"--output: {self.folder_of(group)} exists, with {results}"
                faults.append(OutputFault(message, refusal_hint("refuse")))
        raise_output_faults(faults)
        super().check()

    def write(self, recognizer: Recognizer | None, read_options: ReadOptions, *, as_json: bool) -> bool:
        """Write the features and print their numbers; return whether all clips succeeded."""
        if self._marked.is_done:
            return True
        self._marked.begin()
        succeeded = super().write(recognizer, read_options, as_json=as_json)
        if succeeded:
            self._marked.finish(self._marked.required)
        return succeeded

    def finish_group(self, group: ClipGroup, counts: dict[str, int], *, as_json: bool) -> None:
        """Join the files of the clips, and print the numbers of the group."""
        from cslr_cli.recognizer.features import join_features

        clips = [path for path in self.paths_of(group) if path.exists()]
        if not clips:
            return
        frames, steps = join_features(clips, self.folder / group.file_name)
        if len(clips) == len(group.paths):
            self._marked.record(group.file_name)
            shutil.rmtree(self.folder_of(group))
        else:
            print_note(f"{self.folder_of(group)} is kept; --skip-existing adds the clips that failed")
        counts = {"clips": len(clips), "frames": frames, "steps": steps}
        _print_counts(self.folder / group.file_name, counts, as_json=as_json)


def _write_clips(
    recognizer: Recognizer,
    group: ClipGroup,
    plan: ResultPlan,
    paths: Sequence[Path],
    read_options: ReadOptions,
    as_json: bool,
) -> tuple[dict[str, int], int]:
    """Write the features of the clips of a group, each to its file; report a bad clip and continue.

    Returns:
        Numbers of clips, frames and steps, and the number of clips that failed.
    """
    from cslr_cli.recognizer.batch import translate_read_error
    from cslr_cli.recognizer.features import extract_features, write_features

    counts, num_failed = {"clips": 0, "frames": 0, "steps": 0}, 0
    stage = f"features of {group.split}" if group.split else "features"
    network = recognizer.checkpoint.describe()
    with shown_progress() as progress, keep_finished_results(plan), plan.open(network):
        for number, index in enumerate(plan.todo, start=1):
            path, sample = group.paths[index], None if group.samples is None else group.samples[index]
            try:
                clip = extract_features(recognizer, recognizer.open(path, read_options), sample)
            except UsageError:
                raise  # a fault that affects every clip
            except (CslrError, OSError) as error:
                translated = translate_read_error(path, error) if isinstance(error, OSError) else error
                report_error(translated, path, as_json=as_json)
                plan.record_failed(index, translated.message)
                num_failed += 1
            else:
                for warning in clip.warnings if sample is None else ():
                    print_error(f"{path}: {warning}", kind="warning")
                write_features(clip, paths[index])
                plan.record_done(index)
                counts["clips"] += 1
                counts["frames"] += len(clip.frame_features)
                counts["steps"] += len(clip.step_features)
            progress(Progress(stage, number, len(plan.todo)))
    return counts, num_failed


def _print_counts(output: Path, counts: dict[str, int], *, as_json: bool) -> None:
    """Print the numbers of clips, frames and steps of a file or folder, unless there are none."""
    if not counts["clips"]:
        return
    if as_json:
        document: FeaturesDocument = {
            "schema_version": 1,
            "output": str(output),
            "clips": counts["clips"],
            "frames": counts["frames"],
            "steps": counts["steps"],
        }
        print_json(document)
    else:
        print_line(f"{output}: {counts['clips']} clips, {counts['frames']} frames, {counts['steps']} steps")
