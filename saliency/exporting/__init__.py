"""Segmenters as files of other programs: ONNX, TorchScript, OpenVINO."""
