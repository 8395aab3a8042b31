"""Speed and memory, measured on whatever machine this is: `python -m benchmarks.NAME`."""
