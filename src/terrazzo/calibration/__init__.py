"""How far answers can be believed: temperatures, promises about risk, measures of calibration, areas with intervals.

Torch, numpy and scipy alone: what these records say is applied by the scene engine, and measured on whole images by
`terrazzo.assessment`.
"""
