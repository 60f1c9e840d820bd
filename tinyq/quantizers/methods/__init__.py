"""What the literature proposes, a family a file: rows of the catalogue, options, and parts.

All files of this folder are read; none of them needs Keras before a method's parts are asked for.
"""
