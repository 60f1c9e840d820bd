"""Kernels of Arm v7-M: long products of two codes in a word, for lack of DSP."""
