"""What the benchmarks of methods share: network, data, pairs of methods, rows, tables."""
