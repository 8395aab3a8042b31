"""`cslr doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from cslr_cli.cli import options
from cslr_cli.cli.console import print_json, print_line, print_result, table
from cslr_cli.errors import EXIT_FAILED

if TYPE_CHECKING:
    from cslr_cli.installation import InstallationDocument, InstallationFinding


def doctor(as_json: options.Json = False) -> None:
    """Check the installation, and list what is missing.

    Lists versions, devices, extras, disk space and fonts, what is missing for which command, and how to fix it. The
    exit status is 1 if something essential is broken, for example PyTorch. Add the output to bug reports.

    Examples:
        cslr doctor
        cslr doctor --json
    """
    from cslr_cli.installation import inspect_installation

    installation = inspect_installation()
    if as_json:
        print_json(installation.document())
    else:
        _print_document(installation.document())
    if not installation.healthy:
        raise typer.Exit(EXIT_FAILED)


def _print_document(document: InstallationDocument) -> None:
    versions = [["cslr", document["cslr"], ""], ["Python", document["python"], document["platform"]]]
    for package in document["packages"]:
        name = package.name if package.extra is None else f"{package.name} (extra {package.extra})"
        state = package.version or "installed" if package.state == "ok" else package.state
        versions.append([name, state, package.purpose])
    versions += [[each.name, each.version or "missing", each.purpose] for each in document["programs"]]
    print_result(table(["package or program", "version", "needed for"], versions, left=(0, 1, 2)))
    devices = [
        [
            device.name,
            device.description,
            "–" if device.cores is None else str(device.cores),
            _gib(device.memory_gib),
            _gib(device.free_memory_gib),
            device.precision,
        ]
        for device in document["devices"]
    ]
    columns = ["device", "model", "cores", "memory, GiB", "free, GiB", "--precision auto"]
    print_result(table(columns, devices, left=(0, 1, 5)))
    disks = [[disk.name, _gib(disk.free_gib), "yes" if disk.writable else "no"] for disk in document["disks"]]
    print_result(table(["folder", "free, GiB", "writable"], disks, left=(0, 2)))
    for finding in document["findings"]:
        _print_finding(finding)
    print_line("everything essential works" if document["healthy"] else "something essential is broken (see above)")


def _print_finding(finding: InstallationFinding) -> None:
    print_line(f"{finding.severity}: {finding.message}")
    print_line(f"    needed for: {finding.affects}")
    for number, line in enumerate(finding.hint.splitlines()):
        print_line(f"    hint: {line}" if number == 0 else f"          {line}")


def _gib(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
