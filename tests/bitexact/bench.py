"""A test bench for kernels: all of them in one program, which takes case after case from a pipe.

Geometry, constants and data of a case come at run time, each in a block of memory of its own
size, so one start of the compiler serves thousands of cases and a sanitizer sees every byte that
a kernel touches outside its operands.
"""

from __future__ import annotations

import atexit
import itertools
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.harness import STRICT, SanitizerError, compile_c
from tinyq.codegen.emit import list_runtime
from tinyq.graph import Op, TensorType
from tinyq.graph.accumulating import Accumulating
from tinyq.kernels.base import Bound, Kernel
from tinyq.kernels.epilogues import EpilogueFunction
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.text import write_epilogue, write_kernel
from tinyq.numerics.formats import find_format

_MAIN = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

{includes}

{structs}

{functions}

typedef void (*wrapper)(void *const *x, const int32_t *geometry, int32_t *const *tables,
                        const int32_t *finishing, void *y);

{wrappers}

static const wrapper wrappers[] = {{{names}}};

static void take(void *target, size_t bytes)
{{
    if (fread(target, 1, bytes, stdin) != bytes) {{
        exit(4);
    }}
}}

static void *take_block(size_t bytes)
{{
    void *block = malloc(bytes);
    take(block, bytes);
    return block;
}}

/* A case: index, operands, tables, geometry, finishing, bytes of y, operand that y shares or -1;
 * then for each operand and table its bytes and content, then the other blocks.
 */
