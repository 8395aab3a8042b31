"""The state of this installation: versions, devices, extras, disk, fonts, and what is missing for which command.

Everything is checked separately, and a package that cannot be imported is a finding: `inspect_installation` raises no
error. Nothing is imported at the top that may be broken.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import os
import platform
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal

from typing_extensions import TypedDict

from cslr_cli.errors import MissingPackageError, extra_hint
from cslr_cli.processes import available_cores
from cslr_cli.version import __version__

_GIB = 2**30
_MIN_DISK_GIB = 5.0  # a prepared corpus of published size needs more, a training at least this
_MIN_SHARED_MEMORY_GIB = 1.0  # workers pass batches through it

# error: something essential is broken; warning: a command will not work well; note: something optional is missing.
Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Requirement:
    """A package that cslr uses.

    Attributes:
        package: name on the package index.
        module: name of its import.
        purpose: what needs it: commands, options or formats.
        essential: whether most commands fail without it.
    """

    package: str
    module: str
    purpose: str
    essential: bool = True


# The dependencies of pyproject.toml.
REQUIRED = (
    Requirement("torch", "torch", "all commands except score, runs and doctor"),
    Requirement("torchvision", "torchvision", "initial weights of train"),
    Requirement("numpy", "numpy", "all commands"),
    Requirement("av", "av", "videos"),
    Requirement("opencv-python-headless", "cv2", "pictures and cameras"),
    Requirement("pillow", "PIL", "GIF pictures, captions of predict --render"),
    Requirement("matplotlib", "matplotlib", "plots, heat maps of cam, captions"),
    Requirement("pydantic", "pydantic", "configurations"),
    Requirement("pyyaml", "yaml", "configurations"),
    Requirement("typer", "typer", "the command line"),
    Requirement("rich", "rich", "tables and progress bars"),
    Requirement("typing-extensions", "typing_extensions", "JSON documents"),
    Requirement("jiwer", "jiwer", "--tool jiwer", essential=False),
    # pip does not install these two for every version of Python and every platform.
    Requirement("isal", "isal", "fast reading of PNG pictures", essential=False),
    Requirement("pyctcdecode", "pyctcdecode", "--lm, --decoder pyctcdecode", essential=False),
)

# The extras of pyproject.toml, without the one for developers.
EXTRAS = {
    "demo": Requirement("gradio", "gradio", "demo"),
    "elan": Requirement("pympi-ling", "pympi", "predict --format eaf and textgrid"),
    "lm": Requirement("kenlm", "kenlm", "--lm of evaluate and predict"),
    "tensorboard": Requirement("tensorboard", "tensorboard", "train --track tensorboard"),
}


@dataclass(frozen=True)
class PackageState:
    """A package.

    Attributes:
        name: name on the package index.
        version: installed version; None if it is not installed.
        state: whether it can be imported.
        error: why it cannot be imported; None if it can, or if it is not installed.
        purpose: what needs it.
        extra: extra of cslr that installs it; None for a dependency.
        install: command that installs it, if it cannot be imported; else None.
    """

    name: str
    version: str | None
    state: Literal["ok", "missing", "broken"]
    error: str | None
    purpose: str
    extra: str | None
    install: str | None

    @property
    def fault(self) -> str | None:
        """What is wrong with it; None if it can be imported."""
        if self.state == "missing":
            return f"{self.name} is not installed"
        return None if self.error is None else f"{self.name} cannot be imported: {self.error}"


@dataclass(frozen=True)
class ProgramState:
    """A program outside Python, or a library or an encoder inside PyAV.

    Attributes:
        name: name of the program.
        version: first line of what it says about its version; None if it is missing.
        purpose: what needs it.
    """

    name: str
    version: str | None
    purpose: str


@dataclass(frozen=True)
class DeviceState:
    """A device of `--device`.

    Attributes:
        name: `cpu` or `cuda:N`.
        description: model of the processor or of the GPU.
        memory_gib: its memory, GiB; None if it is unknown.
        free_memory_gib: free memory, GiB; None if it is unknown.
        cores: number of CPU cores that a command may use; None for a GPU.
        bf16: whether it computes bf16 fast.
        precision: number format that `--precision auto` selects.
    """

    name: str
    description: str
    memory_gib: float | None
    free_memory_gib: float | None
    cores: int | None
    bf16: bool
    precision: str


@dataclass(frozen=True)
class DiskState:
    """A folder.

    Attributes:
        name: what it is: `current folder` or `shared memory`.
        size_gib: size of its disk, GiB.
        free_gib: free space, GiB.
        writable: whether a file can be written there.
    """

    name: str
    size_gib: float
    free_gib: float
    writable: bool


@dataclass(frozen=True)
class InstallationFinding:
    """Something that is broken or missing.

    Attributes:
        severity: `error`: something essential is broken; `warning`: a command will not work well; `note`: something
            optional is missing.
        message: what is wrong.
        hint: how to fix it.
        affects: commands, options or formats that need it.
    """

    severity: Severity
    message: str
    hint: str
    affects: str


class InstallationDocument(TypedDict):
    """The state of an installation: what `cslr doctor --json` prints.

    Attributes:
        schema_version: version of this document.
        healthy: whether nothing essential is broken.
        cslr: version of cslr.
        python: version of Python.
        platform: operating system.
        packages: dependencies and extras.
        programs: programs outside Python, and the FFmpeg of OpenCV.
        devices: devices for `--device`.
        disks: current folder and shared memory.
        caption_font: name of the font file that has Chinese and German characters; null if there is none.
        findings: what is broken or missing, errors first.
    """

    schema_version: Literal[1]
    healthy: bool
    cslr: str
    python: str
    platform: str
    packages: list[PackageState]
    programs: list[ProgramState]
    devices: list[DeviceState]
    disks: list[DiskState]
    caption_font: str | None
    findings: list[InstallationFinding]


@dataclass
class Installation:
    """The state of an installation; see `InstallationDocument`."""

    packages: list[PackageState] = field(default_factory=list)
    programs: list[ProgramState] = field(default_factory=list)
    devices: list[DeviceState] = field(default_factory=list)
    disks: list[DiskState] = field(default_factory=list)
    caption_font: str | None = None
    findings: list[InstallationFinding] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """Whether nothing essential is broken."""
        return all(finding.severity != "error" for finding in self.findings)

    def add(self, severity: Severity, message: str, hint: str, affects: str) -> None:
        """Add a finding."""
        self.findings.append(InstallationFinding(severity, message, hint, affects))

    def document(self) -> InstallationDocument:
        """Make the document of the installation."""
        order = ("error", "warning", "note")
        return {
            "schema_version": 1,
            "healthy": self.healthy,
            "cslr": __version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": self.packages,
            "programs": self.programs,
            "devices": self.devices,
            "disks": self.disks,
            "caption_font": self.caption_font,
            "findings": sorted(self.findings, key=lambda finding: order.index(finding.severity)),
        }


def inspect_installation(folder: Path = Path()) -> Installation:
    """Check everything that cslr needs; `folder` is where results would be written."""
    found = Installation()
    checks: dict[str, Callable[[Installation], None]] = {
        "packages": _check_packages,
        "devices": _check_devices,
        "video libraries": _check_video,
        "program sclite": _check_sclite,
        "disks": functools.partial(_check_disks, folder=folder),
        "fonts": _check_fonts,
    }
    for what, check in checks.items():
        try:
            with _silence():
                check(found)
        except Exception as error:
            if found.healthy:  # otherwise the reason is a broken package, which is an error already
                found.add("warning", f"cannot check the {what}: {_describe(error)}", "report this error", what)
    return found


def _check_packages(found: Installation) -> None:
    minimum = _minimum_versions()
    for required in REQUIRED:
        state = _find_package(required, None)
        found.packages.append(state)
        needed = minimum.get(required.package)
        if state.fault is not None:
            found.add(_severity(state, required), state.fault, f"run: {state.install}", required.purpose)
        elif needed is not None and _as_numbers(state.version) < _as_numbers(needed):
            message = f"{required.package} {state.version} is too old"
            hint = f"run: pip install '{required.package}>={needed}'"
            found.add("error" if required.essential else "warning", message, hint, required.purpose)
    for extra, required in EXTRAS.items():
        state = _find_package(required, extra)
        found.packages.append(state)
        if state.fault is not None:
            severity: Severity = "note" if state.state == "missing" else "warning"
            found.add(severity, state.fault, extra_hint(extra), required.purpose)


def _severity(state: PackageState, required: Requirement) -> Severity:
    if required.essential:
        return "error"
    return "note" if state.state == "missing" else "warning"


def _find_package(required: Requirement, extra: str | None) -> PackageState:
    name, purpose = required.package, required.purpose
    version = None
    with contextlib.suppress(Exception):  # not installed, or its description is damaged
        version = metadata.version(name)
    try:
        module = importlib.import_module(required.module)
    except (Exception, SystemExit) as error:  # a broken package may raise anything
        install = f"pip install '.[{extra}]'" if extra else f"pip install {name}"
        if version is None and isinstance(error, ModuleNotFoundError):
            return PackageState(name, None, "missing", None, purpose, extra, install)
        if extra is None:
            install = _reinstall_command(name)
        return PackageState(name, version, "broken", _describe(error), purpose, extra, install)
    version = version or getattr(module, "__version__", None)
    return PackageState(name, None if version is None else str(version), "ok", None, purpose, extra, None)


def _reinstall_command(name: str) -> str:
    """Return the command that repairs a package; torch and torchvision only work together if built alike."""
    command = f"pip install --force-reinstall {name}"
    if name not in ("torch", "torchvision"):
        return command
    command += " torchvision" if name == "torch" else " torch"
    with contextlib.suppress(metadata.PackageNotFoundError):
        if metadata.version("torch").endswith("+cpu"):
            command += " --index-url https://download.pytorch.org/whl/cpu"
    return command


def _minimum_versions() -> dict[str, str]:
    """Return the required version of each dependency; empty if cslr itself is not installed as a package."""
    try:
        lines = metadata.requires("cslr") or []
    except metadata.PackageNotFoundError:
        return {}
    found = (re.match(r"([\w.-]+)\s*>=\s*([\d.]+)", line) for line in lines if "extra ==" not in line)
    return {match[1].lower(): match[2] for match in found if match}


def _as_numbers(version: str | None) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", (version or "").partition("+")[0])[:3])


def _check_devices(found: Installation) -> None:
    total, free = _main_memory()
    # Without torch, too, the processor and the memory are worth knowing.
    cpu = DeviceState("cpu", _processor_name(), total, free, available_cores(), False, "unknown")
    try:
        import torch

        from cslr_cli.model.device import precision_name, resolve_precision
    except Exception:  # reported with the packages
        found.devices.append(cpu)
        return
    precision = precision_name(resolve_precision("auto", torch.device("cpu")))
    name, cores = cpu.description, cpu.cores
    found.devices.append(DeviceState("cpu", name, total, free, cores, precision == "bf16", precision))
    if not torch.cuda.is_available():
        if shutil.which("nvidia-smi"):
            build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
            message = f"PyTorch {torch.__version__} (built with {build}) does not see the GPU of this machine"
            hint = "install the PyTorch build for your driver: https://pytorch.org/get-started/locally"
            found.add("warning", message, hint, "--device")
        return
    for index in range(torch.cuda.device_count()):
        device = torch.device("cuda", index)
        try:
            gpu = torch.cuda.get_device_properties(index)
            free_bytes, total_bytes = torch.cuda.mem_get_info(index)
            torch.ones(8, device=device).sum().item()  # a driver that is too old fails only here
            precision = precision_name(resolve_precision("auto", device))
        except Exception as error:
            hint = "update the driver of the GPU, or use --device cpu"
            found.add("warning", f"cuda:{index} cannot be used: {_describe(error)}", hint, f"--device {index}")
            continue
        memory = (round(total_bytes / _GIB, 1), round(free_bytes / _GIB, 1))
        found.devices.append(DeviceState(f"cuda:{index}", gpu.name, *memory, None, precision == "bf16", precision))


def _check_video(found: Installation) -> None:
    import av

    from cslr_cli.media.video_writer import written_codec

    library = ".".join(map(str, av.library_versions["libavcodec"]))
    found.programs.append(ProgramState("FFmpeg of PyAV", f"libavcodec {library}", "videos"))
    codec = written_codec()
    found.programs.append(ProgramState("video encoder", codec, "predict --render, cam and demo"))
    if codec != "H.264":
        what = "no encoder for H.264" if codec else "no encoder for videos"
        hint = "run: pip install --force-reinstall av"
        found.add("note", f"PyAV {av.__version__} has {what}", hint, "predict --render, cam and demo")


def _check_sclite(found: Installation) -> None:
    from cslr_cli.scoring.sclite import sclite_command

    try:
        command: str | None = " ".join(sclite_command())
    except MissingPackageError as error:
        command = None
        found.add("note", error.message, error.hint or "", "--tool sclite")
    found.programs.append(ProgramState("sclite", command, "--tool sclite"))


def _check_disks(found: Installation, folder: Path) -> None:
    disk = _inspect_disk("current folder", folder)
    found.disks.append(disk)
    if not disk.writable:
        hint = "change to a folder of your own, or fix the permissions"
        found.add("warning", "the current folder cannot be written", hint, "all commands that write files")
    if disk.free_gib < _MIN_DISK_GIB:
        message = f"only {disk.free_gib:g} GiB are free on the disk of the current folder"
        found.add(
            "warning", message, "free disk space, or use another disk with --output and --runs-dir", "prepare, train"
        )
    shared = Path("/dev/shm")
    if not shared.is_dir():
        return
    disk = _inspect_disk("shared memory", shared)
    found.disks.append(disk)
    if disk.free_gib < _MIN_SHARED_MEMORY_GIB or not disk.writable:
        message = f"only {disk.free_gib:g} GiB of shared memory (/dev/shm) are free"
        hint = "in a container: docker run --shm-size=8g; or read clips without processes: --set data.num_workers=0"
        found.add("warning", message, hint, "train, evaluate")


def _inspect_disk(name: str, folder: Path) -> DiskState:
    usage = shutil.disk_usage(folder)
    try:
        with tempfile.TemporaryFile(dir=folder):
            writable = True
    except OSError:
        writable = False
    return DiskState(name, round(usage.total / _GIB, 1), round(usage.free / _GIB, 1), writable)


def _check_fonts(found: Installation) -> None:
    from cslr_cli.output.fonts import find_font

    font = find_font(["你好手语ÄÖÜß"])
    if font.missing:
        hint = "install a font, for example the package fonts-noto-cjk"
        found.add("note", "no installed font has Chinese characters", hint, "captions and plots of Chinese glosses")
    else:
        found.caption_font = font.path.name


def _main_memory() -> tuple[float | None, float | None]:
    """Return the size of the main memory and its free part, GiB; within the limit of a container."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        values = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith("kB")}
        total, free = values["MemTotal"], values["MemAvailable"]
    except (OSError, ValueError, KeyError, IndexError):
        try:
            return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _GIB, 1), None
        except (AttributeError, OSError, ValueError):  # Windows
            return None, None
    with contextlib.suppress(OSError, ValueError):  # not in a container, or no limit ("max")
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
        total, free = min(total, limit), min(free, max(0, limit - used))
    return round(total / _GIB, 1), round(free / _GIB, 1)


def _processor_name() -> str:
    with contextlib.suppress(OSError):
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
        if match:
            return match[1].strip()
    return platform.processor() or platform.machine()


def _describe(error: BaseException) -> str:
    """Return the first line of an error."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Drop what packages print and warn while they are imported."""
    quiet = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        warnings.simplefilter("ignore")
        yield
