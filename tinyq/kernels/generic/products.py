"""The table of products: what a code of one format times one of another is in C.

A generic kernel's template has the loops of its operation; what differs between formats is here,
as expressions over the template's variables: pointers, and offsets into rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tinyq.kernels.base import Bound
from tinyq.kernels.estimates import estimate_instructions
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.leads import NONE
from tinyq.numerics.formats import Format

ACTIVATIONS = ("b1", "s2", "s3", "s4", "s8", "u2", "u4")
WEIGHTS = ("a4", "b1", "c2", "c4", "d2", "d3", "n2", "p4", "s2", "s3", "s4", "s8", "t2")
GROUPED = "g2"  # weights whose rows have a scale for each group
WIDE = ("s16", "s8")  # activations and weights of imported networks with 16-bit activations

_LOOKED_UP = "A weight is looked up among the levels."
_SUMMED = "A weight is a sum of signed numbers of its channel."
_PLANES = "Weights lie in bit planes."
_ABOUT: Mapping[str, str] = MappingProxyType(
    {
        "a4": "A weight is one or two shifts of the code: no multiplication.",
        "b1": "The weights' signs add or subtract the codes.",
        "c2": _LOOKED_UP,
        "c4": _LOOKED_UP,
        "d2": _SUMMED,
        "d3": _SUMMED,
        "g2": "Each group of weights has a scale.",
        "n2": "Codes of positive and of negative weights are summed apart.",
        "p4": "A weight shifts the code: no multiplication.",
        "s2": _PLANES,
        "s3": _PLANES,
        "s4": "Two weights are in a byte, as are two codes.",
        "s8": "Two codes are in a byte.",
        "t2": "Four weights are in a byte.",
    }
)
_ABOUT_PAIRS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("b1", "b1"): "Bits that differ count -1, the others +1: XOR and popcount.",
        ("b1", "s4"): "The signs add or subtract the weights.",
        ("b1", "s8"): "The signs add or subtract the weights.",
        ("s4", "s8"): "Two codes are in a byte.",
        ("b1", "t2"): "Masks say which weights count, popcount adds them.",
        ("s8", "s4"): "Two weights are in a byte.",
        ("s8", "s8"): "Both sides are plain bytes.",
        WIDE: "Both sides are plain integers.",
    }
)
# Weights that a function multiplies by, without making a number of them first.
_MULTIPLIED = ("a4", "c2", "c4", "d2", "d3", "n2", "p4")
_TABLES: Mapping[str, str] = MappingProxyType(
    {"": "", "levels": ", levels", "basis": ", basis", "scales": ", scales"}
)


def bind_shared(layer: LayerSpec, leads: Mapping[int, int] = NONE, **values: object) -> Bound:
    """A generic kernel for a layer, with the expressions of its template."""
    name = "_".join((layer.operation, *layer.formats, "generic"))
    instructions = estimate_instructions(name, layer.work, layer.isas[0] if layer.isas else "")
    return Bound(layer, instructions, leads=leads, values=MappingProxyType(values))


def write_about(*lines: str) -> str:
    """Lines of a comment, behind its opening."""
    return "\n *".join(f" {line}" if line else "" for line in lines)


def list_pointers(layer: LayerSpec, *names: str) -> list[str]:
    """C parameters for operands that are read, in the order of the layer."""
    pairs = zip(layer.inputs, names, strict=True)
    return [f"const {entry.format.c_type} *{name}" for entry, name in pairs]


def read_code(entry: Format, row: str, index: str, at: str = "") -> str:
    """A code as an expression: ``index`` of the row at ``row``, or at an offset behind it."""
    if entry.codes_per_word == 1:
        return f"{row}[{at} + {index}]" if at else f"{row}[{index}]"
    return f"tq_get_{entry.name}({f'{row} + {at}' if at else row}, {index})"


def multiply_rows(layer: LayerSpec, x: str, w: str, length: str, row: str) -> str:
    """The dot product of a row of codes and one of weights, as an expression.

    Args:
        layer: The layer.
        x: Address of the codes.
        w: Address of the weights.
        length: Codes of the row.
        row: Which row of weights it is; scales of groups are looked up by it.
    """
    codes, weights = (entry.format for entry in layer.inputs[:2])
    zero = "" if codes.name == "b1" else ", g->x_zero"
    table = _TABLES[weights.table]
    if weights.table == "basis":
        table = f", basis + {weights.name.removeprefix('d')} * o"
    if weights.table == "scales":
        table = f", scales + {row} * groups, group"
    product = f"tq_dot_{codes.name}_{weights.name}({x}, {w}, {length}{zero}{table})"
    return f"({_find_accumulator(layer)}){product}" if codes.bits > 8 else product


def multiply_codes(layer: LayerSpec) -> str:
    """Code k of the pixel at x_at times weight o of the tap at w_at, as an expression."""
    codes, weights = (entry.format for entry in layer.inputs[:2])
    code = read_code(codes, "x", "k", "x_at")
    if codes.name != "b1":
        code = f"{code} - g->x_zero"
    if weights.name in _MULTIPLIED:
        return f"tq_times_{weights.name}({code}, w + w_at, o{_TABLES[weights.table]})"
    code = code if codes.name == "b1" else f"({code})"
    return f"{read_code(weights, 'w', 'o', 'w_at')} * {code}"


def describe_rows(layer: LayerSpec) -> str:
    """What is particular about formats whose rows are multiplied."""
    codes, weights = (entry.format.name for entry in layer.inputs[:2])
    return _ABOUT_PAIRS.get((codes, weights), _ABOUT[weights])


def describe_codes(layer: LayerSpec) -> str:
    """What is particular about formats whose codes are multiplied one by one."""
    codes, weights = (entry.format.name for entry in layer.inputs[:2])
    if weights == "n2":
        return _LOOKED_UP
    if weights in _MULTIPLIED or _ABOUT[weights] == _PLANES:
        return _ABOUT[weights]
    if codes == "b1":
        return "Binary inputs have no zero point."
    return "The zero point of x is subtracted from each code."


def count_groups(layer: LayerSpec) -> str:
    """Declaration of the groups of a row of weights, empty where they have none."""
    if layer.inputs[1].format.table != "scales":
        return ""
    return "    const int32_t groups = (in_channels + group - 1) / group;\n"


def _find_accumulator(layer: LayerSpec) -> str:
    return layer.finisher.accumulator if layer.finisher else "int32_t"
