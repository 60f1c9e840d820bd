"""What the pages name exists: paths, modules, commands and their options, targets of make."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
from typer.main import get_command

from tinyq.commands import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "AGENTS.md")),
    ]
)
FOLDERS = "tinyq|templates|firmware|tests|docs|benchmarks|examples|changelog.d"
# Pages of what was: their tables name what is gone.
HISTORY = {"0013-typed-kernels.md"}
COMMAND = get_command(cli.app)


def fill(text: str) -> str:
    """A pattern for names that stand for any word: <isa>, NAME, *."""
    return re.sub(r"<[\w ]+>|\bNAME\b", "*", text)


def list_paths(text: str) -> list[str]:
    spoken = re.findall(r"`([^`\n]+)`", text) + re.findall(r"\]\(([^)#\s]+)\)", text)
    paths = [it.rstrip("/") for it in spoken if re.match(rf"(?:{FOLDERS})/[\w./<>*-]+$", it)]
    return [it for it in paths if "{" not in it]


def exists(path: str) -> bool:
    pattern = fill(path)
    return bool(list(ROOT.glob(pattern))) if "*" in pattern else (ROOT / pattern).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_exist(page: Path) -> None:
    if page.name in HISTORY:
        pytest.skip("tells what was called how before")
    missing = [path for path in list_paths(page.read_text("utf-8")) if not exists(path)]
    assert not missing, f"{page.relative_to(ROOT)}: {missing}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text("utf-8"))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing, f"{page.relative_to(ROOT)}: {missing}"


def resolve(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:count]))
        except ImportError:
            continue
        for part in parts[count:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_dotted_names_exist(page: Path) -> None:
    names = set(re.findall(r"`(tinyq(?:\.[A-Za-z_]\w*)+)(?:\(\))?`", page.read_text("utf-8")))
    missing = sorted(name for name in names if not resolve(name))
    assert not missing, f"{page.relative_to(ROOT)}: {missing}"


def list_commands(text: str) -> list[str]:
    """Lines of commands in blocks and in backticks."""
    lines = re.findall(r"^    (?:\$ )?(tinyq .+)$", text, re.MULTILINE)
    return lines + re.findall(r"`(tinyq [a-z][^`\n]*)`", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page: Path) -> None:
    for line in list_commands(page.read_text("utf-8")):
        words = line.partition("#")[0].split()[1:]
        while words and words[0].startswith("--"):
            words = words[2:]
        if not words or not re.fullmatch(r"[a-z]+", words[0]):
            continue
        assert words[0] in COMMAND.commands, f"{page.name}: {line}"
        known = {it for option in COMMAND.commands[words[0]].params for it in option.opts}
        known |= {
            it for option in COMMAND.commands[words[0]].params for it in option.secondary_opts
        }
        used = {word.partition("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)}
        assert used <= known | {"--help", "-h"}, f"{page.name}: {line}: {used - known}"


def test_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in PAGES:
        for said in re.findall(r"`make ([a-z -]+)[`\s]", page.read_text("utf-8")):
            assert set(said.split()) <= targets, f"{page.name}: make {said}"


def test_the_tour_shows_what_is_in_the_tree() -> None:
    """Its Python and its C are lines of the files that it names."""
    text = (ROOT / "docs/tour.md").read_text("utf-8")
    sources = "\n".join(
        (ROOT / path).read_text("utf-8")
        for path in set(list_paths(text))
        if path.endswith(".py") and (ROOT / path).is_file()
    )
    known = {re.sub(r"\s+", "", line) for line in sources.splitlines()}
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[1:]
    assert blocks
    for line in "".join(blocks).splitlines():
        if "..." not in line and line.strip():
            assert re.sub(r"\s+", "", line) in known, line
