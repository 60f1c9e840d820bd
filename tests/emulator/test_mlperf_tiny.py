"""The four MLPerf Tiny networks and one of our own on emulated cores, through the serial link.

``TINYQ_EMULATOR_INPUTS`` sets how many inputs each network answers; 0 means all.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.cores import CORES
from tests.mlperf_tiny import NAMES, NETWORKS
from tests.selected import emit_for
from tinyq.firmware.build import BuildOptions, build
from tinyq.graph import reference
from tinyq.graph.passes import simplify
from tinyq.importers.tflite import import_tflite
from tinyq.selection import prefer_isas
from tinyq.targets import open_link
from tinyq.targets.wire import payload_bytes

INPUTS = int(os.environ.get("TINYQ_EMULATOR_INPUTS", "6"))


@pytest.mark.parametrize("core", ["armv6m", "armv7m", "armv7em"])
@pytest.mark.parametrize("name", NAMES)
def test_the_device_answers_as_the_reference(name, core, tmp_path):
    isas = prefer_isas(core)
    network = NETWORKS[name]
    graph = simplify(import_tflite(network.path, "tflite"))
    codes = network.load(graph)[0][: INPUTS or None]
    sizes = graph.input.type.packed_bytes, graph.output.type.packed_bytes
    request, reply = payload_bytes(*sizes, 4)
    options = BuildOptions(payload_bytes=request, reply_bytes=reply)
    image = build(
        emit_for(graph, isas).files,
        CORES[core],
        tmp_path / "out",
        options,
    )
    packed = graph.input.type.format.pack(codes).reshape(len(codes), -1)
    link = open_link(image, "qemu")
    try:
        answers = link.infer(packed)
    finally:
        link.close()
    expected = reference.run_batched(graph, codes, 16)
    wanted = graph.output.type.format.pack(expected).reshape(len(codes), -1)
    assert np.array_equal(answers, wanted)
