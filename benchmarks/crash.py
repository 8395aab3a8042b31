"""Interrupts commands at random moments, and checks that nothing is lost and nothing is left.

    python -m benchmarks.crash
    python -m benchmarks.crash --commands train --signals SIGINT --kills 40

Each command is interrupted by SIGKILL, SIGTERM or SIGINT (as Ctrl-C, sent to all its processes), or loses a worker
process, or its disk is full, or its folder is read-only. Then it is run again until it finishes. The results must be
those of an undisturbed run. No traceback may appear, no process may stay, and no unfinished file. Training must answer
SIGINT within three seconds.

Most commands run in a process forked from this one, which has already imported everything; every fourth one starts a
new Python, so that interruptions also come during the imports.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

# One thread per process, before NumPy and torch are imported: a process with threads cannot be forked.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
    os.environ.setdefault(_name, "1")

ROOT = Path(__file__).parents[1]
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")
# Every how many runs a new Python is started.
FRESH_INTERVAL = 4
# What Python prints if it is interrupted before it runs a program.
_PYTHON_STARTS = "Failed to import the site module"
# Seconds in which training must answer Ctrl-C, a command must end, and its last process must have ended.
ANSWER_SECONDS, END_SECONDS, REST_SECONDS = 3.0, 120.0, 30.0
# Files that may exist only while a command works, or until it is run again.
UNFINISHED = (".*unfinished*", ".lock", ".preparing*", "*.partial", "*.csv.ledger.jsonl")
# Imported before forking.
_MODULES = (
    "cslr_cli.cli.app",
    "cslr_cli.corpora.preparation",
    "cslr_cli.corpora.synthetic",
    "cslr_cli.training.loop",
    "cslr_cli.recognizer",
    "cslr_cli.training.monitoring.curves",
)
_TRAINING = {
    "corpus": {"name": "synthetic", "path": "prepared/whole"},
    "data": {"crop_size": 32, "min_clip_frames": 16, "num_workers": 1},
    "model": {"width": 8, "hidden_size": 16, "pretrained": False},
    "training": {"epochs": 3, "batch_size": 2, "precision": "fp32", "save_minutes": 0.005, "evaluation_interval": 1},
}
_NUM_VIDEOS = 4
# Figures of an epoch that depend on time.
_TIMES = ("clips_per_second", "seconds", "waiting_percent")


@dataclass(frozen=True)
class Command:
    """A command to interrupt.

    Attributes:
        name: name in the report.
        start: its arguments; `{}` stands for the name of the result.
        again: arguments that continue it.
        results: describes the results of a finished command, by the name of the result.
        folder: folder of the result.
        has_workers: whether it has worker processes.
        small_disk: size of a disk that is too small for its results.
    """

    name: str
    start: str
    again: str
    results: Callable[[str], Mapping[str, str]]
    folder: str
    has_workers: bool = True
    small_disk: str = "200k"


def _hash_files(*patterns: str) -> Callable[[str], dict[str, str]]:
    """Return a function that hashes files; `{}` in the patterns stands for the name of the result."""

    def describe(name: str) -> dict[str, str]:
        found = [path for pattern in patterns for path in sorted(Path().glob(pattern.format(name))) if path.is_file()]
        contents = {str(path).replace(name, "{}"): path.read_bytes() for path in found}
        # A result on another disk is one folder further away from the release.
        return {
            path: hashlib.sha256(content.replace(b"../../../", b"../../")).hexdigest()
            for path, content in contents.items()
        }

    return describe


def _describe_run(name: str) -> dict[str, str]:
    """Describe the weights of a run's checkpoints, and the figures of its epochs that do not depend on time."""
    import torch

    run, described = Path("runs") / name, {}
    for path in sorted(run.glob("*.pt")):
        content = torch.load(path, weights_only=True)
        digest = hashlib.sha256()
        for key in sorted(content["weights"]):
            digest.update(content["weights"][key].numpy().tobytes())
        described[path.name] = digest.hexdigest()
    metrics = run / "metrics.jsonl"
    for line in metrics.read_text().splitlines() if metrics.exists() else ():
        figures = {key: value for key, value in json.loads(line).items() if key not in _TIMES}
        described[f"epoch {figures['epoch']}"] = json.dumps(figures)
    return described


