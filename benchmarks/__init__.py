"""Benchmarks of speed, memory and quality on your machine: `python -m benchmarks.NAME`."""
