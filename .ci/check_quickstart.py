"""Did the quickstart learn what it must? Prints its figures; exits with 1 where it did not.

Usage: cslr evaluate runs/quickstart/best.pt --json | python .ci/check_quickstart.py
"""

from __future__ import annotations

import json
import sys

BOUNDS = (  # split, counts, highest WER in percent
    ("dev", "known_signers", 5.0),
    ("test", "known_signers", 5.0),
    ("test", "unseen_signers", 25.0),
)


def main() -> None:
    """Compare each word error rate with its bound."""
    splits = json.load(sys.stdin)["splits"]
    failed = False
    for split, signers, bound in BOUNDS:
        wer = splits[split][signers]["wer"]
        failed |= wer > bound
        print(f"{split} {signers.replace('_', ' ')}: WER {wer:.1f} %, at most {bound:g} %")
    sys.exit(failed)


if __name__ == "__main__":
    main()
