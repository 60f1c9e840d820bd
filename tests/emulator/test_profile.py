"""Profiles are exact: against instructions counted by hand, QEMU's own log, and plain counting."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import PurePosixPath

import numpy as np
import pytest

from tests.bench_layers import Layer, make_graph
from tests.emulator.test_fleet import boards
from tests.mixed_model import mixed_model
from tinyq.codegen import marked_nodes
from tinyq.commands.cli import main
from tinyq.firmware.build import BuildOptions, build
from tinyq.graph import reference
from tinyq.hardware.boards import Board, find_board
from tinyq.measurement.profile import estimate_layers, predict, profile
from tinyq.measurement.profile.cores import classify, core_named, find_constant, find_core
from tinyq.measurement.profile.costs import NOT_TAKEN, TAKEN
from tinyq.measurement.profile.disassembly import disassemble
from tinyq.measurement.run import measure
from tinyq.project import create_project
from tinyq.support.datasets import make_dataset
from tinyq.targets import open_link, open_profiler, qemu, wire
from tinyq.targets.symbols import read_functions

# Beside each instruction: its cycles on a Cortex-M4, what it loads and stores.
MODEL = """
#include "tq_model.h"
void run(const void *input, void *output);
__asm__(
    ".syntax unified\\n .thumb\\n .section .text.run\\n .balign 1024\\n"
    ".space 1014\\n"
    ".type across, %function\\n .thumb_func\\n"
    "across:\\n"  /* a 32-bit instruction lies on both sides of a page of QEMU */
    " subs r4, #1\\n smlad r5, r5, r5, r5\\n nop\\n smlad r6, r5, r5, r6\\n bne across\\n"
    " bx lr\\n"
    ".size across, . - across\\n"
    ".global run\\n .thumb_func\\n .type run, %function\\n"
    "run:\\n push {r4, r5, r6, r7, r8, lr}\\n mov r8, r1\\n sub sp, #8\\n"
    " movs r0, #0\\n bl tq_profile_mark\\n"
    /* layer 0: 1 + 3 + 50 * 5 + 49 * 2 + 3 */
    " movs r4, #50\\n bl across\\n"
    " movs r0, #1\\n bl tq_profile_mark\\n"
    /* layer 1 */
    " ldr r4, 9f\\n"              /* 2, flash */
    " ldr r5, [r4]\\n"            /* 2, flash: needs r4 */
    " ldr r6, [r4, #4]\\n"        /* 1, flash: overlaps */
    " adds r4, #4\\n"             /* 1 */
    " ldr r5, [r4]\\n"            /* 3, flash: waits for r4 */
    " ldrd r5, r6, [r4]\\n"       /* 3, flash twice */
    " ldmia r4, {r5, r6, r7}\\n"  /* 4, flash three times */
    " str r5, [sp, #4]\\n"        /* 1, store */
    " ldr r5, [sp, #4]\\n"        /* 2, RAM */
    " mov r7, sp\\n"              /* 1 */
    " movs r6, #0\\n"             /* 1 */
    " str r5, [r7, r6]\\n"        /* 3, store: register offset, waits for r6 */
    " udiv r5, r5, r4\\n"         /* 8 */
    " movs r0, #2\\n bl tq_profile_mark\\n"
    /* layer 2 */
    " cmp r4, r4\\n it ne\\n"     /* 1, 1 */
    " ldrne r5, [r4]\\n"          /* 2, no access */
    " movs r6, #0\\n nop\\n"      /* 1, 1 */
    " tbb [pc, r6]\\n"            /* 6, reads its table from flash */
    " .byte 1, 1\\n"
    " cbz r6, 1f\\n nop\\n"       /* 3, skips */
    "1: cbnz r6, 2f\\n nop\\n"           /* 1, falls through; 1 */
    "2: movs r0, #3\\n bl tq_profile_mark\\n"
    " strb r6, [r8]\\n add sp, #8\\n"
    " pop {r4, r5, r6, r7, r8, pc}\\n"
    " .balign 4\\n9: .word table\\n"
    ".size run, . - run\\n"
    ".section .rodata.table\\n .balign 4\\ntable: .word 1, 2, 3, 4, 5\\n");
