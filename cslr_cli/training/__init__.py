"""Training: `loop.train` and what it uses.

`run` is the run's folder and resuming, `distributed` several devices, `monitoring` reports and figures.
"""
