"""What a host asks of a device: inferences, sequences, profiles, the stack."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from tinyq.errors import DataError, LinkError
from tinyq.targets import wire
from tinyq.targets.exchange import RESETS_IN_A_ROW, Exchange, ResetNoticed
from tinyq.targets.greeting import (
    check_stack,
    explain_restarts,
)
from tinyq.targets.wire import DeviceInfo, Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tinyq.targets.counts import InstructionCounts

_FIRST_INFERENCE_SECONDS = 20.0


class Session(Exchange):
    """A greeted device behind a stream; the `Link` of every target."""

    _slowest: float | None = None  # seconds of an inference, once there was one

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def hello(self) -> DeviceInfo:
        """Return what the device said about itself when it was greeted."""
        return self._info

    def infer(self, inputs: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Run the model on packed inputs, as many per frame as the device takes.

        A reset on the way, or a port that goes and comes back, is noticed and the batch that it
        hit is sent again. Where the model keeps state, each input is the first step of a sequence.

        Args:
            inputs: Packed inputs, uint8, shape (n, input_bytes).

        Returns:
            Packed outputs, uint8, shape (n, output_bytes).

        Raises:
            DataError: If the shape or type does not fit the model.
            LinkError: If the device does not answer.
        """
        import numpy as np

        self._check_inputs(inputs)
        if self._info.keeps_state and len(inputs):
            return np.concatenate([self.infer_sequence(one[None]) for one in inputs])
        return self._infer_batches(inputs, self._infer_batch)

    def infer_sequence(self, inputs: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Run the model on the steps of one sequence, from its first step on.

        A reset on the way takes the state with it, so the sequence begins again then: no step is
        left out and none counts twice. Without state it is the same as `infer`.

        Args:
            inputs: Packed inputs, uint8, shape (steps, input_bytes).

        Returns:
            Packed outputs, uint8, shape (steps, output_bytes).

        Raises:
            DataError: If the shape or type does not fit the model.
            LinkError: If the device does not answer, or resets again and again.
        """
        self._check_inputs(inputs)
        if not self._info.keeps_state:
            return self.infer(inputs)
        for _ in range(RESETS_IN_A_ROW):
            try:
                self._try(Kind.START)
                return self._infer_batches(inputs, self._request_batch)
            except ResetNoticed:
                self.resets += 1
                self._info = self._greet()
        raise explain_restarts("computes a sequence", self._where)

    def _infer_batches(
        self,
        inputs: NDArray[np.uint8],
        infer: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    ) -> NDArray[np.uint8]:
        import numpy as np

        outputs = np.empty((len(inputs), self._info.output_bytes), np.uint8)
        batch = 1 if self._slowest is None else self._info.batch
        at = 0
        while at < len(inputs):
            part = inputs[at : at + batch]
            outputs[at : at + len(part)] = infer(part)
            at += len(part)
            batch = self._info.batch
        return outputs

    def profile(self, packed: NDArray[np.uint8]) -> tuple[int, ...] | None:
        """Run one inference, the first step where there is state; return the cycles of each layer.

        Args:
            packed: One packed input, uint8, shape (input_bytes,).

        Returns:
            Cycles per layer, or `None` on a core without a cycle counter.
        """
        self._check_inputs(packed[None])
        if not self._info.has_cycle_counter:
            return None
        info = self._info
        if info.keeps_state:
            self._call(Kind.START)
        reply = self._call(Kind.PROFILE, _pad(packed[None]), self._seconds_per_inference)
        return wire.unpack_profile(reply, info.layers, info.output_bytes).layer_cycles()

    def stack_used(self) -> int | None:
        """Return the stack's high-water mark in bytes since the start or the last `paint_stack`.

        Returns:
            Bytes, or `None` where the device cannot tell.
        """
        return check_stack(wire.unpack_word(self._call(Kind.STACK)), self._where) or None

    def paint_stack(self) -> None:
        """Fill the unused stack, so that `stack_used` counts from here."""
        self._call(Kind.PAINT)

    def echo(self, payload: bytes) -> bytes:
        """Send bytes through the device and return what comes back."""
        return self._call(Kind.ECHO, payload)

    def reset(self) -> DeviceInfo:
        """Reset the device and greet it again."""
        with contextlib.suppress(ResetNoticed):
            self._try(Kind.RESET)
        self._arrived.clear()
        self._stream.boots = True
        self._info = self._greet()
        return self._info

    def instruction_counts(self) -> InstructionCounts | None:
        """Return `None`: only an emulator counts instructions."""
        return None

    def close(self) -> None:
        """End the connection and what it started. A second call does nothing."""
        self._may_return = False
        self._stream.close()

    def _check_inputs(self, inputs: NDArray[np.uint8]) -> None:
        wanted = self._info.input_bytes
        if inputs.dtype != "uint8" or inputs.ndim != 2 or inputs.shape[1] != wanted:
            raise DataError(
                f"inputs of type {inputs.dtype} and shape {inputs.shape} do not fit the model",
                where=self._where,
                remedy=f"pack them to uint8 of shape (n, {wanted})",
            )

    @property
    def _seconds_per_inference(self) -> float:
        return _FIRST_INFERENCE_SECONDS if self._slowest is None else self._slowest

    def _infer_batch(self, inputs: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Outputs of a batch, which is sent once more after each reset."""
        limit = self._seconds_per_inference * len(inputs)
        return self._take_outputs(inputs, self._call(Kind.INFER, _pad(inputs), limit))

    def _request_batch(self, inputs: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Outputs of the next steps of a sequence, which a reset ends."""
        limit = self._seconds_per_inference * len(inputs)
        return self._take_outputs(inputs, self._try(Kind.INFER, _pad(inputs), limit))

    def _take_outputs(self, inputs: NDArray[np.uint8], reply: bytes) -> NDArray[np.uint8]:
        import numpy as np

        step = wire.stride(self._info.output_bytes)
        if len(reply) != step * len(inputs):
            raise LinkError(
                f"{len(inputs)} outputs of {step} bytes came with {len(reply)} bytes",
                where=self._where,
            )
        # Four times the slowest seen so far, so that a lost frame is repeated soon.
        seconds = 4 * self._reply_seconds / len(inputs)
        self._slowest = max(self._slowest or 0.0, seconds)
        return np.frombuffer(reply, np.uint8).reshape(-1, step)[:, : self._info.output_bytes]


def _pad(inputs: NDArray[np.uint8]) -> bytes:
    """Return rows as bytes, each filled up to whole 4-byte words."""
    import numpy as np

    count, size = inputs.shape
    rows = np.zeros((count, wire.stride(size)), np.uint8)
    rows[:, :size] = inputs
    return rows.tobytes()
