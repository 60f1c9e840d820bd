"""Assignments that a network finds while it trains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tinyq.exploration.allocators.registry import learns
from tinyq.exploration.bit_planes import BitPlaneGate
from tinyq.exploration.bottleneck import BottleneckGate
from tinyq.exploration.budgets import Limits
from tinyq.exploration.gates import FractionalGate, Gate, GumbelGate, ParametrizedGate
from tinyq.exploration.network import Network
from tinyq.exploration.space import Assignment
from tinyq.exploration.supernet import Pull, draw_gates, read_gates, train_gates
from tinyq.exploration.table import Table

_STRENGTHS = (0.1, 0.5, 2.0, 8.0)
_FIRM = 1000.0  # strength of a penalty that begins beyond the budget
_SHARES = (0.85, 0.7, 0.55, 0.4)  # of the base, where no budget is given
_TIGHTER = (1.0, 0.85, 0.7, 0.55)  # what is aimed at in parts of the budget, until something fits


@learns("gumbel")
def search_by_gumbel(
    network: Network, table: Table, limits: Limits, count: int, seed: int
) -> list[Assignment]:
    """Gates drawn by trained logits; the loss times a power of the expected cost.

    L(w, theta) = E[loss] C(cost),  C = cost**gamma,  gamma larger until something fits

    The likeliest assignment of each training, then some that its gates draw.

    Reference: Wu et al. 2018, DNAS, arXiv:1812.00090, eq. 10 and 11, with the cost in parts of the
    base in the place of its logarithm.
    """
    found: list[Assignment] = []
    pulls = [Pull(strength, multiplies=True) for strength in _STRENGTHS]
    for gates in _train(network, table, limits, GumbelGate, pulls, seed):
        found += draw_gates([it for it in gates if isinstance(it, GumbelGate)], count, seed)
    return _order(table, limits, found)[:count]


@learns("relaxed")
def search_by_relaxation(
    network: Network, table: Table, limits: Limits, count: int, seed: int
) -> list[Assignment]:
    """Gates drawn by trained logits, with a penalty of what their cost has beyond a target.

    L + g max(0, E[cost] - target)^2,  the target lower until something fits

    Reference: Habi et al. 2020, HMQ, arXiv:2007.09952, section 3.3.
    """
    trained = _train(network, table, limits, GumbelGate, _aim(table, limits), seed)
    return _read(table, limits, trained)[:count]


@learns("fractional")
def search_by_fractions(
    network: Network, table: Table, limits: Limits, count: int, seed: int
) -> list[Assignment]:
    """A real number of bits for each layer, and a penalty of their cost.

    L + gamma sum_l cost_l(n_l),  gamma larger until something fits; the next more exact method

    Reference: Nikolic et al. 2020, BitPruning, arXiv:2002.03090.
    """
    return _search(network, table, limits, FractionalGate, count, seed)


@learns("parametrized")
def search_by_parameters(
    network: Network, table: Table, limits: Limits, count: int, seed: int
) -> list[Assignment]:
    """Trained steps and ranges, whose bits have a penalty.

    L + gamma sum_l cost_l(bits_l),  bits = log2(q / d + 1) + 1,  gamma larger until something fits

    Reference: Uhlich et al. 2019, arXiv:1905.11452, section 3, with a penalty of fixed strength.
    """
    return _search(network, table, limits, ParametrizedGate, count, seed)


@learns("constrained")
def search_by_constraint(
    network: Network, table: Table, limits: Limits, count: int, seed: int
) -> list[Assignment]:
    """Trained steps and ranges, with a penalty of what their bits cost beyond the budget.

    L + g max(0, cost - budget)^2,  the budget lower until something fits

    Reference: Uhlich et al. 2020, arXiv:1905.11452, section 3.2.
    """
    trained = _train(network, table, limits, ParametrizedGate, _aim(table, limits), seed)
    return _read(table, limits, trained)[:count]


@learns("bit_planes")
def search_by_planes(
    network: Network, table: Table, limits: Limits, count: int, seed: int
) -> list[Assignment]:
    """Trained planes of bits, which a penalty of their sizes empties.

    L + gamma sum_l cost_l mean_b |plane_b|,  gamma larger until something fits

    Reference: Yang et al. 2021, BSQ, arXiv:2102.10462, eq. 5.
    """
    return _search(network, table, limits, BitPlaneGate, count, seed)


@learns("bottleneck")
def search_by_bottlenecks(
    network: Network, table: Table, limits: Limits, count: int, seed: int
) -> list[Assignment]:
    """Trained steps and ranges with noise on channels; bits and channels have a penalty.

    L + gamma sum_l cost_l(bits_l, channels_l),  gamma larger until something fits

    Reference: Wang et al. 2020, DJPQ, arXiv:2007.10463, eq. 12.
    """
    return _search(network, table, limits, BottleneckGate, count, seed)


def _search(
    network: Network, table: Table, limits: Limits, kind: type[Gate], count: int, seed: int
) -> list[Assignment]:
    """What gates come to whose cost is added to the loss."""
    pulls = [Pull(strength) for strength in _STRENGTHS]
    return _read(table, limits, _train(network, table, limits, kind, pulls, seed))[:count]


def _read(table: Table, limits: Limits, trained: Iterable[Sequence[Gate]]) -> list[Assignment]:
    """What the gates of each training stand for, in order."""
    return _order(table, limits, [read_gates(gates) for gates in trained])


def _aim(table: Table, limits: Limits) -> list[Pull]:
    """Penalties that begin where a budget ends, in the unit of ``price_pairs``."""
    if limits.is_open:
        return [Pull(_FIRM, within=share) for share in _SHARES]
    base = table.base
    most = {name: limits[name] for name in ("flash_bytes", "instructions", "cycles")}
    within = [min(1.0, limit / max(base[name], 1)) for name, limit in most.items() if limit]
    share = sum(within) / len(within) if within else 1.0
    return [Pull(_FIRM, within=share * part) for part in _TIGHTER]


def _train(
    network: Network,
    table: Table,
    limits: Limits,
    kind: type[Gate],
    pulls: Sequence[Pull],
    seed: int,
) -> Iterator[Sequence[Gate]]:
    """Gates of trainings with growing pulls, until those of one fit."""
    for pull in pulls:
        gates = train_gates(network, table, kind, pull, seed)
        yield gates
        if not limits.is_open and limits.admit(table.predict(read_gates(gates))):
            return


def _order(table: Table, limits: Limits, found: Sequence[Assignment]) -> list[Assignment]:
    """Each once: those that fit first, of these the first found."""
    listed = list(dict.fromkeys(found))
    return sorted(listed, key=lambda it: sum(limits.excess(table.predict(it)).values()))
