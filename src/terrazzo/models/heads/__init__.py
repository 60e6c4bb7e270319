"""Heads: from feature maps, and the image itself, to class logits at the size of the image."""
