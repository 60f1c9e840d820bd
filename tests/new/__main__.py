"""`python -m tests.new KIND NAME`, see `make new`."""

from __future__ import annotations

import sys

from tests.new import KINDS, NEXT, NewError, fill, make, name_all


def main(words: list[str]) -> int:
    """Write the stubs; returns the exit code."""
    if len(words) != 2 or not all(words):
        print(f"usage: make new KIND={'|'.join(KINDS)} NAME=my_name", file=sys.stderr)
        return 2
    kind, name = words
    try:
        for path in make(kind, name):
            print(path)
    except NewError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(fill(NEXT[kind], name_all(kind, name)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
