"""YAML that people write, read strictly: no key twice, no tags, no growth by aliases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from tinyq.errors import YamlError

DEPTH = 32
VALUES = 20_000
"""Scalars, lists and mappings, each alias counted as all that it stands for."""
SCALAR_LETTERS = 4_000


def read_yaml(text: str) -> Any:  # noqa: ANN401  # any plain data
    """Plain data from a text: mappings, lists, strings, numbers, truth values, dates, None.

    Args:
        text: One document.

    Raises:
        YamlError: It is no YAML, nested deeper than ``DEPTH``, larger than ``VALUES``, refers to
            itself, has a key twice, a tag of a program's, or a value that no number can hold.
    """
    try:
        _check_events(text)
        root = yaml.compose(text, yaml.SafeLoader)
        if root is not None:
            _count(root, {})
            for node in _nodes(root):
                _check_keys(node)
        return yaml.safe_load(text)
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        problem = getattr(fault, "problem", None) or "not YAML"
        raise _error(str(problem), mark) from None
    except (ValueError, OverflowError) as fault:  # dates and numbers that do not exist
        raise _error(str(fault).splitlines()[0], None) from None


def _error(message: str, mark: Any) -> YamlError:  # noqa: ANN401  # Python's mark or C's
    found = YamlError(message, remedy="correct the YAML")
    found.line = mark.line + 1 if mark else None
    return found


def _check_events(text: str) -> None:
    """Bounds that are to hold before PyYAML walks down the text, which it does recursively."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, yaml.SafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            raise _error(f"lists and mappings are nested deeper than {DEPTH}", event.start_mark)
        if count > 3 * VALUES:
            raise _error(f"more than {VALUES:,} values", event.start_mark)
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > SCALAR_LETTERS:
            raise _error(f"a value of more than {SCALAR_LETTERS:,} letters", event.start_mark)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _count(node: yaml.Node, known: dict[int, int | None]) -> int:
    """How many values a node stands for; the depth is bounded by now, but for circles."""
    key = id(node)
    if key in known:
        size = known[key]
        if size is None:
            raise _error("an alias refers to what it stands in", node.start_mark)
        return size
    known[key] = None
    total = 1 + sum(_count(child, known) for child in _children(node))
    if total > VALUES:
        raise _error(f"stands for more than {VALUES:,} values", node.start_mark)
    known[key] = total
    return total


def _nodes(root: yaml.Node) -> Iterator[yaml.Node]:
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            waiting.extend(_children(node))


def _check_keys(node: yaml.Node) -> None:
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        name = (key.tag, key.value)
        if name in seen:
            raise _error(
                f"key {key.value!r} stands twice, in line {seen[name]} too", key.start_mark
            )
        seen[name] = key.start_mark.line + 1
