"""What there is to run on: the catalogue of boards and chip families.

Takes boards.yaml; gives `Board`s.
"""
