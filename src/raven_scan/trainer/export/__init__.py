"""The `export-onnx` command: a model as a graph that plain ONNX Runtime runs, checked against PyTorch."""
