"""Backbones: networks that answer feature maps, on which refiners and heads build."""
