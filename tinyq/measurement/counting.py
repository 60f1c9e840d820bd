"""Counts in the place of estimates: every kernel that fits a layer, run on the emulated core.

Layers of the same sizes and formats are counted once, and what was counted is kept in the user's
cache folder under a digest of the generated text, the compiler and the core. Each layer's counts
are written as soon as they are known, so a run that is killed goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tinyq.codegen import emit
from tinyq.errors import BudgetError, DataError, TinyqError
from tinyq.firmware.build import read_version
from tinyq.firmware.toolchains import find_compiler
from tinyq.graph import Graph, Node
from tinyq.kernels.base import Bound
from tinyq.measurement.layer_programs import (
    LayerProgram,
    Outcome,
    find_stand_in,
    isolate,
    run_programs,
)
from tinyq.measurement.profile.cores import BoardConstant, find_constant
from tinyq.project import Setting
from tinyq.selection import Candidates, force_kernels, plan_kernels
from tinyq.support.documents import SCHEMAS, read_document, stamp
from tinyq.targets.native import cache_folder

Progress = Callable[[int, int], None]

_DOCUMENT = "kernel counts"
# What differs between layers that cost the same: values of constants, and the digest of the graph.
_DIGEST = re.compile(r"sha256 [0-9a-f]{64}")
_DECLARATION = re.compile(r"^static .*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A candidate of one distinct layer.

    Attributes:
        key: Digest of all that decides its counts.
        program: How to run it.
    """

    key: str
    program: LayerProgram


def count_candidates(
    graph: Graph,
    candidates: Candidates,
    setting: Setting,
    progress: Progress | None = None,
    cache: Path | None = None,
) -> Candidates:
    """Candidates with counted instructions and measured code.

    A layer that cannot run by itself, or that its emulated board is too small for, keeps its
    estimates.

    Args:
        graph: A verified graph.
        candidates: What can compute each of its nodes.
        setting: Board, instruction sets and flags; a board with the same core is emulated.
        progress: Called with programs done and programs in all.
        cache: Folder of what was counted before.

    Raises:
        LinkError: No emulator is known for the board's core.
        ToolMissing: Compiler or emulator is not installed.
        TinyqError: A kernel's output is not the reference's.
    """
    constant = find_constant(setting.board.name)
    stand_in, cflags = find_stand_in(setting.board), setting.cflags
    store = _Store(cache or cache_folder() / "kernels")
    identity = json.dumps(
        [
            SCHEMAS[_DOCUMENT],
            stand_in.name,
            stand_in.cflags,
            cflags,
            read_version(find_compiler(stand_in)),
        ]
    )
    layers = {
        node.name: _list_entries(graph, node, candidates[node.name], setting.isas, identity)
        for node in graph.nodes
        if node.name in candidates
    }
    groups = {tuple(entry.key for entry in found): found for found in layers.values() if found}
    total, done = sum(map(len, groups)), 0
    known: dict[str, Mapping[str, Any]] = {}
    for keys, entries in groups.items():
        known.update(_count(entries, replace(setting, board=stand_in), store))
        done += len(keys)
        if progress:
            progress(done, total)
    return MappingProxyType(
        {
            name: tuple(
                _apply(candidate, known.get(entry.key), constant)
                for candidate, entry in zip(found, layers[name], strict=True)
            )
            if layers.get(name)
            else found
            for name, found in candidates.items()
        }
    )


def _list_entries(
    graph: Graph,
    node: Node,
    candidates: tuple[Bound, ...],
    isas: tuple[str, ...],
    identity: str,
) -> tuple[_Entry, ...]:
    part = isolate(graph, node)
    if part is None or any(candidate.instructions is None for candidate in candidates):
        return ()
    name = part.nodes[0].name
    programs = (
        LayerProgram(part, force_kernels(part, isas, {name: bound.kernel.name}))
        for bound in candidates
    )
    return tuple(_Entry(_identify(program, identity), program) for program in programs)


