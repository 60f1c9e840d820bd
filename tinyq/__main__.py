"""`python -m tinyq` is the same as `tinyq`."""

import sys

from tinyq.commands.cli import main

sys.exit(main())
