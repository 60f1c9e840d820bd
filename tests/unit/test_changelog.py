from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FRAGMENTS = sorted((ROOT / "changelog.d").glob("*.*.md"))
KINDS = ("added", "changed", "fixed")


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.name)
def test_a_fragment_is_short_and_of_a_kind(path):
    assert path.name.split(".")[1] in KINDS
    lines = path.read_text("utf-8").strip().splitlines()
    assert 1 <= len(lines) <= 4, "one or two sentences"
    assert not lines[0].startswith(("*", "-", "#")), "the list is made of the files"


def test_fragments_are_kept_by_git():
    ignored = subprocess.run(
        ["git", "check-ignore", *map(str, FRAGMENTS), str(ROOT / "changelog.d/template.md.j2")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ignored.stdout == ""


def test_the_next_version_can_be_written():
    done = subprocess.run(
        [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "9.9.9"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\n* ") >= len(FRAGMENTS)
