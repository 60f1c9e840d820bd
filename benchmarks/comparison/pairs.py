"""Which weights go with which activations, as the papers have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tinyq.quantizers.catalogue import Entry, load_catalogue

Pair = tuple[str, str]

# Rows whose papers join names that differ. Whatever stands in no pair goes with the name that it
# has in common with the other role, or with 8 bits: papers keep the other operand in float32.
PAPERS: Mapping[str, tuple[Pair, ...]] = {
    "uint4": (("int4", "uint4"),),
    "dorefa": (("dorefa1", "dorefa2"), ("dorefa1", "dorefa4")),
    "pact": (("int8", "pact5"),),
    "qnn": (("qnn1", "qnn2"), ("qnn4", "qnn4")),
    "bcgd": (("bcgd1", "bcgd4"), ("bcgd2", "bcgd4"), ("bcgd4", "bcgd8")),
    "bi_realnet": (("bi_realnet", "bi_realnet_cubic"),),
    "miyashita": (
        ("miyashita4", "int8"),
        ("miyashita4", "miyashita2"),
        ("miyashita4", "miyashita3"),
    ),
    "lognet": (("lognet4", "int8"), ("lognet4", "lognet3")),
    "hwgq": tuple(
        ("hwgq", f"hwgq{kind}") for kind in ("2", "3", "4", "2_relu", "2_log", "2_lloyd", "3_lloyd")
    ),
    "fgq": (("fgq", "int8"), ("fgq", "uint4")),
    "tang2017": (("tang2017", "hwgq2"), ("tang2017", "int8")),
    "lq_nets": (("lq_nets1", "hwgq2"), ("lq_nets1", "int8")),
    "abc_net": (("abc_net2", "int8"), ("abc_net3", "int8"), ("abc_net3", "abc_net")),
    "reactnet": (("bi_realnet", "reactnet"),),
    "perceptron1957": (("bnn", "perceptron1957"),),
    "ste_hinton2012": (("bnn", "ste_hinton2012"),),
    "ste_bengio2013": (("bnn", "ste_bengio2013"),),
}
EIGHT_BITS = "int8"
OTHER_FORMATS = ("planes",)  # rows whose methods have the values of others, in other formats


@dataclass(frozen=True, slots=True)
class Case:
    """Methods of the inner layers.

    Attributes:
        entry: Row of the catalogue.
        weights: Method of the weights.
        activations: Method of the activations.
        seed: Of the float model, the order of the samples and everything random.
    """

    entry: str
    weights: str
    activations: str
    seed: int = 0

    @property
    def name(self) -> str:
        """Key in the results."""
        return f"{self.weights}+{self.activations}/{self.seed}"


def list_cases(seeds: int) -> tuple[Case, ...]:
    """Every method that trains with its natural partner, for one seed after the other.

    Args:
        seeds: Seeds of each pair.
    """
    found: dict[Pair, Case] = {}
    used: tuple[set[str], set[str]] = (set(), set())
    for entry in load_catalogue().values():
        for pair in () if entry.id in OTHER_FORMATS else _pairs(entry, used):
            found.setdefault(pair, Case(entry.id, *pair))
    return tuple(replace(case, seed=seed) for seed in range(seeds) for case in found.values())


def _pairs(entry: Entry, used: tuple[set[str], set[str]]) -> list[Pair]:
    """Pairs of one row: those of the paper, and each name that no pair has had yet."""
    pairs = list(PAPERS.get(entry.id, ()))
    pairs += [(name, name) for name in entry.weights if name in entry.activations]
    for names, number in ((entry.weights, 0), (entry.activations, 1)):
        used[number].update(pair[number] for pair in pairs)
        rest = [name for name in names if name not in used[number]]
        pairs += [(name, EIGHT_BITS) if number == 0 else (EIGHT_BITS, name) for name in rest]
    used[1].update(pair[1] for pair in pairs)
    return pairs
