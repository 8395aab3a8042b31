"""Acceptance of a machine with a CUDA GPU: checks and measurements in order of value, in a few minutes.

    python -m benchmarks.gpu --minutes 8 --output gpu/
    python -m benchmarks.gpu --device cpu --smoke --output smoke/     # the same parts, tiny, without a GPU

Each part runs in processes of its own and is saved as it ends, `OUTPUT/PART.json`; after a part that fails, the next
one goes on. At the end, and after each part, `OUTPUT/results.md` has all tables. Parts for which no time is left are
listed. The exit status is 1 if a part has failed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.kernels import LAYERS
from benchmarks.measuring import Machine
from cslr_cli.model.clips import ClipLayout
from cslr_cli.model.correlation import correlate

Rows = list[dict[str, Any]]
# Largest accepted relative error of the correlation against float64.
_LIMITS: Final = {torch.float32: 1e-5, torch.float16: 3e-3, torch.bfloat16: 2e-2}
# Frames of the training split of PHOENIX2014, for the time of an epoch.
_PHOENIX2014_FRAMES: Final = 799_006
_MIN_SECONDS_PER_PART = 20.0
_SMOKE_SECONDS = 300.0


class PartError(Exception):
    """A part of the acceptance has failed; the message is the end of its output."""


@dataclass(frozen=True)
class Plan:
    """How the parts run.

    Attributes:
        device: `cuda` or `cpu`.
        smoke: whether everything is tiny, to try the program itself.
        folder: folder of results and temporary files.
        deadline: time of `time.monotonic` at which the last part must end.
    """

    device: str
    smoke: bool
    folder: Path
    deadline: float

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()


def run(plan: Plan, *command: str, cwd: Path | None = None) -> str:
    """Run a Python module with arguments and return its standard output; raise a PartError if it fails."""
    root = Path(__file__).parents[1]
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    try:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=cwd or root,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=max(1.0, plan.seconds_left),
        )
    except subprocess.TimeoutExpired as error:
        raise PartError(f"{' '.join(command)}: no time left") from error
    if done.returncode != 0:
        raise PartError(f"{' '.join(command)}: status {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def environment(plan: Plan) -> Rows:
    """Describe the machine."""
    facts: dict[str, Any] = asdict(Machine.this())
    if plan.device == "cuda":
        facts["capability"] = ".".join(map(str, torch.cuda.get_device_capability()))
        facts["gpu_memory_gib"] = round(torch.cuda.get_device_properties(0).total_memory / 2**30, 1)
        facts["cuda"], facts["cudnn"] = torch.version.cuda, torch.backends.cudnn.version()
        if program := shutil.which("nvidia-smi"):
            query = [program, "--query-gpu=driver_version,power.limit,clocks.max.sm", "--format=csv,noheader"]
            facts["driver_power_clock"] = subprocess.run(query, capture_output=True, text=True).stdout.strip()
    try:
        from triton import __version__ as triton_version
    except ImportError:
        triton_version = "none"
    facts["triton"] = triton_version
    return [{"fact": name, "value": value} for name, value in facts.items()]


def tests(plan: Plan) -> Rows:
    """Run the tests that need a GPU, and the parity with the published code."""
    selected = ["tests/model/test_correlation_kernels.py"] if plan.smoke else ["tests"]
    marks = "gpu" if plan.device == "cuda" else "gpu and not slow"
    output = run(plan, "pytest", "-m", marks, "-n", "0", "-q", "-p", "no:cacheprovider", *selected)
    return [{"tests": f"-m '{marks}'", "result": output.strip().splitlines()[-1]}]


def correlation(plan: Plan) -> Rows:
    """Compare the correlation and its gradients with float64, on the shapes of layers 2 to 4, and time them."""
    device = torch.device(plan.device)
    num_frames = 4 if plan.smoke else 40
    clips = ClipLayout.from_lengths([num_frames - num_frames // 4, num_frames // 4], device)
    dtypes = [torch.float32] if plan.device == "cpu" else [torch.float32, torch.float16, torch.bfloat16]
    rows = []
    for layer, (positions, channels) in LAYERS.items():
        shape = (num_frames, positions // 4 if plan.smoke else positions, channels)
        generator = torch.Generator().manual_seed(0)
        given = [torch.randn(shape, generator=generator, dtype=torch.float64) / channels**0.25 for _ in range(3)]
        rows += [{"layer": layer, **_measure_correlation(given, dtype, clips, device)} for dtype in dtypes]
    if wrong := [row for row in rows if not row["error"] < row["limit"]]:
        raise PartError(f"errors above their limits: {wrong}")
    return rows


def _measure_correlation(
    given: Sequence[torch.Tensor], dtype: torch.dtype, clips: ClipLayout, device: torch.device
) -> dict[str, Any]:
    """Return the largest relative error of output and gradients against float64, and the time of a frame."""
    weights = torch.tensor([0.7, -0.4], dtype=torch.float64, device=device)
    exact = _with_gradients([*(value.to(device) for value in given), weights], clips)
    rounded, single = [value.to(device, dtype) for value in given], weights.float()
    found = _with_gradients([*rounded, single], clips)
    errors = [float((ours.double() - theirs).norm() / theirs.norm()) for ours, theirs in zip(found, exact, strict=True)]
    seconds = _seconds(lambda: _with_gradients([*rounded, single], clips))
    return {
        "dtype": str(dtype).removeprefix("torch."),
        "error": float(f"{max(errors):.1e}"),
        "limit": _LIMITS[dtype],
        "us_per_frame": round(1e6 * seconds / len(given[0]), 2),
    }


def _with_gradients(values: Sequence[torch.Tensor], clips: ClipLayout) -> list[torch.Tensor]:
    """Return the correlation and its gradients; the values are queries, keys, gradient of the result, and weights."""
    query, keys, towards, weights = (value.detach().clone().requires_grad_() for value in values)
    output = correlate(query, keys, weights, clips)
    gradients = torch.autograd.grad(output, [query, keys, weights], towards.detach().to(output.dtype))
    return [output.detach(), *gradients]


def _seconds(work: Callable[[], object]) -> float:
    """Return the shortest time of three runs after the first, seconds."""
    times = []
    for _ in range(4):
        started = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return min(times[1:])


def training_step(plan: Plan) -> Rows:
    """Time a training step beside the plain formulation."""
    return _compared(plan, "benchmarks.train_step", ["plain fp16", "bf16", "bf16 checkpointed"])


def inference(plan: Plan) -> Rows:
    """Time inference beside the plain formulation."""
    return _compared(plan, "benchmarks.inference", ["plain fp16", "bf16", "bf16 compiled"])


def _compared(plan: Plan, module: str, sides: Sequence[str]) -> Rows:
    if plan.device == "cpu":
        sides = ["plain fp32", "fp32"]
    size = ["--frames", "12", "--size", "32", "--repeats", "1"] if plan.smoke else ["--frames", "200", "--repeats", "5"]
    document = json.loads(run(plan, module, "--device", plan.device, *size, "--sides", *sides, "--json"))
    return list(document["rows"])


def training_loop(plan: Plan) -> Rows:
    """Train for two epochs on a synthetic corpus of the published frame size, loading with all cores."""
    folder = _made(plan.folder / "loop")
    size, epochs = ("36", "1") if plan.smoke else ("256", "2")
    places = ["--source", "release", "--output", "corpus"]
    run(plan, "cslr_cli", "prepare", "synthetic", *places, "--size", size, cwd=folder)
    recipe = ["quickstart"] if plan.smoke else ["phoenix2014", "--set", "model.pretrained=false"]
    common = ["--corpus", "corpus", "--name", "loop", "--device", plan.device, "--workers", str(os.cpu_count() or 1)]
    run(plan, "cslr_cli", "train", "--config", *recipe, "--epochs", epochs, *common, cwd=folder)
    lines = (folder / "runs" / "loop" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    last = json.loads(lines[-1])
    row = {name: last.get(name) for name in ("epoch", "clips_per_second", "waiting_percent", "seconds")}
    samples = (folder / "corpus" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    frames = [json.loads(sample)["num_frames"] for sample in samples]
    row["frames_per_second"] = round(last["clips_per_second"] * sum(frames) / len(frames), 1)
    row["phoenix2014_epoch_seconds"] = round(_PHOENIX2014_FRAMES / row["frames_per_second"])
    return [row]


def quickstart(plan: Plan) -> Rows:
    """Run the quickstart, whose bounds `.ci/check_quickstart.py` has."""
    if plan.smoke:
        return [{"quickstart": "left out"}]
    folder = _made(plan.folder / "quickstart")
    started = time.perf_counter()
    run(plan, "cslr_cli", "quickstart", "--json", cwd=folder)
    seconds = time.perf_counter() - started
    evaluation = run(plan, "cslr_cli", "evaluate", "runs/quickstart/best.pt", "--json", "--overwrite", cwd=folder)
    check = Path(__file__).parents[1] / ".ci" / "check_quickstart.py"
    done = subprocess.run([sys.executable, check], input=evaluation, capture_output=True, text=True)
    if done.returncode != 0:
        raise PartError(done.stdout + done.stderr)
    return [{"seconds": round(seconds, 1), "bounds": done.stdout.strip().replace("\n", "; ")}]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


PARTS: Final[Mapping[str, Callable[[Plan], Rows]]] = {
    "environment": environment,
    "correlation": correlation,
    "training step": training_step,
    "inference": inference,
    "tests": tests,
    "training loop": training_loop,
    "quickstart": quickstart,
}


def accept(plan: Plan, names: Sequence[str] = tuple(PARTS)) -> dict[str, dict[str, Any]]:
    """Run the parts in order while there is time; save each as it ends.

    Returns:
        For each part its rows, or the `error` that ended it, and its seconds.
    """
    results: dict[str, dict[str, Any]] = {}
    for name in names:
        started = time.monotonic()
        if plan.seconds_left < _MIN_SECONDS_PER_PART:
            results[name] = {"error": "no time left"}
        else:
            try:
                results[name] = {"rows": PARTS[name](plan)}
            except Exception as error:  # the next part may still work
                results[name] = {"error": f"{type(error).__name__}: {error}"}
        results[name]["seconds"] = round(time.monotonic() - started, 1)
        path = plan.folder / f"{name.replace(' ', '-')}.json"
        path.write_text(json.dumps(results[name], indent=2, default=str), encoding="utf-8")
        (plan.folder / "results.md").write_text(to_markdown(results), encoding="utf-8")
    return results


def to_markdown(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return one section with a table per part."""
    sections = []
    for name, result in results.items():
        lines = [f"## {name} ({result.get('seconds', 0)} s)", ""]
        if "error" in result:
            lines += ["failed:", "", "```", str(result["error"]), "```"]
        elif rows := result["rows"]:
            columns = list(rows[0])
            titles = [column.replace("_", " ") for column in columns]
            lines += [f"| {' | '.join(titles)} |", "|---" * len(columns) + "|"]
            lines += ["| " + " | ".join(str(row.get(column, "")) for column in columns) + " |" for row in rows]
        sections.append("\n".join(lines))
    return "\n\n".join(sections) + "\n"


def main() -> None:
    """Run the acceptance, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8.0, help="time for all parts (default: 8)")
    parser.add_argument("--output", type=Path, default=Path("gpu"), help="folder of the results (default: gpu)")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="device (default: cuda)")
    parser.add_argument("--smoke", action="store_true", help="tiny parts, to try the program itself")
    parser.add_argument(
        "--parts", nargs="*", choices=list(PARTS), default=list(PARTS), help="parts to run (default: all)"
    )
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA GPU; try the program with --device cpu --smoke")
    seconds = _SMOKE_SECONDS if given.smoke else 60 * given.minutes
    folder = _made(given.output).resolve()
    results = accept(Plan(given.device, given.smoke, folder, time.monotonic() + seconds), given.parts)
    print(to_markdown(results))
    raise SystemExit(any("error" in result for result in results.values()))


if __name__ == "__main__":
    main()