_VIDEOS = " ".join(f"videos/{number}.mp4" for number in range(_NUM_VIDEOS))
_PREPARE = (
    "prepare synthetic --source release --output prepared/{} --size 36 --workers 2"
    " --train-clips 8 --dev-clips 4 --test-clips 4 --signers 3 --glosses 8"
)
_PREDICT = f"predict {_VIDEOS} --checkpoint runs/whole/last.pt --device cpu"
COMMANDS = (
    Command("prepare", _PREPARE, _PREPARE, _hash_files("prepared/{}/**/*"), "prepared/{}"),
    Command(
        "train",
        "train --config tiny.yaml --name {} --device cpu",
        "train --resume runs/{} --device cpu",
        _describe_run,
        "runs/{}",
    ),
    Command(
        "train-2",
        "train --config tiny.yaml --name {} --device cpu,cpu --set data.num_workers=0",
        "train --resume runs/{} --device cpu,cpu",
        _describe_run,
        "runs/{}",
        has_workers=False,
    ),
    Command(
        "predict",
        f"{_PREDICT} --output out/{{}}/all.csv",
        f"{_PREDICT} --output out/{{}}/all.csv --skip-existing",
        _hash_files("out/{}/*"),
        "out/{}",
        has_workers=False,
        small_disk="4k",
    ),
    Command(
        "predict-folder",
        f"{_PREDICT} --output out/{{}}/ --format srt",
        f"{_PREDICT} --output out/{{}}/ --format srt --skip-existing",
        _hash_files("out/{}/*.srt"),
        "out/{}",
        has_workers=False,
        small_disk="4k",
    ),
)


@dataclass
class Report:
    """What was done and found.

    Attributes:
        counts: number of interruptions by command and kind.
        answers: seconds until training ended after SIGINT.
        problems: descriptions of what went wrong.
        not_tried: faults that this machine does not permit.
    """

    counts: Counter[str] = field(default_factory=Counter)
    answers: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    not_tried: list[str] = field(default_factory=list)


class Process:
    """A command in a process and a session of its own.

    Args:
        arguments: its arguments.
        fresh: whether to start a new Python.
    """

    def __init__(self, arguments: str, *, fresh: bool) -> None:
        self._log = Path(tempfile.mkstemp(prefix="log-", dir="logs")[1])
        self._status: int | None = None
        self.started = time.monotonic()
        if fresh:
            self.pid = self._start_python(arguments)
        else:
            self.pid = os.fork()
            if self.pid == 0:
                self._run_here(arguments)

    def _start_python(self, arguments: str) -> int:
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "cslr_cli", *arguments.split()]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        process.returncode = 0  # this class waits for it
        return process.pid

    def _run_here(self, arguments: str) -> None:
        status = 70
        try:
            os.setsid()
            descriptor = os.open(self._log, os.O_WRONLY | os.O_APPEND)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            sys.argv = ["cslr", *arguments.split()]
            from cslr_cli.__main__ import main

            main()
            status = 0
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            with suppress(BaseException):
                import multiprocessing.util

                multiprocessing.util._exit_function()  # type: ignore[attr-defined]
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(errors="replace")

    def wait(self, seconds: float) -> int | None:
        """Wait for its end and return its status, or minus its signal; None if it runs longer."""
        end = time.monotonic() + seconds
        while self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
                break
            if time.monotonic() > end:
                return None
            time.sleep(0.005)
        return self._status

    def send(self, number: signal.Signals) -> None:
        """Send a signal, SIGINT to all its processes, as a terminal does."""
        with suppress(ProcessLookupError):
            if number == signal.SIGINT:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)

    def find_others(self) -> list[int]:
        """Find the other living processes that it has started, by their session or their ancestors."""
        parents: dict[int, int] = {}
        found = {self.pid}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError, ValueError):
                    state, parent, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                    parents[int(entry.name)] = int(parent)
                    if int(session) == self.pid and state != "Z":
                        found.add(int(entry.name))
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return sorted(found - {self.pid})

    def find_worker(self) -> int | None:
        """Find a process that works for it; not torch's and Python's own helpers."""
        for pid in self.find_others():
            with suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes()
                if line and b"resource_tracker" not in line and b"git" not in line:
                    return pid
        return None


