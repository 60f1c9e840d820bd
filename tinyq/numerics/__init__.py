"""What numbers are: formats of few bits, packing into words, integer rounding with its C twin.

Takes and gives integer arrays; knows no graph, no Keras.
"""
