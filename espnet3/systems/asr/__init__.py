"""Speech recognition: the ASR System, its models, decoding and metrics.

Models, decoders and metrics are classes that a recipe's YAML names; `inference` and `onnx_inference` load a trained
model on torch and on ONNX Runtime, `parts` what both need besides its weights; `packing` is the task's half of a pack.
"""