class Campaign:
    """Interrupts commands, and collects what went wrong.

    Args:
        rng: draws the moments.
        fresh_interval: every how many runs a new Python is started; 0 for never.
    """

    def __init__(self, rng: random.Random, fresh_interval: int = FRESH_INTERVAL) -> None:
        self.report = Report()
        self._rng, self._fresh_interval = rng, fresh_interval
        self._runs = 0
        self._durations: dict[tuple[str, bool], float] = {}
        self._expected: dict[str, Mapping[str, str]] = {}

    def run_undisturbed(self, command: Command) -> None:
        """Make the results that all others must equal, and measure the duration."""
        for fresh in (False, True) if self._fresh_interval else (False,):
            name = "again" if fresh else "whole" if command in COMMANDS[:2] else command.name
            process = Process(command.start.format(name), fresh=fresh)
            if (status := process.wait(10 * END_SECONDS)) != 0:
                raise SystemExit(f"{command.name} ended with {status}:\n{process.output}")
            self._durations[command.name, fresh] = time.monotonic() - process.started
            self._expected.setdefault(command.name, command.results(name))
        if self._fresh_interval:
            self._check_finished(command, "again")

    def interrupt(self, command: Command, kinds: Sequence[str], name: str) -> None:
        """Start a command, interrupt it in several ways one after the other, then let it finish."""
        for kind in kinds:
            self._interrupt_once(command, kind, name)
        self._finish(command, name)

    def _interrupt_once(self, command: Command, kind: str, name: str) -> None:
        self._runs += 1
        fresh = bool(self._fresh_interval) and self._runs % self._fresh_interval == 0
        process = Process(self._arguments(command, name), fresh=fresh)
        moment = self._rng.uniform(0, self._durations[command.name, fresh])
        status = process.wait(moment)
        if status is None and kind == "worker":
            self._kill_worker(process)
        elif status is None:
            process.send(signal.Signals[kind])
        sent = time.monotonic()
        self.report.counts[f"{command.name} {kind}" + (" (had finished)" if status is not None else "")] += 1
        what = f"{command.name}, {kind} after {moment:.2f} s"
        if status is None:
            status = process.wait(END_SECONDS)
            seconds = time.monotonic() - sent
            if kind == "SIGINT" and command.name.startswith("train") and status is not None:
                self.report.answers.append(seconds)
                if seconds > ANSWER_SECONDS:
                    self._add(what, f"answered after {seconds:.1f} s", process)
        if kind == "SIGINT" and _PYTHON_STARTS in process.output:
            return  # Python itself was still starting, and no line of this project had run
        allowed = {"SIGKILL": {-9}, "SIGTERM": {-15, 75}, "SIGINT": {130, -2}, "worker": {1}}[kind]
        if status is None:
            self._add(what, f"does not end in {END_SECONDS:g} s", process)
            process.send(signal.SIGKILL)
            process.wait(END_SECONDS)
        elif status not in {0, *allowed}:
            self._add(what, f"ended with status {status}", process)
        self._check_output(what, process)
        self._check_processes(what, process)

    def _kill_worker(self, process: Process) -> None:
        """Kill a worker process as soon as there is one."""
        while process.wait(0.01) is None:
            if (worker := process.find_worker()) is not None:
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
                return

    def _finish(self, command: Command, name: str) -> None:
        process = Process(self._arguments(command, name), fresh=False)
        status = process.wait(10 * END_SECONDS)
        what = f"{command.name}, continued"
        if status != 0:
            self._add(what, f"ended with status {status}", process)
        self._check_output(what, process)
        self._check_processes(what, process)
        self._check_finished(command, name)

    def _check_finished(self, command: Command, name: str) -> None:
        """Compare the results with the expected ones, look for unfinished files, and remove them all."""
        folder = Path(command.folder.format(name))
        expected = self._expected[command.name]
        found = command.results(name)
        differing = [key for key in {**expected, **found} if expected.get(key) != found.get(key)]
        if differing:
            self._report(f"{command.name}: results differ: {', '.join(differing[:5])}")
        left = sorted({path for pattern in UNFINISHED for path in folder.rglob(pattern)})
        left += sorted({path for pattern in UNFINISHED for path in Path("release").rglob(pattern)})
        if left:
            self._report(f"{command.name}: files left: {', '.join(map(str, left[:5]))}")
        shutil.rmtree(folder, ignore_errors=True)

    def _arguments(self, command: Command, name: str) -> str:
        started = (Path("runs") / name / "config.yaml").exists() or not command.name.startswith("train")
        has_results = any(Path(command.folder.format(name)).glob("*"))
        arguments = command.again if started and has_results else command.start
        parent, _, last = name.rpartition("/")
        return arguments.replace("--name {}", f"--name {last} --runs-dir runs/{parent}").format(name)

    def _check_output(self, what: str, process: Process) -> None:
        if any(word in process.output for word in ("Traceback", "Exception ignored")):
            self._add(what, "traceback", process)

    def _check_processes(self, what: str, process: Process) -> None:
        end = time.monotonic() + REST_SECONDS
        while others := process.find_others():
            if time.monotonic() > end:
                self._add(what, f"{len(others)} processes left", process)
                for pid in others:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                return
            time.sleep(0.05)

    def _add(self, what: str, problem: str, process: Process) -> None:
        self._report(f"{what}: {problem}\n{process.output[-2000:]}")

    def _report(self, problem: str) -> None:
        self.report.problems.append(problem)
        print(f"PROBLEM {problem}", file=sys.stderr, flush=True)

    def fill_disk(self, command: Command) -> None:
        """Run a command on a disk that is too small, then on the same disk with enough space."""
        self._with_small_disk(command, f"size={command.small_disk}", "size=50m", "full disk")

    def lock_folder(self, command: Command) -> None:
        """Run a command on a disk that is read-only, then on the same disk when it can be written."""
        self._with_small_disk(command, "ro", "rw", "read-only folder")

    def _with_small_disk(self, command: Command, first: str, then: str, kind: str) -> None:
        parent = Path(command.folder.format("x")).parent / "disk"
        parent.mkdir(parents=True)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", first, "none", str(parent)], capture_output=True).returncode:
            self.report.not_tried.append(f"{command.name}, {kind}")
            parent.rmdir()
            return
        try:
            process = Process(self._arguments(command, "disk/x"), fresh=False)
            what, status = f"{command.name}, {kind}", process.wait(END_SECONDS)
            self.report.counts[f"{command.name} {kind}"] += 1
            if status != 1:
                self._add(what, f"ended with status {status}", process)
            self._check_output(what, process)
            self._check_processes(what, process)
            subprocess.run(["mount", "-o", f"remount,{then}", str(parent)], check=True)
            self._finish(command, "disk/x")
        finally:
            subprocess.run(["umount", str(parent)], check=True)
            parent.rmdir()


