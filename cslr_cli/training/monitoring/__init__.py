"""How a training is watched: the observer protocol, the figures of steps and epochs, curves, TensorBoard, divergence.

`observer` and `epoch_record` need no torch.
"""
