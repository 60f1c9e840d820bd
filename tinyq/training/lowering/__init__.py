"""Trained tinyq layers become integer operations.

Takes a Keras model of quantized layers; gives a `Graph` of the same codes.
"""
