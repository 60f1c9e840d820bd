"""Kernels for Arm v7E-M and v8-M with DSP: Cortex-M4, M7 and M33."""
