"""Training: the loop, resuming, rollbacks and evaluation during a run."""
