"""Sweeps: one configuration run with many settings, each trial an ordinary run, and what they come to together."""
