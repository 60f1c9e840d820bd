"""Packing: the constants of a layer as the words that a kernel reads.

`record` declares what one entry of a table holds, `epilogue` folds the epilogue into few
integers, `order` puts weights into the order of a kernel's loads.
"""
