"""Models of other programs as integer graphs: one module per kind of file, imported on demand."""
