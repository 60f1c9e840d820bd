"""The search for the bits of each layer: what a board's budget buys, and what it costs.

Takes a float model, data, a board and budgets; gives recipes, with the accuracy, flash, RAM and
instructions of each. Three kinds of parts, a file each: a *sensitivity* says what a method costs a
layer, an *allocator* proposes methods for all layers, a *proxy* says how good a proposal is.
"""
