"""Damaged and hostile inputs of every kind that the package reads: `python -m benchmarks.fuzz`."""
