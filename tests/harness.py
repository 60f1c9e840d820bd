"""Compiles generated sources on this machine and runs them on batches of packed inputs."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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

# Reads inputs of model argv[1] from stdin until the end, writes outputs. The output is filled with
# a pattern, so that a byte that is not written shows; the input must stay as it is.
_MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

{includes}

typedef struct {{
    size_t input_bytes;
    size_t output_bytes;
    void (*run)(const void *input, void *output);
}} model;

{wrappers}

static const model models[] = {{
{entries}
}};

int main(int argc, char **argv)
{{
    const model chosen = models[argc > 1 ? atoi(argv[1]) : 0];
    unsigned char *input = malloc(chosen.input_bytes);
    unsigned char *copy = malloc(chosen.input_bytes);
    unsigned char *output = malloc(chosen.output_bytes);
    while (fread(input, 1, chosen.input_bytes, stdin) == chosen.input_bytes) {{
        memcpy(copy, input, chosen.input_bytes);
        memset(output, 0xa5, chosen.output_bytes);
        chosen.run(input, output);
        if (memcmp(copy, input, chosen.input_bytes) != 0) {{
            fprintf(stderr, "the model wrote into its input\\n");
            return 3;
        }}
        fwrite(output, 1, chosen.output_bytes, stdout);
    }}
    free(input);
    free(copy);
    free(output);
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
        input_bytes: Packed bytes of one input.
        output_bytes: Packed bytes of one output.
    """

    executable: Path
    index: int
    input_bytes: int
    output_bytes: int

    def __call__(self, inputs_packed: Packed) -> Packed:
        """Run a batch.

        Args:
            inputs_packed: uint8, shape (batch, input_bytes).

        Returns:
            uint8, shape (batch, output_bytes).

        Raises:
            SanitizerError: The program failed.
        """
        inputs = np.ascontiguousarray(inputs_packed, np.uint8)
        assert inputs.shape[1:] == (self.input_bytes,), (inputs.shape, self.input_bytes)
        done = subprocess.run(
            [str(self.executable), str(self.index)], input=inputs.tobytes(), capture_output=True
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
    (folder / "harness_main.c").write_text(_write_main(names), "utf-8")
    sources = [f"{name}.c" for name in names]
    compile_c(folder, ["harness_main.c", *sources], compiler, (*STRICT, *flags))
    return [
        Program(folder / "program", index, *_read_sizes(folder, name))
        for index, name in enumerate(names)
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
    expected = reference.run(graph, inputs)
    packed = pack_rows(graph.input.type.format.pack(inputs), len(inputs))
    wanted = pack_rows(graph.output.type.format.pack(expected), len(inputs))
    got = program(packed)
    if np.array_equal(got, wanted):
        return 0
    output = graph.output.type
    rows = got.reshape(len(inputs), -1, output.format.row_bytes(output.shape[-1]))
    codes = output.format.unpack(rows, output.shape[-1]).reshape(expected.shape)
    return int((codes != expected).sum()) or -1


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


def _write_main(names: Sequence[str]) -> str:
    return _MAIN.format(
        includes="\n".join(f'#include "{name}.h"' for name in names),
        wrappers="\n".join(
            f"static void wrap_{index}(const void *input, void *output)\n"
            f"{{\n    {name}_run(input, output);\n}}"
            for index, name in enumerate(names)
        ),
        entries="\n".join(
            f"    {{{name.upper()}_INPUT_BYTES, {name.upper()}_OUTPUT_BYTES, wrap_{index}}},"
            for index, name in enumerate(names)
        ),
    )


def _read_sizes(folder: Path, name: str) -> tuple[int, int]:
    header = (folder / f"{name}.h").read_text("utf-8").split()
    sizes = [
        int(header[header.index(f"{name.upper()}_{side}_BYTES") + 1])
        for side in ("INPUT", "OUTPUT")
    ]
    return sizes[0], sizes[1]
