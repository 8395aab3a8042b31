"""The folder of a run: its files, the state of the training, saving, resuming, and the list of all runs.

`folder` and `runs` need no torch.
"""