def _identify(program: LayerProgram, identity: str) -> str:
    """Digest of a program without the values of its constants."""
    memory = plan_kernels(program.graph, program.bounds)
    files = emit(program.graph, memory, program.bounds).files
    node = program.graph.nodes[0]
    geometry = sorted(node.op.geometry(*program.graph.types(node)).items())
    parts = [
        identity,
        *(bound.kernel.name for bound in program.bounds.values()),
        json.dumps(geometry),
    ]
    for path in sorted(files):
        if path.name in (f"{program.graph.name}.h", "tq_model_instance.c"):
            continue  # what the codes mean, and the digest: no matter of cost
        text = files[path]
        kept = _DECLARATION.findall(text) if path.stem.endswith("_weights") else [text]
        parts += [path.name, *(_DIGEST.sub("", part) for part in kept)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _count(
    entries: tuple[_Entry, ...], setting: Setting, store: _Store
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What is known of programs: from the cache, or by running them."""
    found = {entry.key: store.read(entry.key) for entry in entries}
    missing = [entry for entry in entries if found[entry.key] is None]
    for entry, outcome in _run(missing, setting):
        kernel = next(iter(entry.program.bounds.values())).kernel.name
        if not outcome.exact:
            raise TinyqError(
                f"{kernel} does not compute what the reference does",
                where=entry.program.graph.nodes[0].op.kernel,
                remedy="report this with the model; --kernels generic avoids the kernel",
            )
        content = {
            "kernel": kernel,
            "instructions": outcome.instructions,
            "cycles": outcome.cycles,
            "flash_loads": outcome.flash_loads,
            "code": dict(outcome.code),
        }
        store.write(entry.key, content)
        found[entry.key] = content
    return iter((key, content) for key, content in found.items() if content is not None)


def _run(entries: Sequence[_Entry], setting: Setting) -> Iterator[tuple[_Entry, Outcome]]:
    """Programs with their outcomes; those that the board has no room for are left out."""
    if not entries:
        return
    with tempfile.TemporaryDirectory(prefix="tinyq-tune-") as folder:
        try:
            programs = [entry.program for entry in entries]
            outcomes = run_programs(programs, setting.board, Path(folder) / "image", setting.cflags)
        except BudgetError:
            outcomes = ()
    if outcomes:
        yield from zip(entries, outcomes, strict=True)
    elif len(entries) > 1:
        for entry in entries:
            yield from _run([entry], setting)


def _apply(
    candidate: Bound, content: Mapping[str, Any] | None, constant: BoardConstant | None
) -> Bound:
    """A candidate with what was counted; parts that layers share keep their names."""
    if content is None:
        return candidate
    own, *shared = candidate.code
    sizes = dict(content["code"])
    code = {name: sizes.pop(name) for name in shared if name in sizes}
    return replace(
        candidate,
        instructions=content["instructions"],
        cycles=_estimate_cycles(content, constant),
        counted=True,
        code=MappingProxyType({own: sum(sizes.values()), **code}),
    )


def _estimate_cycles(content: Mapping[str, Any], constant: BoardConstant | None) -> int | None:
    """Cycles by the core's timings, with the wait states of a board whose flash is known."""
    cycles: int | None = content["cycles"]
    if cycles is None or constant is None:
        return cycles
    return cycles + round(constant.cycles_per_flash_load * int(content["flash_loads"]))


class _Store:
    """Counts in files, one for each program. What cannot be read counts as missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, key: str) -> Mapping[str, Any] | None:
        """What is known under a key; None where nothing is, or nothing sound."""
        try:
            content = read_document(self._path(key), _DOCUMENT, "count again")
        except DataError:
            return None
        return content if _is_sound(content) else None

    def write(self, key: str, content: Mapping[str, Any]) -> None:
        """Keep what was counted, whole or not at all; without a place to keep it, do nothing."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder, suffix=".partial")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(json.dumps(stamp(_DOCUMENT, content), indent=1) + "\n")
            Path(name).replace(self._path(key))
        except OSError:
            return

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def _is_sound(content: Mapping[str, Any]) -> bool:
    count, code = content.get("instructions"), content.get("code")
    numbers = [count, *code.values()] if isinstance(code, dict) else [None]
    timing = [content.get("cycles", ""), content.get("flash_loads", "")]
    numbers += [number for number in timing if timing != [None, None]]
    return all(isinstance(number, int) and number >= 0 for number in numbers)
