"""The files of a pack that run without torch, by the two names that choose one: a backend, a variant.

The pack's reader and the demo ask for a backend, an inference config for a variant; importing this costs nothing.
"""

BACKENDS = {"onnx": "model.onnx", "onnx-int8": "model.int8.onnx"}
"""File by what `espnet3.load` calls it, the exact one first."""
BACKEND_OF = {"float32": "onnx", "int8": "onnx-int8"}
"""Backend by precision."""
VARIANTS = {precision: BACKENDS[backend] for precision, backend in BACKEND_OF.items()}
"""File by precision."""