def make_inputs() -> None:
    """Write what the commands need into the current folder: a release, a corpus, videos and a configuration."""
    import yaml

    from cslr_cli.corpora.synthetic import SyntheticOptions, make_release, write_clip_video

    for folder in ("logs", "videos"):
        Path(folder).mkdir()
    options = SyntheticOptions(num_train_clips=8, num_dev_clips=4, num_test_clips=4, num_signers=3, num_glosses=8)
    make_release(Path("release"), options, workers=1)
    for number in range(_NUM_VIDEOS):
        write_clip_video(Path("release"), f"synthetic_test-{number + 1:04}", Path("videos") / f"{number}.mp4")
    Path("tiny.yaml").write_text(yaml.safe_dump(_TRAINING))


@contextmanager
def work_folder() -> Iterator[None]:
    """Work in a temporary folder during the block."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="cslr-crash-") as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def run_campaign(
    commands: Sequence[str], kinds: Sequence[str], kills: int, seed: int, *, disks: bool, fresh_interval: int
) -> Report:
    """Interrupt commands, and return what was found.

    Args:
        commands: names of the commands.
        kinds: kinds of interruption: signals, or `worker`.
        kills: number of interruptions of each command.
        seed: seed of moments and kinds.
        disks: whether to try full and read-only disks, too.
        fresh_interval: every how many runs a new Python is started; 0 for never.
    """
    rng = random.Random(seed)
    campaign = Campaign(rng, fresh_interval)
    with work_folder():
        make_inputs()
        for module in _MODULES:
            importlib.import_module(module)
        chosen = [command for command in COMMANDS if command.name in commands]
        for needed in COMMANDS[:2]:  # the corpus and the checkpoint of the others
            campaign.run_undisturbed(needed)
        for command in chosen:
            if command not in COMMANDS[:2]:
                campaign.run_undisturbed(command)
            possible = [kind for kind in kinds if kind != "worker" or command.has_workers]
            left = [possible[index % len(possible)] for index in range(kills)]
            rng.shuffle(left)
            number = 0
            while left:
                size = rng.randint(1, 3)
                number += 1
                campaign.interrupt(command, left[:size], f"run{number}")
                del left[:size]
                longest = f", longest answer {max(answers):.1f} s" if (answers := campaign.report.answers) else ""
                print(f"{command.name}: {kills - len(left)}/{kills}{longest}", file=sys.stderr, flush=True)
            if disks:
                campaign.fill_disk(command)
                campaign.lock_folder(command)
    return campaign.report


def main() -> int:
    """Run a campaign, print its report, and return 1 if something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [command.name for command in COMMANDS]
    parser.add_argument("--commands", nargs="+", choices=names, default=names)
    parser.add_argument("--signals", nargs="+", choices=[*SIGNALS, "worker"], default=[*SIGNALS, "worker"])
    parser.add_argument("--kills", type=int, default=50, help="interruptions of each command (default: 50)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-disks", action="store_true", help="do not try full and read-only disks")
    parser.add_argument("--smoke", action="store_true", help="a short campaign, for the tests")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets programs in the background ignore it
    if arguments.smoke:
        arguments.kills, arguments.commands, arguments.no_disks = 2, ["prepare", "train", "predict"], True
    report = run_campaign(
        arguments.commands,
        arguments.signals,
        arguments.kills,
        arguments.seed,
        disks=not arguments.no_disks,
        fresh_interval=0 if arguments.smoke else FRESH_INTERVAL,
    )
    for what, count in sorted(report.counts.items()):
        print(f"{count:5}  {what}")
    if report.answers:
        within = sum(seconds <= ANSWER_SECONDS for seconds in report.answers)
        longest = max(report.answers)
        print(f"Ctrl-C in training: {within} of {len(report.answers)} within 3 s, longest {longest:.1f} s")
    for what in report.not_tried:
        print(f"not permitted here: {what}")
    for problem in report.problems:
        print(f"PROBLEM {problem}")
    print(f"{sum(report.counts.values())} interruptions, {len(report.problems)} problems")
    return int(bool(report.problems))


if __name__ == "__main__":
    sys.exit(main())