const tq_model tq_model_instance = {"hand", {0}, 1, 1, 0, 3, run, 0, 0, 0, 0, 0};
"""
# movs r0 and the call of the next mark, which the layer before it pays.
CALL_COUNT, CALL_CYCLES = 2, 4
IDLE = {"in", "out", "cli", "nop", "it", "ite", "itt", "itte", "itet", "itee", "ittt", "ittte"}


@pytest.fixture(scope="module")
def hand(tmp_path_factory):
    request_bytes, reply_bytes = wire.payload_bytes(1, 1, 3)
    options = BuildOptions(payload_bytes=request_bytes, reply_bytes=reply_bytes)
    folder = tmp_path_factory.mktemp("profile") / "out"
    return build({PurePosixPath("model.c"): MODEL}, find_board("mps2-an386"), folder, options)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profiled") / "out"
    return create_project(mixed_model(), find_board("mps2-an386"), folder)


def test_costs_equal_those_by_hand(hand):
    loop, loads, branches = estimate_layers(hand, np.zeros(1, np.uint8))
    assert loop.instructions == 1 + 1 + 50 * 5 + 1 + CALL_COUNT
    assert loop.cycles == 1 + 3 + 50 * 5 + 49 * 2 + 3 + CALL_CYCLES
    # The call, 49 times back, the return, the call of the mark.
    assert loop.taken_branches == loop.classes[TAKEN] == 1 + 49 + 1 + 1
    parts = {"ALU": 1 + 50 + 1, "MAC": 2 * 50, "other": 50, TAKEN: 52, NOT_TAKEN: 1}
    assert loop.classes == parts
    assert (loop.flash_loads, loop.ram_loads, loop.stores) == (0, 0, 0)

    assert loads.instructions == 13 + CALL_COUNT
    assert loads.cycles == 2 + 2 + 1 + 1 + 3 + 3 + 4 + 1 + 2 + 1 + 1 + 3 + 8 + CALL_CYCLES
    assert loads.classes == {"load": 7, "store": 2, "ALU": 3 + 1, "divide": 1, TAKEN: 1}
    assert (loads.flash_loads, loads.ram_loads, loads.stores) == (9, 1, 2)

    assert branches.instructions == 9 + CALL_COUNT
    assert branches.cycles == 1 + 1 + 2 + 1 + 1 + 6 + 3 + 1 + 1 + CALL_CYCLES
    assert branches.taken_branches == 3
    assert branches.classes[NOT_TAKEN] == 1
    assert (branches.flash_loads, branches.ram_loads, branches.stores) == (1, 0, 0)


@pytest.mark.parametrize(
    ("core", "cycles"),
    [
        # BL 4, BX 3, taken 3; loads and stores 2.
        ("cortex-m0", 1 + 4 + 50 * 5 + 49 * 2 + 3 + 1 + 4),
        ("cortex-m0plus", 1 + 3 + 50 * 5 + 49 * 1 + 2 + 1 + 3),
        # SMLAD is not there; what stands for it would be a multiply-accumulate of two cycles.
        ("cortex-m3", 1 + 3 + 50 * 7 + 49 * 2 + 3 + 4),
        ("cortex-m33", 1 + 3 + 50 * 5 + 49 * 2 + 3 + 4),
        ("cortex-m7", 1 + 1 + 50 * 5 + 1 + 2),
        ("cortex-m55", None),
    ],
)
def test_each_core_has_its_own_timings(hand, core, cycles):
    assert estimate_layers(hand, np.zeros(1, np.uint8), core_named(core))[0].cycles == cycles


def test_every_address_has_the_count_of_the_emulators_own_log(hand, tmp_path, monkeypatch):
    """QEMU runs one instruction at a time and writes the address of each: no plugin has a part."""
    link = open_profiler(hand)
    with link:
        link.infer(np.zeros((1, 1), np.uint8))
        counts = link.instruction_counts()
    function = read_functions(hand.elf).find("run")
    start, end = function.address - 32, function.address + function.size_bytes
    log = tmp_path / "log"
    command = qemu.machine_command(hand)
    command += ["-singlestep", "-d", "exec,nochain", "-D", str(log), "-dfilter", f"{start}..{end}"]
    monkeypatch.setattr(qemu, "machine_command", lambda image: command)
    with open_link(hand, "qemu") as plain:
        plain.infer(np.zeros((1, 1), np.uint8))
    logged = Counter(
        int(address, 16)
        for address in re.findall(r"^Trace \d+: \S+ \[\w+/(\w+)/", log.read_text(), re.MULTILINE)
    )
    counted = Counter({cost.address: cost.executions for cost in counts.costs})
    around = {address for address in logged if address not in counted}
    assert counted == Counter({at: n for at, n in logged.items() if at in counted})
    assert len(counted) == 36
    # push, mov, sub and the call of mark 0; strb, add and pop.
    assert sorted(logged[address] for address in around) == [1] * 8


def test_a_profile_adds_up_to_plain_counts(project):
    graph = project.graph
    low, high = graph.input.type.format.lo, graph.input.type.format.hi
    values = np.random.default_rng(1).uniform(low, high, (1, *graph.input.type.shape))
    plain = measure(project, "qemu", make_dataset(values))
    codes = {graph.input.name: reference.quantize_input(values, graph.input.type)}
    found = profile(project, codes)
    assert [it.costs.instructions for it in found.layers] == [
        layer.instructions for layer in plain.layers
    ]
    assert found.costs.instructions == plain.instructions
    for part in (found, *found.layers):
        assert sum(part.costs.classes.values()) == part.costs.instructions
        for field in ("instructions", "flash_loads", "ram_loads", "stores", "cycles"):
            total = sum(getattr(kernel.costs, field) for kernel in part.kernels)
            assert total == getattr(part.costs, field)
    assert found.costs.cycles > found.costs.instructions
    assert found.prediction is None


def test_a_board_without_emulator_is_stood_for_by_its_core(tmp_path):
    board = find_board("nucleo-l4r5zi")
    graph = make_graph(Layer("Conv2D", (6, 6, 4), 8), "small", "s8", "s8")
    found = profile(create_project(graph, board, tmp_path / "out"))
    own = profile(create_project(graph, find_board("mps2-an386"), tmp_path / "own"))
    assert (found.board, found.emulated) == ("nucleo-l4r5zi", "mps2-an386")
    assert found.costs == own.costs
    constant = find_constant(board.name)
    assert found.prediction.cycles == predict(found.costs, constant)
    assert found.prediction.cycles == found.costs.cycles + 4.35 * found.costs.flash_loads
    assert sum(it.predicted_cycles for it in found.layers) == pytest.approx(found.prediction.cycles)
    assert found.costs.flash_loads > 0


def cores() -> list:
    """One emulated board of each core."""
    return list({find_core(it.values[0]).name: it for it in boards()}.values())


@pytest.mark.parametrize("board", cores())
def test_every_emulated_core_has_a_profile(board: Board, tmp_path):
    graph = make_graph(Layer("Dense", (40,), 12), "small", "s8", "s8")
    built = create_project(graph, board, tmp_path / "out")
    found = profile(built)
    assert [sum(it.costs.classes.values()) for it in found.layers] == [
        it.costs.instructions for it in found.layers
    ]
    with open_profiler(built.image) as link:
        link.infer(np.zeros((1, graph.input.type.packed_bytes), np.uint8))
        counts = link.instruction_counts()
    executions = Counter(dict.fromkeys(range(len(counts.layers)), 0))
    for cost in counts.costs:
        executions[cost.layer] += cost.executions
    assert [executions[index] for index in sorted(executions)] == [
        layer.total for layer in counts.layers
    ]
    costs = found.costs
    assert costs.flash_loads > 0
    assert costs.ram_loads > 0
    assert costs.stores > 0
    assert 0 < costs.taken_branches < costs.instructions
    timed = find_core(board).cycles is not None
    assert (costs.cycles is not None) == timed
    unknown = {
        it.text.split()[0].split(".")[0]
        for it in disassemble(built.image)
        if classify(found.core.architecture, it.text).group == "other"
        and it.function.startswith(("tq_dense", graph.name))
    }
    assert unknown <= IDLE


def test_the_command_prints_tables_json_and_a_page(project, tmp_path, capsys):
    folder, page = str(project.folder), tmp_path / "page"
    assert main(["profile", folder, "--report", str(page)]) == 0
    shown = capsys.readouterr().out
    for node in marked_nodes(project.graph):
        assert node.name in shown
    assert "cycles are an estimate for Cortex-M4" in shown
    assert "loop in " in shown
    layers = [{"name": node.name, "cycles": 7} for node in marked_nodes(project.graph)]
    measured = {"graph_digest": project.graph_digest, "layers": layers}
    (tmp_path / "measured.json").write_text(json.dumps(measured))
    words = ["--measured", str(tmp_path / "measured.json"), "--core", "cortex-m33", "--json"]
    assert main(["profile", folder, *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["measured"]["cycles"] == 7 * len(layers)
    assert found["core"]["name"] == "cortex-m33"
    written = json.loads((page / "report.json").read_text("utf-8"))
    assert written["counted"] == found["counted"]
    assert "<svg" in (page / "report.html").read_text("utf-8")
    assert main(["profile", folder, "--core", "rv32"]) == 2
    assert "the board has no code that a RISC-V" in capsys.readouterr().err
