"""Blocks of bytes with lifetimes, placed in one arena: greedy first, then proven optimal."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

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


Pair = tuple[int, int]
"""Indexes (old, new) of blocks: new is written by the node that reads old for the last time."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """Which bytes of old blocks new ones may take.

    Attributes:
        takeovers: Pairs of which new may have old's place.
        leads: Pairs of which new may lie over old where old begins so many bytes behind it at
            least; negative where it may also begin before it.
    """

    takeovers: frozenset[Pair] = frozenset()
    leads: Mapping[Pair, int] = field(default_factory=lambda: MappingProxyType({}))

    def select(self, renumbered: Mapping[int, int]) -> Sharing:
        """The pairs of some blocks alone, by their new indexes."""

        def keep(pair: Pair) -> bool:
            return pair[0] in renumbered and pair[1] in renumbered

        return Sharing(
            frozenset((renumbered[o], renumbered[n]) for o, n in filter(keep, self.takeovers)),
            MappingProxyType(
                {
                    (renumbered[o], renumbered[n]): self.leads[o, n]
                    for o, n in filter(keep, self.leads)
                }
            ),
        )


NOTHING = Sharing()


def place(blocks: Sequence[Block], sharing: Sharing, time_limit_s: float) -> Placement:
    """Offsets for blocks: greedy first, then the mixed-integer program if it can help."""
    bound = bound_arena(blocks, sharing)
    best = min(_place_greedily(blocks, sharing), key=lambda offsets: _extent(blocks, offsets))
    arena = _extent(blocks, best)
    if arena > bound:
        better, bound = _solve(blocks, sharing, (bound, arena), time_limit_s)
        if better is not None:
            best, arena = better, _extent(blocks, better)
    return Placement(best, arena, min(bound, arena))


def bound_arena(blocks: Sequence[Block], sharing: Sharing) -> int:
    """The most bytes that any node needs at once, however the blocks lie.

    max_n ( sum_{b alive at n} size_b  -  what n's output may share with its inputs at most )
    """
    return max(bound_nodes(blocks, sharing), default=0)


def bound_nodes(blocks: Sequence[Block], sharing: Sharing) -> list[int]:
    """Bytes that each node needs at once, however the blocks lie.

    The union of blocks that lie apart but for pairs is at least the sum of their sizes without what
    each pair may share. With a lead of d a pair takes max(size_new, d + size_old) at least.
    """
    shared: dict[int, int] = {}
    for (old, new), lead in sharing.leads.items():
        most = min(blocks[old].size, blocks[new].size - lead, blocks[new].size)
        shared[new] = shared.get(new, 0) + max(most, 0)
    for _, new in sharing.takeovers:
        shared[new] = max(shared.get(new, 0), blocks[new].size)
    length = max((block.last for block in blocks), default=-1) + 1
    live = np.zeros(length, np.int64)
    for block in blocks:
        live[block.first : block.last + 1] += block.size
    for index, most in shared.items():
        live[blocks[index].first] -= min(most, blocks[index].size)
    return [int(count) for count in live]


def overlap(blocks: Sequence[Block], sharing: Sharing, offsets: Sequence[int]) -> bool:
    """Whether two blocks that some node needs together share bytes that they may not."""
    return any(
        not _lie_apart(blocks, offsets, one, two)
        and not (offsets[one] == offsets[two] and _may_share(one, two, sharing.takeovers))
        and not _keep_lead(offsets, one, two, sharing.leads)
        for one, two in _meeting_pairs(blocks)
    )


def live_bytes(blocks: Sequence[Block], offsets: Sequence[int]) -> list[int]:
    """Bytes in use at each node."""
    length = max((block.last for block in blocks), default=-1) + 1
    live = []
    for node in range(length):
        count, end = 0, 0
        alive = (i for i, block in enumerate(blocks) if block.first <= node <= block.last)
        for begin, size in sorted((offsets[index], blocks[index].size) for index in alive):
            count += max(begin + size - max(begin, end), 0)
            end = max(end, begin + size)
        live.append(count)
    return live


def _lie_apart(blocks: Sequence[Block], offsets: Sequence[int], one: int, two: int) -> bool:
    return (
        offsets[one] + blocks[one].size <= offsets[two]
        or offsets[two] + blocks[two].size <= offsets[one]
    )


def _keep_lead(offsets: Sequence[int], one: int, two: int, leads: Mapping[Pair, int]) -> bool:
    return any(
        pair in leads and offsets[pair[0]] - offsets[pair[1]] >= leads[pair]
        for pair in ((one, two), (two, one))
    )


def _meeting_pairs(blocks: Sequence[Block]) -> Iterator[tuple[int, int]]:
    for one, two in itertools.combinations(range(len(blocks)), 2):
        if blocks[one].meets(blocks[two]):
            yield one, two


def _may_share(one: int, two: int, takeovers: frozenset[Pair]) -> bool:
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


def _place_greedily(blocks: Sequence[Block], sharing: Sharing) -> Iterator[tuple[int, ...]]:
    """First-fit placements: with and without working in place, in several orders."""
    pairs = sorted(sharing.takeovers)
    for chosen in (pairs, pairs[::-1], []):
        group_of = _merge(len(blocks), chosen)
        members: dict[int, list[int]] = {}
        for index, group in enumerate(group_of):
            members.setdefault(group, []).append(index)
        groups = {
            group: Block(
                max(blocks[index].size for index in found),
                min(blocks[index].first for index in found),
                max(blocks[index].last for index in found),
            )
            for group, found in members.items()
        }
        for order in _ORDERS:
            placed: dict[int, int] = {}
            for group in sorted(groups, key=lambda index: (order(groups[index]), index)):  # noqa: B023
                forbidden = [
                    (placed[other] + begin, placed[other] + end)
                    for other in placed
                    for begin, end in _list_forbidden(
                        blocks, sharing.leads, members[other], members[group]
                    )
                ]
                placed[group] = _first_fit(forbidden)
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


def _list_forbidden(
    blocks: Sequence[Block], leads: Mapping[Pair, int], fixed: Sequence[int], moved: Sequence[int]
) -> Iterator[Pair]:
    """Between which offsets from a placed group another one may not begin, ends excluded."""
    for one, two in itertools.product(fixed, moved):
        if not blocks[one].meets(blocks[two]):
            continue
        begin, end = -blocks[two].size, blocks[one].size
        if (one, two) in leads:
            begin = max(begin, -leads[one, two])
        if (two, one) in leads:
            end = min(end, leads[two, one])
        if begin < end:
            yield begin, end


def _first_fit(forbidden: Iterable[Pair]) -> int:
    """Lowest offset that is in no interval, ends excluded."""
    candidate = 0
    for begin, end in sorted(forbidden):
        if candidate <= begin:
            break
        candidate = max(candidate, end)
    return candidate


def _solve(
    blocks: Sequence[Block], sharing: Sharing, limits: tuple[int, int], time_limit_s: float
) -> tuple[tuple[int, ...] | None, int]:
    """Look for a placement smaller than the second limit, by a mixed-integer program.

        minimise A
        offset_b + size_b <= A                                        for every block
        offset_a + size_a <= offset_b + (1 - below_ab) * M            for every meeting pair
        offset_b + size_b <= offset_a + (1 - above_ab) * M
        |offset_a - offset_b| <= (1 - same_ab) * M                    where a takeover is legal
        offset_new + lead <= offset_old + (1 - over_ab) * M           where there is a lead
        below_ab + above_ab + same_ab + over_ab = 1

    All sizes are multiples of one quantum, and so are the offsets of some optimal placement: the
    program counts in quanta, and a better placement is better by at least one.

    Returns:
        Offsets, or None when nothing smaller was found; and the best lower bound known.
    """
    bound, arena = limits
    if time_limit_s <= 0:
        return None, bound
    quantum = math.gcd(*(block.size for block in blocks), *sharing.leads.values())
    least, most = -(-bound // quantum), arena // quantum - 1
    if least > most:
        return None, arena
    # Importing scipy takes longer than most plans.
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    sizes = [block.size // quantum for block in blocks]
    pairs = [_describe_pair(*pair, sharing, quantum) for pair in _meeting_pairs(blocks)]
    rows, upper = _write_program(sizes, pairs, most)
    columns = 1 + len(blocks) + sum(pair.choices for pair in pairs)
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
        offsets = None if overlap(blocks, sharing, rounded) else rounded
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


@dataclass(frozen=True, slots=True)
class _Meeting:
    """Two blocks that some node needs together.

    Attributes:
        one: Index of a block.
        two: Index of the other.
        same: Whether they may have one place.
        old: Index of that which may be overwritten with a lead, -1 for none.
        lead: How far it must begin behind the other, in quanta.
    """

    one: int
    two: int
    same: bool
    old: int
    lead: int

    @property
    def choices(self) -> int:
        """How many ways there are to lie."""
        return 2 + self.same + (self.old >= 0)


def _describe_pair(one: int, two: int, sharing: Sharing, quantum: int) -> _Meeting:
    same = _may_share(one, two, sharing.takeovers)
    for pair in ((one, two), (two, one)):
        if pair in sharing.leads:
            return _Meeting(one, two, same, pair[0], sharing.leads[pair] // quantum)
    return _Meeting(one, two, same, -1, 0)


def _write_program(
    sizes: Sequence[int], pairs: Sequence[_Meeting], most: int
) -> tuple[list[dict[int, int]], list[int]]:
    """Rows ``terms @ x <= upper`` over x = (A, offsets, the choices of each pair)."""
    rows: list[dict[int, int]] = []
    upper: list[int] = []

    def at_most(limit: int, terms: dict[int, int]) -> None:
        rows.append(terms)
        upper.append(limit)

    for index, size in enumerate(sizes):
        at_most(-size, {0: -1, index + 1: 1})
    column = len(sizes) + 1
    for pair in pairs:
        a, b = pair.one + 1, pair.two + 1
        choice = {column + position: 1 for position in range(pair.choices)}
        at_most(1, choice)
        at_most(-1, {key: -1 for key in choice})
        at_most(most - sizes[pair.one], {a: 1, b: -1, column: most})
        at_most(most - sizes[pair.two], {b: 1, a: -1, column + 1: most})
        if pair.same:
            at_most(most, {a: 1, b: -1, column + 2: most})
            at_most(most, {b: 1, a: -1, column + 2: most})
        if pair.old >= 0:
            old, new = (a, b) if pair.old == pair.one else (b, a)
            # Twice M: a lead may be as long as the arena.
            at_most(2 * most - pair.lead, {new: 1, old: -1, column + 2 + pair.same: 2 * most})
        column += pair.choices
    return rows, upper
