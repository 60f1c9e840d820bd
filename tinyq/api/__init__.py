"""The functions of `import tinyq`, one file each, with the names and options of the commands.

Takes what a Python program has (paths, graphs, Keras models, arrays); gives results that show
themselves as text and as HTML. `tinyq/commands/<name>.py` parses words, calls the function of
`tinyq/api/<name>.py`, and prints.
"""
