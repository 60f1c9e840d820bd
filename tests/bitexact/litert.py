"""Runs a .tflite file with LiteRT's reference kernels, the oracle of imported models."""

from __future__ import annotations

import numpy as np

from tinyq.importers.tflite.litert import open_interpreter


def run_litert(content: bytes, inputs: np.ndarray) -> np.ndarray:
    """Codes of the output for each sample; ``inputs`` has the samples on the first axis.

    Unsigned codes are those of the imported graph: 128 less.
    """
    interpreter = open_interpreter(content)
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    results = []
    for sample in inputs:
        # A state (LSTM, SVDF) begins at zero in every inference, as in the imported graph.
        interpreter.reset_all_variables()
        codes = sample + (128 if source["dtype"] == np.uint8 else 0)
        interpreter.set_tensor(
            source["index"], codes.reshape(source["shape"]).astype(source["dtype"])
        )
        interpreter.invoke()
        results.append(interpreter.get_tensor(target["index"]))
    found = np.stack(results)
    return found.astype(np.int32) - 128 if found.dtype == np.uint8 else found
