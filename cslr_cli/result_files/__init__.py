"""Results on disk: what may be replaced, what is finished, and how an interrupted command continues.

This package knows nothing about networks or about the command line:

- `faults`: the error about outputs that cannot be written;
- `ledger`: `ledger.jsonl`, one line per input and output file;
- `appended_file`: one file with the results of many inputs, `NAME.partial` until it is complete;
- `result_folder`: a folder with one file per input;
- `result_plan`: all results of a command for its inputs, in folders or in one file;
- `marked_folder`: a folder with the results of one call, and its `.cslr-output.json`.
"""

from cslr_cli.result_files.appended_file import AppendedFile
from cslr_cli.result_files.faults import OutputFault, find_file_faults, raise_output_faults, refusal_hint
from cslr_cli.result_files.ledger import LEDGER_FILE, InputFile, Ledger, LedgerEntry
from cslr_cli.result_files.marked_folder import MARKER_FILE, MarkedFolder, OutputMarker
from cslr_cli.result_files.result_plan import ResultPlan

__all__ = [
    "LEDGER_FILE",
    "MARKER_FILE",
    "AppendedFile",
    "InputFile",
    "Ledger",
    "LedgerEntry",
    "MarkedFolder",
    "OutputFault",
    "OutputMarker",
    "ResultPlan",
    "find_file_faults",
    "raise_output_faults",
    "refusal_hint",
]
