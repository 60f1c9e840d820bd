"""Assignments that a network finds while it trains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tinyq.exploration.allocators.registry import learns
from tinyq.exploration.budgets import Limits
from tinyq.exploration.gates import FractionalGate, Gate, GumbelGate, ParametrizedGate
from tinyq.exploration.network import Network
from tinyq.exploration.space import Assignment
from tinyq.exploration.supernet import Pull, draw_gates, read_gates, train_gates
from tinyq.exploration.table import Table

_STRENGTHS = (0.1, 0.5, 2.0, 8.0)


@learns("gumbel")
def search_by_gumbel(
    network: Network, table: Table, limits: Limits, count: int, seed: int
) -> list[Assignment]:
    """Gates drawn by trained logits; the loss times a power of the expected cost.

    L(w, theta) = E[loss] C(cost),  C = cost**gamma,  gamma larger until something fits

    The likeliest assignment of each training, then some that its gates draw.

    Reference: Wu et al. 2018, DNAS, arXiv:1812.00090, eq. 10 and 11, with the cost in parts of the
    base in the place of its logarithm; Habi et al. 2020, HMQ, arXiv:2007.09952.
    """
    found: list[Assignment] = []
    for gates in _train(network, table, limits, GumbelGate, seed, multiplies=True):
        found += draw_gates([it for it in gates if isinstance(it, GumbelGate)], count, seed)
    return _order(table, limits, found)[:count]


@learns("fractional")
def search_by_fractions(
    network: Network, table: Table, limits: Limits, count: int, seed: int
) -> list[Assignment]:
    """A real number of bits for each layer, and a penalty of their cost.

    L + gamma sum_l cost_l(n_l),  gamma larger until something fits; the next more exact method

    Reference: Nikolic et al. 2020, BitPruning, arXiv:2002.03090.
    """
    trained = _train(network, table, limits, FractionalGate, seed)
    return _order(table, limits, [read_gates(gates) for gates in trained])[:count]


@learns("parametrized")
def search_by_parameters(
    network: Network, table: Table, limits: Limits, count: int, seed: int
) -> list[Assignment]:
    """Trained steps and ranges, whose bits have a penalty.

    L + gamma sum_l cost_l(bits_l),  bits = log2(q / d + 1) + 1,  gamma larger until something fits

    Reference: Uhlich et al. 2020, arXiv:1905.11452, section 3, with a penalty of fixed strength.
    """
    trained = _train(network, table, limits, ParametrizedGate, seed)
    return _order(table, limits, [read_gates(gates) for gates in trained])[:count]


def _train(
    network: Network,
    table: Table,
    limits: Limits,
    kind: type[Gate],
    seed: int,
    multiplies: bool = False,
) -> Iterator[Sequence[Gate]]:
    """Gates of trainings with growing strength, until those of one fit."""
    for strength in _STRENGTHS:
        gates = train_gates(network, table, kind, Pull(strength, multiplies), seed)
        yield gates
        if not limits.is_open and limits.admit(table.predict(read_gates(gates))):
            return


def _order(table: Table, limits: Limits, found: Sequence[Assignment]) -> list[Assignment]:
    """Each once: those that fit first, of these the first found."""
    listed = list(dict.fromkeys(found))
    return sorted(listed, key=lambda it: sum(limits.excess(table.predict(it)).values()))
