"""The networks: backbones over frames, the shared temporal head, and the losses."""
