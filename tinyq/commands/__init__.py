"""One file per command. A command parses options, calls one function, prints its result.

Heavy imports stay inside the functions: `tinyq --help` reads every file in this folder.
"""
