"""Float .tflite networks, and those of float activations and int8 weights, as Keras models."""

from tinyq.importers.tflite.rebuilding.network import rebuild_keras

__all__ = ["rebuild_keras"]
