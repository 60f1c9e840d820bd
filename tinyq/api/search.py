from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyq.api.arguments import (
    PathLike,
    Show,
    as_board,
    as_dataset,
    as_path,
    is_path,
)
from tinyq.api.quantize import load_float
from tinyq.errors import ModelError, TinyqError
from tinyq.hardware.boards import Board, find_board
from tinyq.measurement.profile.cores import find_core
from tinyq.measurement.profile.energy import find_pace
from tinyq.quantizers.catalogue import load_catalogue
from tinyq.selection import check_objective
from tinyq.support.datasets import make_dataset
from tinyq.support.documents import stamp
from tinyq.support.folders import check_writable
from tinyq.support.tables import Part, Shown, Table

if TYPE_CHECKING:
    from tinyq.exploration.search import Found

_DEFAULTS = {"sensitivity": "divergence", "allocator": "ilp", "proxy": "ptq"}
_METHODS = "methods of the layers"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Searched(Shown):
    """Which methods fit a board's budgets, and what each costs.

    Attributes:
        found: Trials, front, the best of them.
        model: Name of the float model.
        board: Name of the board.
        folder: Where recipes, models, search.json and search.html are.
    """

    found: Found
    model: str
    board: str
    folder: Path

    @property
    def ok(self) -> bool:
        """Whether something fits the budgets."""
        return self.found.fits or self.found.wish.limits.is_open

    @property
    def recipe(self) -> Path | None:
        """Recipe of the best trial."""
        return None if self.found.best is None else self.folder / "best.yaml"

    def to_json(self) -> dict[str, Any]:
        """Plain data, that of search.json."""
        from tinyq.exploration.result import describe

        return stamp("search", describe(self.found, self.model, self.board, self.folder))

    def parts(self) -> list[Part]:
        """The front, the best trial, what was refused or failed, what estimates are worth."""
        from tinyq.exploration.result import list_rows

        found = self.found
        title = f"front of {self.model} on {self.board}, float model {100 * found.float_score:.2f}"
        parts: list[Part] = [self._tabulate(title, list_rows(found, found.front))]
        if found.best is not None and not found.wish.limits.is_open:
            title = "fits the budgets" if found.fits else "nothing fits; this comes nearest"
            parts.append(self._tabulate(title, list_rows(found, [found.best])))
        parts += self._describe_times()
        parts += [
            f"not possible: {layer} {label}: {reason}"
            for (layer, label), reason in found.refused.items()
        ]
        parts += [
            f"failed: {' '.join(it.label for it in found.table.space.pairs(tried).values())}: "
            f"{reason}"
            for tried, reason in found.failures
        ]
        parts.append(f"recipes, search.json and search.html: {self.folder}")
        return parts

    def _tabulate(self, title: str, rows: list[list[str]]) -> Table:
        from tinyq.exploration.result import list_heads

        heads = list_heads(self.found)
        return Table(title, (*heads, _METHODS), rows, right=heads[:-1])

    def _describe_times(self) -> list[str]:
        """What estimated cycles and what follows from them go by."""
        if not self.found.table.base.cycles:
            return []
        core, pace = find_core(find_board(self.board)), self.found.wish.pace
        lines = [f"cycles are an estimate for {core.title}: {core.source}"]
        return [*lines, f"energy is an estimate: {pace.source}"] if pace.nanojoules else lines


