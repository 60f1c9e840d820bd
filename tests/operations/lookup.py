"""Any function of one 8-bit code, as a table."""

from __future__ import annotations

import numpy as np

from tests.drawing.bench import draw_rows
from tests.drawing.formulas import rows
from tests.drawing.graphs import draw_code, is_codes
from tests.drawing.registry import bench_case, formula, step
from tinyq.graph.ops.lookup import Lookup


@step(is_codes)
def add_lookup(drawing, source: str) -> str:
    table = drawing.rng.integers(-128, 128, 256)
    if drawing.chance(0.3):
        table = np.clip(np.arange(-128, 128), draw_code(drawing), 127)
    name = drawing.constant("table", table, "s8")
    return drawing.apply(Lookup(0.5, draw_code(drawing)), source, name)


@bench_case("lookup")
def draw_case(draw, kernel):
    shape = draw_rows(draw)
    return Lookup(0.5, draw.zero_point("s8")), [(shape, "s8"), ((256,), "s8")]


@formula("Lookup")
def compute(op, x, table):
    return rows(lambda row: [table[code + 128] for code in row], x)
