"""From a float ONNX model to its 8-bit forms: what `convert_models.py` is made of.

card: what a model takes and gives; pictures: pixels as the daemon draws them; ranges: which values a tensor has; qdq: where scales go;
batch: any number of pictures at once; session: ONNX Runtime; boxes and gate: what a conversion costs.
"""
