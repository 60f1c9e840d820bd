from __future__ import annotations

from tinyq.commands.output import JsonOption, show


def doctor(json: JsonOption = False) -> None:
    """Say what is installed, what is missing and which command installs it."""
    from tinyq.api.doctor import doctor as run

    show(run(), json)