int main(void)
{{
    int32_t head[7];
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {{
        void *operands[8];
        int32_t *tables[5];
        int32_t bytes[9];
        for (int32_t i = 0; i < head[1]; i++) {{
            take(&bytes[i], 4);
            operands[i] = take_block((size_t)bytes[i]);
        }}
        for (int32_t i = 0; i < head[2]; i++) {{
            take(&bytes[8], 4);
            tables[i] = take_block((size_t)bytes[8]);
        }}
        int32_t *geometry = take_block((size_t)head[3] * 4);
        int32_t *finishing = take_block((size_t)head[4] * 4);
        void *y = head[6] < 0 ? malloc((size_t)head[5]) : operands[head[6]];
        if (head[6] < 0) {{
            memset(y, 0xa5, (size_t)head[5]);
        }}
        wrappers[head[0]](operands, geometry, tables, finishing, y);
        fwrite(y, 1, (size_t)head[5], stdout);
        if (head[6] < 0) {{
            free(y);
        }}
        for (int32_t i = 0; i < head[1]; i++) {{
            free(operands[i]);
        }}
        for (int32_t i = 0; i < head[2]; i++) {{
            free(tables[i]);
        }}
        free(geometry);
        free(finishing);
    }}
    return 0;
}}
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One application of an operation to one sample.

    Attributes:
        op: The operation.
        types: Types of all inputs, in the order of the node.
        codes: Their codes, without a batch axis.
        kernel: The kernel under test.
        epilogue: Its epilogue, or None.
        shares: Operand whose buffer the output takes over, or -1.
    """

    op: Op
    types: tuple[TensorType, ...]
    codes: tuple[np.ndarray, ...]
    kernel: Kernel
    epilogue: EpilogueFunction | None
    shares: int = -1

    @property
    def operand_count(self) -> int:
        return self.op.operands if isinstance(self.op, Accumulating) else len(self.types)

    @property
    def output(self) -> TensorType:
        return self.op.infer(*self.types)

    @property
    def finishing(self) -> dict[str, int]:
        return self.op.output.geometry() if isinstance(self.op, Accumulating) else {}

    @property
    def arrays(self) -> dict[str, tuple[int, ...]]:
        return self.op.output.arrays() if isinstance(self.op, Accumulating) else {}

    @property
    def geometry(self) -> dict[str, int]:
        named = self.op.geometry(*self.types)
        return {key: value for key, value in named.items() if key not in self.finishing}

    @property
    def bound(self) -> Bound:
        """The kernel for these formats; sizes come at run time."""
        inputs = self.types[: self.operand_count]
        epilogue = self.epilogue.epilogue if self.epilogue else ""
        found = self.kernel.bind(
            LayerSpec(
                name="case",
                inputs=inputs,
                output=self.output,
                operands=(None,) * len(inputs),
                data=(),
                epilogue=epilogue,
                constants={},
                geometry={},
                isas=(self.kernel.isa,),
                operation=self.op.kernel,
                formats=self.kernel.formats,
            )
        )
        assert isinstance(found, Bound), found
        return found

    @property
    def function(self) -> str:
        """C name of the kernel."""
        return self.bound.function

    @property
    def text(self) -> str:
        """C text of the kernel."""
        return write_kernel(self.bound, self.function, lambda _: True)

    def expect(self) -> np.ndarray:
        """Packed bytes that the reference computes; data alone get a batch axis."""
        count = self.operand_count
        batched = [
            codes[None] if index in self.op.batched else codes
            for index, codes in enumerate(self.codes[:count])
        ]
        result = self.op.run(*batched, *self.codes[count:])[0]
        assert self.output.format.contains(result)
        return self.output.format.pack(result).reshape(-1)

    def encode(self, index: int, alignment: int = 1) -> bytes:
        """The case for the program: each block behind its size, filled up to ``alignment``."""
        count = self.operand_count
        packed = []
        for entry, codes in zip(self.types[:count], self.codes[:count], strict=True):
            packed.append(entry.format.pack(codes).tobytes())
            if entry.format.table:
                packed.append(np.array(entry.format.values, np.int8).tobytes())
            packed += [np.array([size], "<i4").tobytes() for size in entry.format.coding.sizes]
        tables = [codes.astype("<i4").tobytes() for codes in self.codes[count:]]
        geometry, finishing = list(self.geometry.values()), list(self.finishing.values())
        for values in self.arrays.values():
            finishing += values
        head = [
            *(index, len(packed), len(tables)),
            *(len(geometry), len(finishing), self.output.packed_bytes, self.shares),
        ]
        blocks = [np.array(head, "<i4").tobytes()]
        for block in (*packed, *tables):
            padding = bytes(-len(block) % alignment)
            blocks += [np.array([len(block)], "<i4").tobytes(), block, padding]
        return b"".join([*blocks, np.array([*geometry, *finishing], "<i4").tobytes()])


def run_cases(cases: Sequence[Case], compiler: str, flags: Sequence[str]) -> list[np.ndarray]:
    """Packed outputs of all cases.

    Raises:
        SanitizerError: The program failed.
    """
    samples = {case.function: case for case in cases}
    order = sorted(samples)
    folder = Path(tempfile.mkdtemp(prefix="tinyq-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for path in list_runtime():
        shutil.copy(path, folder)
    (folder / "bench.c").write_text(_write_program([samples[name] for name in order]), "utf-8")
    compile_c(folder, ["bench.c"], compiler, (*STRICT, *flags))
    content = b"".join(case.encode(order.index(case.function)) for case in cases)
    done = subprocess.run([str(folder / "program")], input=content, capture_output=True)
    if done.returncode:
        raise SanitizerError(f"exit {done.returncode}\n{done.stderr.decode(errors='replace')}")
    sizes = np.cumsum([case.output.packed_bytes for case in cases])
    results = np.frombuffer(done.stdout, np.uint8)
    assert len(results) == sizes[-1]
    return np.split(results, sizes[:-1])


def _write_program(samples: Sequence[Case]) -> str:
    return write_program(samples, _MAIN)


def write_program(samples: Sequence[Case], skeleton: str) -> str:
    """Kernels and what calls each with a case, filled into a program.

    Args:
        samples: One case for each kernel and epilogue, in the order of their indexes.
        skeleton: Text with the places ``includes``, ``structs``, ``functions``, ``wrappers`` and
            ``names``.
    """
    structs: dict[str, str] = {}
    epilogues: dict[str, str] = {}
    functions, wrappers, names = [], [], []
    for case in samples:
        geometry = f"tq_{case.op.kernel}_geometry"
        structs[geometry] = _write_struct(geometry, [f"int32_t {key}" for key in case.geometry])
        if case.epilogue and isinstance(case.op, Accumulating):
            tables = [f"const int32_t *{key}" for key in case.op.output.names]
            fields = [*tables, *(f"int32_t {key}" for key in case.finishing)]
            fields += [f"int8_t {key}[{len(values)}]" for key, values in case.arrays.items()]
            structs[case.epilogue.struct] = _write_struct(case.epilogue.struct, fields)
            epilogues[case.epilogue.name] = write_epilogue(case.epilogue)
        functions.append(case.text)
        wrappers.append(_write_wrapper(case, geometry))
        names.append(f"wrap_{case.function}")
    return skeleton.format(
        includes="\n".join(f'#include "{path.name}"' for path in list_runtime()),
        structs="\n\n".join(structs.values()),
        functions="\n\n".join([*epilogues.values(), *functions]),
        wrappers="\n\n".join(wrappers),
        names=", ".join(names),
    )


def _write_struct(name: str, fields: Sequence[str]) -> str:
    return "typedef struct {\n" + "".join(f"    {field};\n" for field in fields) + f"}} {name};"


def _write_wrapper(case: Case, geometry: str) -> str:
    formats = [entry.format for entry in case.types[: case.operand_count]]
    blocks = itertools.count()
    arguments = []
    for entry in formats:
        arguments += [f"x[{next(blocks)}]" for _ in range(1 + bool(entry.table))]
        arguments += [f"*(const int32_t *)x[{next(blocks)}]" for _ in entry.coding.sizes]
    arguments.append("&g")
    lines = [f"    {geometry} g;", "    memcpy(&g, geometry, sizeof g);"]
    if case.epilogue and isinstance(case.op, Accumulating):
        tables = [f"tables[{index}]" for index in range(len(case.op.output.names))]
        values = [f"finishing[{index}]" for index in range(len(case.finishing))]
        place = len(values)
        for array in case.arrays.values():
            items = (f"(int8_t)finishing[{place + index}]" for index in range(len(array)))
            values.append(f"{{{', '.join(items)}}}")
            place += len(array)
        lines.append(
            f"    const {case.epilogue.struct} epilogue = {{{', '.join([*tables, *values])}}};"
        )
        arguments.append("&epilogue")
    lines.append("    (void)tables;\n    (void)finishing;")
    lines.append(f"    {case.function}({', '.join([*arguments, 'y'])});")
    return (
        f"static void wrap_{case.function}(void *const *x, const int32_t *geometry,\n"
        "    int32_t *const *tables, const int32_t *finishing, void *y)\n{\n"
        + "\n".join(lines)
        + "\n}"
    )


def type_of(shape: tuple[int, ...], name: str) -> TensorType:
    return TensorType(shape, find_format(name))
