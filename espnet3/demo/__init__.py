"""The demo: a folder that shows a packed model in a browser, and the server that does it, on ONNX, without torch."""
