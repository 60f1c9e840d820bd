"""Kernels for cores with MVE (Helium): Cortex-M55 and M85."""
