"""Sources and a board become an image: build systems, toolchains, sizes, budgets.

Takes C text; gives an `Image`.
"""
