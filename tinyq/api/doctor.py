from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tinyq import installation
from tinyq.installation import Check
from tinyq.support.documents import stamp
from tinyq.support.tables import Part, Shown, Table


@dataclass(frozen=True, slots=True, repr=False)
class Diagnosis(Shown):
    """What this machine has and lacks.

    Attributes:
        checks: What was looked for.
    """

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing that is required is missing."""
        return not installation.missing(self.checks)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        content = {"ok": self.ok, "checks": [asdict(check) for check in self.checks]}
        return stamp("diagnosis", content)

    def parts(self) -> list[Part]:
        """A table, and how to get what is missing."""
        columns = ("part", "state", "found", "needed for")
        return [
            Table("doctor", columns, [_make_row(check) for check in self.checks]),
            *(
                f"{check.name}: {check.remedy}"
                for check in self.checks
                if not check.ok and check.remedy
            ),
        ]


def doctor() -> Diagnosis:
    """Say what is installed, what is missing and which command installs it."""
    return Diagnosis(tuple(installation.examine()))


def _make_row(check: Check) -> tuple[str, str, str, str]:
    lacking = "missing" if check.required else "optional"
    return check.name, "ok" if check.ok else lacking, check.found or "-", check.purpose
