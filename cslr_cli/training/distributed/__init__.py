"""A training in several processes: launching them, the process group, batch norm, evaluation, stop requests."""
