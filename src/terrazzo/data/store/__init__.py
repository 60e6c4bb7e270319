"""The tile store: images and labels written once so that any window of them is cheap to read."""
