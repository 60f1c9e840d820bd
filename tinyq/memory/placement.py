"""Blocks of bytes with lifetimes, placed in one arena: greedy first, then proven optimal."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes that are allocated as one.

    Attributes:
        size: Bytes.
        first: Index of the node that writes it.
        last: Index of the last node that reads or writes it.
    """

    size: int
    first: int
    last: int

    def meets(self, other: Block) -> bool:
        """Whether some node needs both."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class Placement:
    """Offsets of blocks in the arena, the arena's size, and a bound that no placement beats."""

    offsets: tuple[int, ...]
    arena_bytes: int
    lower_bound: int


Takeovers = frozenset[tuple[int, int]]
"""Pairs (old, new) of block indexes: at the node that writes new, it may take old's place."""


def place(blocks: Sequence[Block], takeovers: Takeovers, time_limit_s: float) -> Placement:
    """Offsets for blocks: greedy first, then the mixed-integer program if it can help."""
    bound = bound_arena(blocks, takeovers)
    best = min(_place_greedily(blocks, takeovers), key=lambda offsets: _extent(blocks, offsets))
    arena = _extent(blocks, best)
    if arena > bound:
        better, bound = _solve(blocks, takeovers, (bound, arena), time_limit_s)
        if better is not None:
            best, arena = better, _extent(blocks, better)
    return Placement(best, arena, min(bound, arena))


def bound_arena(blocks: Sequence[Block], takeovers: Takeovers) -> int:
    """The most bytes that any node needs at once, however the blocks lie.

    max_n ( sum_{b alive at n} size_b  -  size of n's output if it can work in place )
    """
    return max(live_bytes(blocks, {new for _, new in takeovers}), default=0)


def overlap(blocks: Sequence[Block], takeovers: Takeovers, offsets: Sequence[int]) -> bool:
    """Whether two blocks that some node needs together share bytes without a takeover."""
    for one, two in _meeting_pairs(blocks):
        apart = (
            offsets[one] + blocks[one].size <= offsets[two]
            or offsets[two] + blocks[two].size <= offsets[one]
        )
        taken = offsets[one] == offsets[two] and _may_share(one, two, takeovers)
        if not apart and not taken:
            return True
    return False


def live_bytes(blocks: Sequence[Block], free: Iterable[int]) -> list[int]:
    """Bytes in use at each node; blocks in ``free`` count from the node after their first."""
    length = max((block.last for block in blocks), default=-1) + 1
    live = np.zeros(length, np.int64)
    for block in blocks:
        live[block.first : block.last + 1] += block.size
    for index in set(free):
        live[blocks[index].first] -= blocks[index].size
    return [int(count) for count in live]


def _meeting_pairs(blocks: Sequence[Block]) -> Iterator[tuple[int, int]]:
    for one, two in itertools.combinations(range(len(blocks)), 2):
        if blocks[one].meets(blocks[two]):
            yield one, two


def _may_share(one: int, two: int, takeovers: Takeovers) -> bool:
    return (one, two) in takeovers or (two, one) in takeovers


def _extent(blocks: Sequence[Block], offsets: Sequence[int]) -> int:
    return max((o + block.size for o, block in zip(offsets, blocks, strict=True)), default=0)


_ORDERS: tuple[Callable[[Block], tuple[int, int]], ...] = (
    lambda block: (-block.size, block.first),
    lambda block: (-block.size * (block.last - block.first + 1), block.first),
    lambda block: (block.first - block.last, -block.size),
    lambda block: (block.first, -block.size),
    lambda block: (-block.last, -block.size),
)


def _place_greedily(blocks: Sequence[Block], takeovers: Takeovers) -> Iterator[tuple[int, ...]]:
    """First-fit placements: with and without working in place, in several orders."""
    pairs = sorted(takeovers)
    for chosen in (pairs, pairs[::-1], []):
        group_of = _merge(len(blocks), chosen)
        groups: dict[int, Block] = {}
        for group, block in zip(group_of, blocks, strict=True):
            known = groups.get(group, block)
            groups[group] = Block(
                block.size, min(known.first, block.first), max(known.last, block.last)
            )
        for order in _ORDERS:
            placed: dict[int, int] = {}
            for group in sorted(groups, key=lambda index: (order(groups[index]), index)):  # noqa: B023
                placed[group] = _first_fit(groups, placed, group)
            yield tuple(placed[group] for group in group_of)


