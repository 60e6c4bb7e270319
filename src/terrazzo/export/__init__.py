"""Trained networks as files for other runtimes: ONNX and torch.export, each with its contract, each verified."""
