"""Kernels in C99, one template for each operation: the definition of what it computes."""
