"""Exports the generator of a run to MINDIR, ONNX, or weights for PyTorch."""
