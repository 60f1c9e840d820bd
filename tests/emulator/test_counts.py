"""Instruction counts are exact: compared with instructions counted by hand."""

from __future__ import annotations

import signal
from pathlib import PurePosixPath

import numpy as np
import pytest

from tinyq.errors import LinkError, ToolMissing
from tinyq.firmware.build import BuildOptions, build
from tinyq.hardware.boards import find_board
from tinyq.targets import counts, open_link, wire
from tinyq.targets.counts import LayerCount

# The two instructions that call the next mark belong to the layer before it.
CALL = 2
# Layer 0: MOVS, 100 times SUBS and BNE.
LOOP = 1 + 100 * 2
# Layer 1: LDRB, CBZ not taken, ADDS; or LDRB, CBZ taken.
NOT_ZERO, ZERO = 3, 2
# Layer 2: CMP, IT, a conditional MOV that counts whether or not it is carried out.
CONDITIONAL = 3

MODEL = """
#include "tq_model.h"
void run(const void *input, void *output);
__asm__(
    ".syntax unified\\n .thumb\\n .section .text.run\\n .balign 4\\n"
    ".global run\\n .thumb_func\\n .type run, %function\\n"
    "run:\\n push {r4, r5, r6, lr}\\n mov r5, r0\\n mov r6, r1\\n"
    " movs r0, #0\\n bl tq_profile_mark\\n"
    " movs r4, #100\\n"
    "1: subs r4, #1\\n bne 1b\\n"
    " movs r0, #1\\n bl tq_profile_mark\\n"
    " ldrb r4, [r5]\\n cbz r4, 2f\\n adds r4, #1\\n"
    "2: movs r0, #2\\n bl tq_profile_mark\\n"
    " cmp r4, #0\\n it eq\\n moveq r4, #9\\n"
    " movs r0, #3\\n bl tq_profile_mark\\n"
    " strb r4, [r6]\\n"
    " pop {r4, r5, r6, pc}\\n"
    ".size run, . - run\\n");
const tq_model tq_model_instance = {"hand", {0}, 1, 1, 0, 3, run, 0, 0, 0, 0, 0};
"""


@pytest.fixture(scope="module", params=["mps2-an386", "stm32"])
def image(request, tmp_path_factory):
    request_bytes, reply_bytes = wire.payload_bytes(1, 1, 3)
    options = BuildOptions(payload_bytes=request_bytes, reply_bytes=reply_bytes)
    folder = tmp_path_factory.mktemp("counts") / "out"
    return build({PurePosixPath("model.c"): MODEL}, find_board(request.param), folder, options)


def count(image, inputs):
    link = open_link(image, "qemu", counting=True)
    try:
        outputs = link.infer(np.array(inputs, np.uint8)[:, None])
        assert outputs[:, 0].tolist() == [value + 1 if value else 9 for value in inputs]
        return link.instruction_counts()
    finally:
        link.close()


def test_counts_equal_those_by_hand(image):
    found = count(image, [5] * 30 + [0] * 12)
    loop, branch, conditional = LOOP + CALL, NOT_ZERO + CALL, CONDITIONAL + CALL
    assert found.runs == 42
    assert found.layers == (
        LayerCount(42 * loop, loop, loop),
        LayerCount(30 * branch + 12 * (ZERO + CALL), ZERO + CALL, branch),
        LayerCount(42 * conditional, conditional, conditional),
    )
    # push, mov, mov, the call of mark 0 before the first layer; strb, pop after the last
    around = 3 + CALL + 2
    layers = sum(layer.total for layer in found.layers)
    assert found.functions["run"] == layers + 42 * around
    assert found.functions["tq_profile_mark"] % (42 * 4) == 0
    assert sum(found.functions.values()) == found.total


def test_the_same_run_gives_the_same_counts(image):
    inputs = list(range(0, 200, 3))
    first, second = count(image, inputs), count(image, inputs)
    assert first.layers == second.layers
    assert first.functions["run"] == second.functions["run"]
    assert first.per_run == second.per_run == sum(x.total for x in first.layers) // len(inputs)


def test_calls_count_the_same_as_inline(image, monkeypatch):
    """What QEMU 9 and later use, loaded by the QEMU that is here."""
    inline = count(image, [1, 0, 2])
    flags = counts._plugin_flags
    monkeypatch.setattr(
        counts, "_plugin_flags", lambda interface: [*flags(interface), "-DTQ_COUNT_BY_CALL"]
    )
    called = count(image, [1, 0, 2])
    assert called.layers == inline.layers
    assert called.functions["run"] == inline.functions["run"]


def test_a_reset_in_the_middle_spoils_no_count(image):
    link = open_link(image, "qemu", counting=True)
    with link:
        inputs = np.ones((10, 1), np.uint8)
        link.infer(inputs)
        link.reset()
        link.infer(inputs)
        found = link.instruction_counts()
    assert found.runs == 20
    assert found.layers[0] == LayerCount(20 * (LOOP + CALL), LOOP + CALL, LOOP + CALL)


def test_marks_outside_of_an_inference_are_no_layers(image):
    link = open_link(image, "qemu", counting=True)
    with link:
        # Without a cycle counter the session would not ask. The firmware also times its own mark.
        reply = link._call(wire.Kind.PROFILE, b"\x01\0\0\0")
        assert wire.unpack_profile(reply, 3, 1).output == b"\x02"
        link.infer(np.ones((4, 1), np.uint8))
        found = link.instruction_counts()
    assert found.runs == 5
    assert found.layers[0] == LayerCount(5 * (LOOP + CALL), LOOP + CALL, LOOP + CALL)


def test_a_killed_emulator_leaves_no_counts(image):
    import os

    link = open_link(image, "qemu", counting=True)
    os.killpg(link._stream._child.process.pid, signal.SIGKILL)
    with pytest.raises(LinkError, match="wrote no counts"):
        link.instruction_counts()


def test_the_plugin_is_compiled_once(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plugin = counts.build_plugin(1)
    stamp = plugin.stat().st_mtime_ns
    assert counts.build_plugin(1) == plugin
    assert plugin.stat().st_mtime_ns == stamp
    assert [path.name for path in plugin.parent.iterdir()] == [plugin.name]


def test_no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match="apt-get install gcc"):
        counts.build_plugin(1)


def test_counts_that_were_cut_off(tmp_path):
    file = tmp_path / "counts.csv"
    file.write_text("runs,3\nlayer,0,9,3,3\n")
    with pytest.raises(LinkError, match="cut off"):
        counts.read(file, counts.Functions(()), 1)
