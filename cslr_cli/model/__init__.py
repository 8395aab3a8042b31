"""The networks: backbones over frames, the temporal head that all share, and their losses."""
