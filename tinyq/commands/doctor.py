from __future__ import annotations

from dataclasses import asdict

import typer

from tinyq.commands.output import JsonOption, print_json, print_table


def doctor(json: JsonOption = False) -> None:
    """Say what is installed, what is missing and which command installs it."""
    from tinyq.installation import examine, missing

    checks = examine()
    lacking = missing(checks)
    if json:
        print_json({"ok": not lacking, "checks": [asdict(check) for check in checks]})
    else:
        states = {True: "ok", False: "missing"}
        print_table(
            "doctor",
            ("part", "state", "found", "needed for"),
            [
                (
                    check.name,
                    states[check.ok] if check.ok or check.required else "optional",
                    check.found or "-",
                    check.purpose,
                )
                for check in checks
            ],
        )
        for check in checks:
            if not check.ok and check.remedy:
                typer.echo(f"{check.name}: {check.remedy}")
    if lacking:
        raise typer.Exit(1)
