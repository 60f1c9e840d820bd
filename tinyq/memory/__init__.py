"""Where activations lie: lifetimes, placement, and the proof that no arena is smaller.

Takes a graph and what its kernels need beside; gives a `MemoryPlan`.
"""
