"""Compiles generated sources on this machine and runs them on batches of packed inputs."""

from __future__ import annotations

import atexit
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt

from tinyq.codegen import SourceTree, emit
from tinyq.graph import Graph, reference
from tinyq.memory.planner import plan
from tinyq.numerics.formats import Codes

Packed = npt.NDArray[np.uint8]

STRICT = (
    *("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wundef"),
    *("-Wstrict-prototypes", "-Wmissing-prototypes", "-Wcast-qual", "-Werror"),
)
SANITIZE = ("-g", "-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

# Reads inputs of model argv[1] from stdin until the end, writes outputs; each has a block of memory
# of its own. The outputs are filled with a pattern, so that a byte that is not written shows; the
# inputs must stay as they are. A model with state begins a sequence every argv[2] samples.
_MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

{includes}

enum {{ MOST = 16 }};

typedef struct {{
    size_t inputs[MOST];
    size_t outputs[MOST];
    void (*run)(void *const *x, void *const *y);
    void (*reset)(void);
}} model;

{wrappers}

static const model models[] = {{
{entries}
}};

static void make(const size_t *sizes, void **blocks)
{{
    for (int i = 0; i < MOST; i++) {{
        blocks[i] = sizes[i] ? malloc(sizes[i]) : NULL;
    }}
}}

int main(int argc, char **argv)
{{
    const model chosen = models[argc > 1 ? atoi(argv[1]) : 0];
    const int steps = argc > 2 ? atoi(argv[2]) : 1;
    void *x[MOST], *copies[MOST], *y[MOST];
    make(chosen.inputs, x);
    make(chosen.inputs, copies);
    make(chosen.outputs, y);
    for (int step = 0;; step++) {{
        if (chosen.reset && step && step % steps == 0) {{
            chosen.reset();
        }}
        for (int i = 0; i < MOST && chosen.inputs[i]; i++) {{
            if (fread(x[i], 1, chosen.inputs[i], stdin) != chosen.inputs[i]) {{
                goto end;
            }}
            memcpy(copies[i], x[i], chosen.inputs[i]);
        }}
        for (int i = 0; i < MOST && chosen.outputs[i]; i++) {{
            memset(y[i], 0xa5, chosen.outputs[i]);
        }}
        chosen.run(x, y);
        for (int i = 0; i < MOST && chosen.inputs[i]; i++) {{
            if (memcmp(copies[i], x[i], chosen.inputs[i]) != 0) {{
                fprintf(stderr, "the model wrote into its input\\n");
                return 3;
            }}
        }}
        for (int i = 0; i < MOST && chosen.outputs[i]; i++) {{
            fwrite(y[i], 1, chosen.outputs[i], stdout);
        }}
    }}
end:
    for (int i = 0; i < MOST; i++) {{
        free(x[i]);
        free(copies[i]);
        free(y[i]);
    }}
    return 0;
}}
"""


class SanitizerError(AssertionError):
    """The program crashed, or a sanitizer stopped it; the message is its report."""


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled model: call it with packed inputs.

    Attributes:
        executable: Holds one model or several.
        index: Which of them.
        input_bytes: Packed bytes of the inputs of a sample.
        output_bytes: Packed bytes of its outputs.
    """

    executable: Path
    index: int
    input_bytes: int
    output_bytes: int

    def __call__(self, inputs_packed: Packed, steps: int = 1) -> Packed:
        """Run a batch.

        Args:
            inputs_packed: uint8, shape (batch, input_bytes).
            steps: Of a sequence, where the model keeps state.

        Returns:
            uint8, shape (batch, output_bytes).

        Raises:
            SanitizerError: The program failed.
        """
        inputs = np.ascontiguousarray(inputs_packed, np.uint8)
        assert inputs.shape[1:] == (self.input_bytes,), (inputs.shape, self.input_bytes)
        done = subprocess.run(
            [str(self.executable), str(self.index), str(steps)],
            input=inputs.tobytes(),
            capture_output=True,
        )
        if done.returncode:
            raise SanitizerError(f"exit {done.returncode}\n{done.stderr.decode(errors='replace')}")
        return np.frombuffer(done.stdout, np.uint8).reshape(len(inputs), self.output_bytes)


def compile_models(
    trees: Sequence[SourceTree], compiler: str = "gcc", flags: Sequence[str] = SANITIZE
) -> list[Program]:
    """Compile several models of different names into one executable: one compiler start for all."""
    folder = Path(tempfile.mkdtemp(prefix="tinyq-host-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for tree in trees:
        for path, text in tree.files.items():
            (folder / path).write_text(text, "utf-8")
    names = [tree.name for tree in trees]
    assert len(set(names)) == len(names), "models of one executable need different names"
    (folder / "harness_main.c").write_text(_write_main(trees), "utf-8")
    sources = [f"{name}.c" for name in names]
    compile_c(folder, ["harness_main.c", *sources], compiler, (*STRICT, *flags))
    return [
        Program(folder / "program", index, *(sum(side.values()) for side in read_ports(tree)))
        for index, tree in enumerate(trees)
    ]


def compile_model(
    tree: SourceTree, compiler: str = "gcc", flags: Sequence[str] = SANITIZE
) -> Program:
    """Compile a model, by default with AddressSanitizer and UndefinedBehaviorSanitizer."""
    return compile_models([tree], compiler, flags)[0]


def compile_c(folder: Path, sources: Sequence[str], compiler: str, flags: Sequence[str]) -> None:
    """Compile C files of a folder to ``folder/program``; a warning is an AssertionError."""
    done = subprocess.run(
        [compiler, *flags, *sources, "-o", "program"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{compiler} {' '.join(flags)}\n{done.stderr[:8000]}"


def differences(graph: Graph, program: Program, inputs: Codes) -> int:
    """How many output codes differ from the reference; -1 where padding bits differ alone."""
    return named_differences(graph, program, {graph.input.name: inputs})


def named_differences(graph: Graph, program: Program, inputs: Mapping[str, Codes]) -> int:
    """The same for a graph of any number of inputs and outputs."""
    return _count_differences(graph, program, inputs, reference.run_named(graph, inputs))


def sequence_differences(graph: Graph, program: Program, inputs: Mapping[str, Codes]) -> int:
    """The same for sequences of steps, shapes (sequences, steps, *input shape)."""
    expected = reference.run_sequences(graph, inputs)
    steps = next(iter(inputs.values())).shape[1]
    flat, wanted = (
        {name: codes.reshape(-1, *codes.shape[2:]) for name, codes in side.items()}
        for side in (inputs, expected)
    )
    return _count_differences(graph, program, flat, wanted, steps)


def _count_differences(
    graph: Graph,
    program: Program,
    inputs: Mapping[str, Codes],
    expected: Mapping[str, Codes],
    steps: int = 1,
) -> int:
    wanted = _join(graph, expected)
    got = program(_join(graph, {name: inputs[name] for name in graph.inputs}), steps)
    if np.array_equal(got, wanted):
        return 0
    count, start = 0, 0
    for name, codes in expected.items():
        output = graph.tensors[name].type
        part = got[:, start : start + output.packed_bytes]
        rows = part.reshape(len(part), -1, output.format.row_bytes(output.shape[-1]))
        found = output.format.unpack(rows, output.shape[-1]).reshape(codes.shape)
        count += int((found != codes).sum())
        start += output.packed_bytes
    return count or -1


def _join(graph: Graph, codes: Mapping[str, Codes]) -> Packed:
    """Packed tensors one behind the other, a line of bytes for each sample."""
    parts = [
        pack_rows(graph.tensors[name].type.format.pack(values), len(values))
        for name, values in codes.items()
    ]
    return np.concatenate(parts, axis=1)


def pack_rows(packed: Packed, batch: int) -> Packed:
    """Packed tensors as one line of bytes for each sample."""
    return packed.reshape(batch, -1)


def check_graph(
    graph: Graph, inputs: Codes, compiler: str = "gcc", flags: Sequence[str] = SANITIZE
) -> None:
    """Emit, compile, run, compare with the reference; any difference is an AssertionError."""
    program = compile_model(emit(graph, plan(graph)), compiler, flags)
    found = differences(graph, program, inputs)
    assert found == 0, f"{graph.name}: {found} codes differ from the reference"


def _write_main(trees: Sequence[SourceTree]) -> str:
    return _MAIN.format(
        includes="\n".join(f'#include "{tree.name}.h"' for tree in trees),
        wrappers="\n".join(map(_write_wrapper, range(len(trees)), trees)),
        entries="\n".join(map(_write_entry, range(len(trees)), trees)),
    )


def _write_wrapper(index: int, tree: SourceTree) -> str:
    inputs, outputs = map(len, read_ports(tree))
    arguments = [*(f"x[{it}]" for it in range(inputs)), *(f"y[{it}]" for it in range(outputs))]
    return (
        f"static void wrap_{index}(void *const *x, void *const *y)\n"
        f"{{\n    {tree.name}_run({', '.join(arguments)});\n}}"
    )


def _write_entry(index: int, tree: SourceTree) -> str:
    sides = [
        ", ".join(f"{tree.name.upper()}_{label.upper()}_BYTES" for label in side)
        for side in read_ports(tree)
    ]
    header = tree.files[PurePath(f"{tree.name}.h")]
    reset = f"{tree.name}_reset" if f"void {tree.name}_reset(void);" in header else "NULL"
    return f"    {{{{{sides[0]}}}, {{{sides[1]}}}, wrap_{index}, {reset}}},"


def read_ports(tree: SourceTree) -> tuple[dict[str, int], dict[str, int]]:
    """Labels and bytes of inputs and outputs, as the header says them."""
    header = tree.files[PurePath(f"{tree.name}.h")]
    prototype = re.search(rf"^void {tree.name}_run\(([^;]*)\);", header, re.MULTILINE)
    assert prototype is not None
    sides: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for parameter in prototype[1].split(","):
        label = re.split(r"[ \[]", parameter.strip())[-2]
        size = re.search(rf"{tree.name.upper()}_{label.upper()}_BYTES (\d+)", header)
        assert size is not None, label
        sides[0 if "const " in parameter else 1][label] = int(size[1])
    return sides
