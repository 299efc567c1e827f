"""Device, checkpoints, run folder, log and progress: what a run needs, whatever it computes."""
