"""Kernels that call CMSIS-NN."""
