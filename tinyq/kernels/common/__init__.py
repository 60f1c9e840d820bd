"""What kernels of several instruction sets share: loops in C around micro-kernels."""
