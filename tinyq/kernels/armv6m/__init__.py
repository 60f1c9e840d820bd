"""Kernels of Arm v6-M: short products and eight registers for most instructions."""
