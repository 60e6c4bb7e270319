"""Searches that draw settings instead of running all of a grid, and stop early what does not promise much."""
