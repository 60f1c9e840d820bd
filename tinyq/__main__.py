"""`python -m tinyq` is the same as `tinyq`."""

import os
import signal
import sys
from types import FrameType


def main() -> int:
    """Run one command of the command line and return its exit code, see `tinyq.commands.cli`.

    Ctrl-C ends the program quietly from its first moment on, while modules are still loading.
    """
    signal.signal(signal.SIGINT, _leave)
    from tinyq.commands.cli import main as run

    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return run()
    except KeyboardInterrupt:
        return 130


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
