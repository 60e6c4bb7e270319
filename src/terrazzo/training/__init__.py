"""The training loop and what it stands on: optimisers, schedules, checkpoints, evaluation, records of the run."""
