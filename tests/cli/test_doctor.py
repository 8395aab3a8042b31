from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import namedtuple
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cslr_cli import installation
from cslr_cli.installation import EXTRAS, REQUIRED
from cslr_cli.media import video_writer
from tests.cli.conftest import REPOSITORY, Command, command_line, environment
from tests.documents import check_document


def findings(document: dict[str, Any], package: str) -> list[dict[str, str]]:
    return [finding for finding in document["findings"] if package in finding["message"]]


def test_the_packages_are_those_of_the_project() -> None:
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[\[>=<;~ ]", line)[0] for line in requirements}

    assert {required.package for required in REQUIRED} == names(project["dependencies"])
    extras = {name: names(lines) for name, lines in project["optional-dependencies"].items() if name != "dev"}
    assert {name: {required.package} for name, required in EXTRAS.items()} == extras


def test_a_whole_installation_is_described(cslr: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from cslr_cli.model.device import precision_name, resolve_precision

    monkeypatch.chdir(tmp_path)
    outcome = cslr("doctor", "--json")
    document = json.loads(outcome.stdout)
    check_document("doctor", document)
    assert (outcome.status, document["healthy"]) == (0, True), document["findings"]
    for package in document["packages"]:
        if package["state"] == "ok":
            assert package["version"] == metadata.version(package["name"])
    precisions = {device["name"]: device["precision"] for device in document["devices"]}
    assert precisions["cpu"] == precision_name(resolve_precision("auto", torch.device("cpu")))
    assert document["disks"][0]["writable"]
    text = cslr("doctor")
    assert text.status == 0
    for part in ("torch", metadata.version("torch"), "cpu", "everything essential works"):
        assert part in text.stdout
    assert not list(tmp_path.iterdir())


def test_broken_packages_are_findings_and_not_the_end(tmp_path: Path) -> None:
    """The command needs no package but those of the command line itself."""
    fakes = tmp_path / "fakes"
    broken = ("numpy", "torch", "cv2", "yaml", "matplotlib", "torchvision")
    for module in broken:
        (fakes / module).mkdir(parents=True)
        (fakes / module / "__init__.py").write_text(f"raise OSError('lib{module}.so: cannot open')\n")
    variables = {**environment(), "PYTHONPATH": f"{fakes}:{REPOSITORY}"}
    done = subprocess.run(
        command_line(["doctor", "--json"]), cwd=tmp_path, env=variables, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (1, "")
    document = json.loads(done.stdout)
    check_document("doctor", document)
    states = {package["name"]: package for package in document["packages"]}
    for required in REQUIRED:
        if required.module in broken:
            assert states[required.package]["state"] == "broken"
            (finding,) = findings(document, f"{required.package} cannot be imported: lib{required.module}.so")
            assert (finding["severity"], finding["affects"]) == ("error", required.purpose)
            assert f"pip install --force-reinstall {required.package}" in finding["hint"]
    assert [device["name"] for device in document["devices"]] == ["cpu"]


def test_torch_and_torchvision_are_reinstalled_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A torchvision of PyPI does not work with a torch from the index for CPUs."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise RuntimeError('operator does not exist')\n")
    monkeypatch.setattr(metadata, "version", lambda name: "2.13.0+cpu" if name == "torch" else "0.28.0")
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    state = installation._find_package(
        installation.Requirement("torchvision", "torchvision", "initial weights of train"), None
    )
    assert state.install is not None
    assert state.install.split()[-4:] == ["torchvision", "torch", "--index-url", "https://download.pytorch.org/whl/cpu"]


def test_a_missing_extra_is_a_note_with_its_command(cslr: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version

    def without_gradio(name: str) -> str:
        if name == "gradio":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without_gradio)
    monkeypatch.setitem(sys.modules, "gradio", None)
    outcome = cslr("doctor", "--json")
    document = json.loads(outcome.stdout)
    assert outcome.status == 0
    (finding,) = findings(document, "gradio is not installed")
    assert (finding["severity"], finding["affects"]) == ("note", "demo")
    assert "pip install '.[demo]'" in finding["hint"]


def test_a_package_that_is_too_old_is_an_error(cslr: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["torch>=99.1", "numpy>=1.0", "jiwer>=99; python_version > '3'", 'gradio>=99; extra == "demo"']
    monkeypatch.setattr(metadata, "requires", lambda name: lines)
    outcome = cslr("doctor", "--json")
    document = json.loads(outcome.stdout)
    assert outcome.status == 1
    old = {finding["message"].split()[0]: finding for finding in findings(document, "is too old")}
    assert {name: finding["severity"] for name, finding in old.items()} == {"torch": "error", "jiwer": "warning"}
    assert "pip install 'torch>=99.1'" in old["torch"]["hint"]


def test_a_full_disk_is_a_warning(cslr: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(2**35, 2**35 - 2**26, 2**26))
    outcome = cslr("doctor", "--json")
    document = json.loads(outcome.stdout)
    assert outcome.status == 0
    kinds = [finding["severity"] for finding in findings(document, "only 0.1 GiB")]
    assert kinds == ["warning"] * len(document["disks"])


def test_a_gpu_is_described_and_one_that_fails_is_a_warning(cslr: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def properties(index: int) -> object:
        if index == 1:
            raise RuntimeError("the driver is too old")
        return SimpleNamespace(name="Old GPU")

    ones = torch.ones
    for name, value in {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "get_device_properties": properties,
        "mem_get_info": lambda index: (2**32, 2**33),
        "get_device_capability": lambda device: (7, 5),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch, "ones", lambda *shape, device=None: ones(*shape))
    document = json.loads(cslr("doctor", "--json").stdout)
    gpu = document["devices"][1]
    assert (gpu["name"], gpu["description"], gpu["precision"], gpu["bf16"]) == ("cuda:0", "Old GPU", "fp16", False)
    assert (gpu["memory_gib"], gpu["free_memory_gib"]) == (8.0, 4.0)
    (finding,) = findings(document, "cuda:1 cannot be used: the driver is too old")
    assert finding["severity"] == "warning"


def test_a_check_that_fails_is_a_finding(cslr: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(found: object) -> None:
        raise RuntimeError("no such thing\nand more")

    monkeypatch.setattr(installation, "_check_fonts", fail)
    outcome = cslr("doctor", "--json")
    (finding,) = findings(json.loads(outcome.stdout), "no such thing")
    assert outcome.status == 0
    assert "and more" not in finding["message"]


def test_every_finding_has_a_hint(cslr: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    document = json.loads(cslr("doctor", "--json").stdout)
    assert len(findings(document, "sclite")) == 1
    assert all(finding["hint"] for finding in document["findings"])


@pytest.mark.parametrize(("kept", "codec", "what"), [(1, "VP9", "no encoder for H.264"), (2, None, "for videos")])
def test_a_missing_video_encoder_is_a_finding(
    cslr: Command, monkeypatch: pytest.MonkeyPatch, kept: int, codec: str | None, what: str
) -> None:
    programs = {program["name"]: program for program in json.loads(cslr("doctor", "--json").stdout)["programs"]}
    assert programs["video encoder"]["version"] == "H.264"
    monkeypatch.setattr(video_writer, "_ENCODERS", video_writer._ENCODERS[kept:])
    document = json.loads(cslr("doctor", "--json").stdout)
    assert {program["name"]: program for program in document["programs"]}["video encoder"]["version"] == codec
    (finding,) = findings(document, what)
    assert (finding["severity"], finding["hint"]) == ("note", "run: pip install --force-reinstall av")
