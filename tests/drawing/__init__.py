"""What the draws and formulas of operations share; see tests/operations."""
