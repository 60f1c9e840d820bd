"""Planted faults, and the program that plants them: ``python -m tests.mutants``."""
