"""Decoding, pricing, loops, pages and messages of a profile, without an emulator."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from tinyq.commands.cli import main
from tinyq.errors import BoardError, DataError, FileError
from tinyq.hardware.boards import find_board, load_boards
from tinyq.measurement.profile import cores, predict
from tinyq.measurement.profile.cores import (
    classify,
    core_named,
    cycles_of,
    find_constant,
    find_core,
)
from tinyq.measurement.profile.costs import add_up, price_layers
from tinyq.measurement.profile.disassembly import Instruction, parse, read_registers
from tinyq.measurement.profile.loops import find_loops
from tinyq.measurement.profile.page import read_measured, render_page, write_page
from tinyq.measurement.profile.result import LayerProfile, Prediction, Profile
from tinyq.support.plot.bars import draw_bars
from tinyq.targets.counts import AddressCost

LISTING = """
00000040 <answer>:
answer():
/somewhere/core/main.c:200 (discriminator 2)
      40:\tldr\tr3, [pc, #20]\t@ (58 <answer+0x18>)
      42:\tldrb.w\tr2, [r3], #1
      46:\tsubs\tr0, #1
./core/main.c:201
      48:\tbne.n\t42 <answer+0x2>
      4a:\tbx\tlr
      4c:\t.word\t0x00000000
"""
COUNTS = (
    AddressCost(0, 0x40, 1, 0, 1, 0, 0),
    AddressCost(0, 0x42, 5, 0, 0, 5, 0),
    AddressCost(0, 0x46, 5, 0, 0, 0, 0),
    AddressCost(0, 0x48, 5, 4, 0, 0, 0),
    AddressCost(0, 0x4A, 1, 1, 0, 0, 0),
)


@pytest.mark.parametrize(
    ("text", "kind", "group"),
    [
        ("ldrne.w r3, [r0, #4]", "load", "load"),
        ("ldrhi r3, [r0]", "load", "load"),
        ("ldrsh.w r3, [r0], #2", "load", "load"),
        ("ldrd r2, r3, [r0]", "load_double", "load"),
        ("ldmia.w r1!, {r6, r7}", "load_multiple", "load"),
        ("pop {r4, pc}", "return", "load"),
        ("strh r1, [r2, r3]", "store_register", "store"),
        ("strb.w r1, [r2, #4]", "store", "store"),
        ("push {r4, lr}", "store_multiple", "store"),
        ("bls.n 42 <x>", "branch", "branch"),
        ("blt 42 <x>", "branch", "branch"),
        ("bl 42 <x>", "call", "branch"),
        ("bleq 42 <x>", "call", "branch"),
        ("le lr, 42 <x>", "branch", "branch"),
        ("tbb [pc, r6]", "table_branch", "branch"),
        ("bics r1, r2", "alu", "ALU"),
        ("lsls r1, r2, #3", "alu", "ALU"),
        ("movs r0, #1", "alu", "ALU"),
        ("teq r0, #1", "compare", "ALU"),
        ("mls r0, r1, r2, r3", "mac", "MAC"),
        ("smlad r0, r1, r2, r3", "mac", "MAC"),
        ("smlald r0, r1, r2, r3", "mac_long", "MAC"),
        ("smlal r0, r1, r2, r3", "mac_long", "MAC"),
        ("smmlar r0, r1, r2, r3", "mac", "MAC"),
        ("smull r0, r1, r2, r3", "multiply_long", "multiply"),
        ("muls r0, r1", "multiply", "multiply"),
        ("sxtab16 r0, r1, r2, ror #8", "dsp", "DSP"),
        ("ssat r0, #8, r1", "dsp", "DSP"),
        ("qadd8 r0, r1, r2", "dsp", "DSP"),
        ("udiv r0, r1, r2", "divide", "divide"),
        ("vldrb.8 q0, [r0], #16", "vector_load", "load"),
        ("vldrbt.s32 q0, [r0]", "vector_load", "load"),
        ("vmladava.s8 r0, q0, q1", "mac", "MAC"),
        ("vpst", "vector", "vector"),
        ("ite ne", "other", "other"),
        ("nop", "other", "other"),
    ],
)
def test_arm_instructions_have_kinds(text, kind, group):
    found = classify("arm", text)
    assert (found.name, found.group) == (kind, group)


@pytest.mark.parametrize(
    ("architecture", "text", "group", "access"),
    [
        ("riscv", "lbu a0,0(a1)", "load", None),
        ("riscv", "bnez a0,80000040 <x>", "branch", None),
        ("riscv", "mulh a0,a1,a2", "multiply", None),
        ("riscv", "addi a0,a0,1", "ALU", None),
        ("riscv", "remu a0,a0,a1", "divide", None),
        ("avr", "lpm r24, Z+", "load", "flash"),
        ("avr", "ldd r24, Y+1", "load", "other"),
        ("avr", "std Y+1, r24", "store", "store"),
        ("avr", "brne .-10", "branch", None),
        ("avr", "ret", "branch", None),
        ("avr", "mulsu r16, r17", "multiply", None),
    ],
)
def test_other_instructions_have_classes(architecture, text, group, access):
    found = classify(architecture, text)
    assert (found.group, found.access) == (group, access)


def test_registers_of_an_instruction():
    assert read_registers("ldr.w r3, [r0, r1, lsl #2]").address == {"r0", "r1"}
    assert read_registers("ldr.w r3, [r0, r1, lsl #2]").results == {"r3"}
    assert read_registers("ldrd sl, fp, [r0], #8").results == {"sl", "fp"}
    assert read_registers("smlal r2, r3, r4, r5").results == {"r2", "r3"}
    assert read_registers("ldmia.w r1!, {r6, r7, pc}").listed == 3
    assert read_registers("ldmia.w r1!, {r6, r7, pc}").address == {"r1"}
    assert read_registers("vpush {d8-d11}").listed == 4
    assert read_registers("push {r4, lr}").address == frozenset()


def test_a_listing_is_read():
    found = parse(LISTING)
    assert [it.address for it in found] == [0x40, 0x42, 0x46, 0x48, 0x4A]
    assert found[0] == Instruction(0x40, "ldr r3, [pc, #20]", "answer", None, "main.c:200")
    assert found[3] == Instruction(0x48, "bne.n 42 <answer+0x2>", "answer", 0x42, "main.c:201")


def test_costs_of_a_listing():
    (lines,) = price_layers(parse(LISTING), COUNTS, core_named("cortex-m4"), 1)
    costs = add_up(lines, core_named("cortex-m4"))
    assert costs.instructions == sum(count.executions for count in COUNTS)
    # LDR 2, five LDRB 2 each (the first needs r3), SUBS, BNE 1 and 2 more when taken, BX 3.
    assert costs.cycles == 2 + 10 + 5 + 5 + 8 + 3
    assert (costs.flash_loads, costs.ram_loads) == (1, 5)
    counts_only = core_named("cortex-m55")
    (bare,) = price_layers(parse(LISTING), COUNTS, counts_only, 1)
    assert add_up(bare, counts_only).cycles is None


def test_a_load_overlaps_an_independent_one_only_when_it_follows():
    instructions = parse(LISTING.replace("[r3], #1", "[r4], #1"))
    (lines,) = price_layers(instructions, COUNTS, core_named("cortex-m4"), 1)
    # The first of five follows the load, the others the branch.
    assert [line.cycles for line in lines] == [2, 10 - 1, 5, 5 + 8, 3]


def test_a_loop_is_found_with_its_own_costs():
    (lines,) = price_layers(parse(LISTING), COUNTS, core_named("cortex-m4"), 1)
    (loop,) = find_loops(lines, 3)
    assert (loop.function, loop.repeats, loop.instructions) == ("answer", 4, 15)
    assert [step.address for step in loop.steps] == [0x42, 0x46, 0x48]
    assert loop.cycles == 10 + 5 + 5 + 8


def test_the_inner_loop_does_not_count_for_the_outer():
    nested = LISTING.replace("bx\tlr", "bne.n\t40 <answer>")
    counts = [
        replace(count, executions=2 * count.executions, taken=2 * count.taken) for count in COUNTS
    ]
    counts[4] = AddressCost(0, 0x4A, 2, 1, 0, 0, 0)
    (lines,) = price_layers(parse(nested), counts, core_named("cortex-m7"), 1)
    inner, outer = find_loops(lines, 3)
    assert (inner.instructions, outer.instructions) == (30, 4)
    assert len(outer.steps) == 5
    assert find_loops(lines, 1) == (inner,)


def test_every_table_is_whole():
    for name in cores.core_names():
        core = core_named(name)
        assert core.source
        kinds = {kind.name for _, kind in cores._kinds(core.architecture)}
        assert set(core.cycles or {"other": 1}) <= kinds | {"other"}
        assert (core.counts_on is None) == (core.architecture != "arm")
        if core.counts_on:
            assert find_board(core.counts_on).qemu_machine
    for name in ("nrf5340-dk", "nucleo-l4r5zi"):
        constant = find_constant(name)
        board = find_board(name)
        assert constant.core == find_core(board).name
        assert constant.clock_hz == board.clock_hz
    assert find_constant("microbit-v1") is None


def test_every_board_that_tinyq_builds_for_has_a_core():
    for board in load_boards().values():
        if board.startup is not None:
            assert find_core(board).title
    with pytest.raises(BoardError, match="no emulated core stands for A process on this machine"):
        find_core(find_board("host"))
    with pytest.raises(BoardError, match="cortex-m0plus"):
        core_named("cortex-m99")


def test_cycles_of_a_list_of_registers():
    core = core_named("cortex-m4")
    assert cycles_of(core, "load_multiple", 4) == 5
    assert cycles_of(core, "alu", 0) == 1


@pytest.fixture
def found() -> Profile:
    core = core_named("cortex-m4")
    (lines,) = price_layers(parse(LISTING), COUNTS, core, 1)
    costs = add_up(lines, core)
    constant = find_constant("nucleo-l4r5zi")
    cycles = predict(costs, constant)
    layer = LayerProfile(
        "a<b", "dense", "s8[4] -> s8[4]", 16, costs, cycles, (), find_loops(lines, 1)
    )
    prediction = Prediction("nucleo-l4r5zi", cycles, constant.clock_hz, constant.error, "x")
    return Profile(
        *(
            "model",
            "nucleo-l4r5zi",
            "mps2-an386",
            core,
            costs,
            prediction,
            16_000_000,
            (layer,),
            (),
        ),
        *("0" * 64, "1" * 64, "gcc", "0", ("a note",)),
    )


def test_milliseconds_of_a_core_and_of_a_board(found):
    assert found.milliseconds == found.prediction.milliseconds
    assert replace(found, prediction=None).milliseconds == pytest.approx(33 / 16e3)
    assert replace(found, prediction=None, clock_hz=0).milliseconds is None


def test_counts_estimates_and_measurements_stay_apart(found):
    plain = found.to_json({"a<b": 77})
    assert plain["counted"]["instructions"] == 17
    assert plain["estimated"] == {
        "cycles": 33,
        "board_cycles": 33 + 4.35,
        "milliseconds": 1e3 * (33 + 4.35) / found.prediction.clock_hz,
    }
    assert plain["measured"] == {"cycles": 77}
    assert plain["layers"][0]["measured"] == {"cycles": 77}
    assert "cycles" not in plain["counted"]
    assert found.to_json()["measured"] == {"cycles": None}
    assert json.loads(json.dumps(plain))["layers"][0]["loops"][0]["repeats"] == 4


def test_the_page_is_whole(found, tmp_path):
    page = write_page(found, {"a<b": 77}, tmp_path / "out")
    text = page.read_text("utf-8")
    assert "a&lt;b" in text
    assert "a<b" not in text
    assert "cycles, measured" in text
    assert "ldrb.w r2, [r3], #1" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert json.loads((page.parent / "report.json").read_text("utf-8"))["model"] == "model"
    without = render_page(replace(found, core=core_named("cortex-m55"), prediction=None))
    assert "cycles, measured" not in without
    with pytest.raises(FileError, match="cannot be used"):
        write_page(found, None, page)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "is no report"),
        ("[1", "is no report"),
        ('{"graph_digest": "0", "layers": []}', "another model"),
        ('{"graph_digest": "1", "layers": [{"name": "a", "cycles": null}]}', "no measured cycles"),
    ],
)
def test_what_was_measured_elsewhere_is_refused(content, message, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_measured(path, SimpleNamespace(graph_digest="1"))
    with pytest.raises(DataError, match="cannot be read"):
        read_measured(tmp_path / "missing.json", SimpleNamespace(graph_digest="1"))


def test_measured_cycles_are_read(tmp_path):
    path = tmp_path / "report.json"
    path.write_text('{"graph_digest": "1", "layers": [{"name": "a", "cycles": 5}]}')
    assert read_measured(path, SimpleNamespace(graph_digest="1")) == {"a": 5}


def test_bars_are_as_long_as_their_numbers():
    text = draw_bars("t", [("long", {"a": 30, "b": 10}), ("short", {"b": 10})])
    widths = [float(part.split('"')[0]) for part in text.split('width="')[1:]]
    bars = [width for width in widths if width != 9]
    assert bars[0] == pytest.approx(3 * bars[1], abs=0.2)
    assert bars[1] == bars[2]
    assert "<title>long, a: 30</title>" in text


def test_a_folder_that_is_no_build_folder(capsys, tmp_path):
    assert main(["profile", str(tmp_path)]) == 2
    assert "is not a build folder" in capsys.readouterr().err