def _merge(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Group of each block when every output takes over the first of its pairs."""
    group_of = list(range(count))
    taken = set()
    for old, new in sorted(pairs, key=lambda pair: pair[1]):
        if new not in taken:
            taken.add(new)
            group_of[new] = group_of[old]
    return group_of


def _first_fit(groups: Mapping[int, Block], placed: Mapping[int, int], group: int) -> int:
    """Lowest offset at which a group does not touch those already placed."""
    occupied = sorted(
        (offset, offset + groups[other].size)
        for other, offset in placed.items()
        if groups[other].meets(groups[group])
    )
    candidate = 0
    for begin, end in occupied:
        if candidate + groups[group].size <= begin:
            break
        candidate = max(candidate, end)
    return candidate


def _solve(
    blocks: Sequence[Block], takeovers: Takeovers, limits: tuple[int, int], time_limit_s: float
) -> tuple[tuple[int, ...] | None, int]:
    """Look for a placement smaller than the second limit, by a mixed-integer program.

        minimise A
        offset_b + size_b <= A                                        for every block
        offset_a + size_a <= offset_b + (1 - below_ab) * M            for every meeting pair
        offset_b + size_b <= offset_a + (1 - above_ab) * M
        |offset_a - offset_b| <= (1 - same_ab) * M                    where a takeover is legal
        below_ab + above_ab + same_ab = 1

    All sizes are multiples of one quantum, and so are the offsets of some optimal placement: the
    program counts in quanta, and a better placement is better by at least one.

    Returns:
        Offsets, or None when nothing smaller was found; and the best lower bound known.
    """
    bound, arena = limits
    if time_limit_s <= 0:
        return None, bound
    quantum = math.gcd(*(block.size for block in blocks))
    least, most = -(-bound // quantum), arena // quantum - 1
    if least > most:
        return None, arena
    # Importing scipy takes longer than most plans.
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    sizes = [block.size // quantum for block in blocks]
    pairs = [(*pair, _may_share(*pair, takeovers)) for pair in _meeting_pairs(blocks)]
    rows, upper = _write_program(sizes, pairs, most)
    columns = 1 + len(blocks) + sum(2 + sharing for *_, sharing in pairs)
    entries = [(value, row, key) for row, terms in enumerate(rows) for key, value in terms.items()]
    values, *positions = zip(*entries, strict=True)
    matrix = csr_array((values, positions), shape=(len(rows), columns), dtype=float)
    count = len(blocks)
    rooms = [most - size for size in sizes]
    result = milp(
        np.eye(1, columns)[0],
        constraints=LinearConstraint(matrix, -np.inf, upper),
        bounds=Bounds(
            np.array([least] + [0] * (columns - 1)),
            np.array([most, *rooms] + [1] * (columns - 1 - count)),
        ),
        integrality=np.ones(columns),
        options={"time_limit": time_limit_s, "mip_rel_gap": 0.0},
    )
    offsets = None
    if result.x is not None:
        rounded = tuple(round(value) * quantum for value in result.x[1 : count + 1])
        offsets = None if overlap(blocks, takeovers, rounded) else rounded
    return offsets, _prove(result, quantum, limits)


def _prove(result: object, quantum: int, limits: tuple[int, int]) -> int:
    """Lower bound in bytes from the solver's answer; status 2 says that nothing smaller exists."""
    bound, arena = limits
    if getattr(result, "status", None) == 2:
        return arena
    dual: float | None = getattr(result, "mip_dual_bound", None)
    if dual is None or not math.isfinite(dual):
        return bound
    return max(bound, math.ceil(dual - 1e-6) * quantum)


def _write_program(
    sizes: Sequence[int], pairs: Sequence[tuple[int, int, bool]], most: int
) -> tuple[list[dict[int, int]], list[int]]:
    """Rows ``terms @ x <= upper`` over x = (A, offsets, below/above/same of each pair)."""
    rows: list[dict[int, int]] = []
    upper: list[int] = []

    def at_most(limit: int, terms: dict[int, int]) -> None:
        rows.append(terms)
        upper.append(limit)

    for index, size in enumerate(sizes):
        at_most(-size, {0: -1, index + 1: 1})
    column = len(sizes) + 1
    for one, two, sharing in pairs:
        a, b = one + 1, two + 1
        choice = {column + position: 1 for position in range(2 + sharing)}
        at_most(1, choice)
        at_most(-1, {key: -1 for key in choice})
        at_most(most - sizes[one], {a: 1, b: -1, column: most})
        at_most(most - sizes[two], {b: 1, a: -1, column + 1: most})
        if sharing:
            at_most(most, {a: 1, b: -1, column + 2: most})
            at_most(most, {b: 1, a: -1, column + 2: most})
        column += len(choice)
    return rows, upper
