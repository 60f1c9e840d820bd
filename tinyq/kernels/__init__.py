"""Kernels: what computes a layer. Takes what is known of a layer, gives tables, cost and C text.

One folder per instruction set; a module is a kernel, its text is the file of the same name below
``templates/kernels``.
"""
