"""Where trials run: processes of this machine, of a Ray cluster, or of a SLURM array."""