def search(
    model: Any,
    data: Any,
    board: str | Board,
    output: PathLike,
    *,
    val: Any = None,
    flash: str | int | None = None,
    ram: str | int | None = None,
    instructions: str | int | None = None,
    cycles: str | int | None = None,
    milliseconds: float | None = None,
    energy: float | None = None,
    power: float | None = None,
    space: Any = None,
    method: str | None = None,
    sensitivity: str | None = None,
    allocator: str | None = None,
    proxy: str | None = None,
    trials: int | None = None,
    storage: str | None = None,
    threads: int | None = None,
    optimize: str = "balanced",
    seed: int = 0,
    samples: int = 512,
    trust: bool = False,
    show: Show | None = None,
) -> Searched:
    """Find the methods of each layer that fit a board's budgets and lose least.

    Without budgets the answer is the front: what no other choice beats in score, flash, RAM,
    instructions and cycles. Several workers share a search by the same arguments with the same
    storage.

    Args:
        model: Float Keras model, or its file.
        data: Inputs to calibrate on, with labels or targets where there are some, which a proxy
            that trains learns: an .npz file, an array, or a pair (x, y).
        board: Name from `tinyq.boards()`.
        output: Folder for recipes, models, search.json and search.html; an earlier search there
            goes on.
        val: Data that judge; the last fifth of the data when None.
        flash: Most bytes of flash, such as ``64K``.
        ram: Most bytes of RAM, such as ``16K``.
        instructions: Most instructions of an inference, such as ``2M``.
        cycles: Most cycles of an inference, such as ``2M``; estimated from counts.
        milliseconds: Most time of an inference at the board's clock; estimated.
        energy: Most microjoules of an inference; estimated.
        power: Milliwatts that the board draws while it computes, where tinyq knows no figure.
        space: Methods of each layer, a dict or a YAML file; when None that of the method, else 8
            and 4 bits and ternary.
        method: Method of the literature, such as ``hawq_v3``, that says the next three; what is
            given beside it takes the place of its own. `tinyq.methods()` lists them.
        sensitivity: What says how much a layer suffers: ``divergence``, ``hessian_trace``,
            ``hessian_eigenvalue``, ``taylor``, ``fisher``, ``imprint`` or ``steps``; ``divergence``
            when None.
        allocator: What proposes: ``ilp``, ``rank``, ``grid``, ``evolution``, ``tpe``, or what a
            training finds, ``gumbel``, ``fractional``, ``parametrized``; ``ilp`` when None.
        proxy: What judges: ``ptq``, ``reconstruct``, ``train:EPOCHS`` or ``full:EPOCHS``; ``ptq``
            when None.
        trials: Trials of all workers together; as the allocator plans when None.
        storage: Where trials are kept: a journal's path, or a database's address; a journal in
            the folder when None.
        threads: Of a worker; one where a storage is named, else TensorFlow's own choice, if None.
        optimize: What kernels are chosen for, as of `tinyq.build`.
        seed: Of everything random.
        samples: Calibrate on the first so many inputs only; a proxy that trains takes all.
        trust: As of `tinyq.load`.
        show: Shows progress under a title.

    Raises:
        TinyqError: An argument is wrong, the model cannot be quantized or built, or Optuna is not
            installed.
    """
    from tinyq.exploration.budgets import Limits, check_positive, limit_cycles, read_amount

    chosen, folder = as_board(board), as_path(output)
    if power is not None:
        check_positive(power, "--power")
    pace = find_pace(chosen, power)
    most = read_amount(cycles, "--cycles", 1000)
    limits = Limits(
        read_amount(flash, "--flash", 1024),
        read_amount(ram, "--ram", 1024),
        read_amount(instructions, "--instructions", 1000),
        limit_cycles(most, milliseconds, energy, chosen, pace),
    )
    parts_given = {"sensitivity": sensitivity, "allocator": allocator, "proxy": proxy}
    said = find_search(method, {**parts_given, "space": space})
    check_objective(optimize)
    check_writable(folder)
    if trials is not None and trials < 1:
        raise TinyqError(f"{trials} trials are none", where="--trials", remedy="give at least 1")
    if is_path(model) and not as_path(model).exists():
        raise ModelError("there is no such file", where=str(model))
    learned, judged = _split(data, val)
    from tinyq.exploration.allocators import find_allocator
    from tinyq.exploration.network import Network
    from tinyq.exploration.pricing import Pricer
    from tinyq.exploration.proxies import find_proxy
    from tinyq.exploration.result import JOURNAL, MODELS, write_results
    from tinyq.exploration.search import Place, Wish
    from tinyq.exploration.search import search as run
    from tinyq.exploration.sensitivities import find_sensitivity
    from tinyq.exploration.space import default_space, read_space
    from tinyq.exploration.threads import limit_threads

    limit_threads(threads, storage is not None)
    find_sensitivity(said["sensitivity"])
    parts = find_allocator(said["allocator"]), find_proxy(said["proxy"])
    wish = Wish(limits, said["sensitivity"], *parts, trials, seed, pace)
    if not wish.proxy.trains:  # what is not trained on is not looked at
        learned = learned.take(samples)
    loaded, name = _load(model, trust)
    network = Network(loaded, learned, judged, name, samples)
    names = network.layers()
    own = said.get("space")
    wanted = default_space(names, network.formats()) if own is None else read_space(own, names)
    (folder / MODELS).mkdir(parents=True, exist_ok=True)
    place = Place(storage or folder / JOURNAL, folder / MODELS, show)
    found = run(network, wanted, Pricer(chosen, optimize), wish, place)
    write_results(found, name, chosen.name, folder)
    return Searched(found, name, chosen.name, folder)


def find_search(method: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Sensitivity, allocator, proxy and space: given, else what the method says, else defaults.

    Raises:
        TinyqError: There is no such method.
    """
    rows = load_catalogue().values()
    known = {name: said for row in rows for name, said in row.searches.items()}
    if method is not None and method not in known:
        raise TinyqError(
            f"there is no method of search {method!r}",
            where="--method",
            remedy=f"choose one of {', '.join(known)}",
        )
    own = known[method] if method is not None else {}
    spoken = {name: value for name, value in given.items() if value is not None}
    return {**_DEFAULTS, **own, **spoken}


def _split(data: Any, val: Any) -> tuple[Any, Any]:
    """Data to learn from and data to judge by."""
    learned = as_dataset(data)
    if val is not None:
        return learned, as_dataset(val)
    last = max(1, len(learned) // 5)
    if len(learned) == 1:
        return learned, learned
    first = len(learned) - last
    answers = learned.y if learned.targets is None else learned.targets
    rest = make_dataset(learned.x[first:], None if answers is None else answers[first:])
    return learned.take(first), rest


def _load(model: Any, trust: bool) -> tuple[Any, str]:
    loaded = load_float(model, trust)
    return loaded, as_path(model).stem if is_path(model) else str(loaded.name)
