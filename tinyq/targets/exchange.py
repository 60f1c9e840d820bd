"""Requests and replies over a stream: numbered, repeated when lost, resumed after a reset."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from tinyq.errors import LinkError
from tinyq.targets import wire
from tinyq.targets.greeting import (
    check_greeting,
    explain_restarts,
    explain_silence,
)
from tinyq.targets.streams import Stream, StreamEnded
from tinyq.targets.wire import Damaged, DeviceInfo, Frame, Kind, Refusal

if TYPE_CHECKING:
    from tinyq.targets.symbols import Identity

_ATTEMPTS = 6
RESETS_IN_A_ROW = 3
_BOOT_SECONDS = 3.0
_GREETING_SECONDS = 2.0
_REPLY_SECONDS = 3.0
_QUIET_SECONDS = 0.02
_NOISE_SECONDS = 1.0
_RETURN_SECONDS = 20.0
_RETRY_SECONDS = 0.2
_SHOWN_BYTES = 24

_REFUSALS = {
    Refusal.KIND: "it does not know the request",
    Refusal.LENGTH: "the request has a wrong size",
    Refusal.CAPACITY: "the reply does not fit into its buffer",
}


class ResetNoticed(Exception):  # noqa: N818
    """The device has started anew since it was greeted."""


class Exchange:
    """Requests and replies over a stream to a greeted device, in spite of noise and resets.

    Args:
        connect: Opens the stream; called again when a program ends because of a reset.
        where: What a message calls the device.
        identity: What the device must be, or `None` to take any.

    Raises:
        LinkError: If the device is silent, speaks another protocol or holds another model.
    """

    def __init__(
        self,
        connect: Callable[[], Stream],
        where: str,
        identity: Identity | None = None,
    ) -> None:
        self.resets = 0
        self._connect = connect
        self._where = where
        self._identity = identity
        self._sequence = int.from_bytes(os.urandom(2), "little")
        self._reply_seconds = 0.0
        self._arrived: deque[Frame | Damaged] = deque()
        self._decoder = wire.Decoder()
        self._heard = b""  # since the last request
        self._boots = 0  # so often has it started since then
        self._may_return = False  # a port that goes away: once greeted, until closed
        self._stream = connect()
        try:
            self._info = self._greet()
            self._may_return = True
        except BaseException:
            self._stream.close()
            raise

    def _call(self, kind: Kind, payload: bytes = b"", seconds: float = 0.0) -> bytes:
        """Request, and once more after each reset."""
        for _ in range(RESETS_IN_A_ROW):
            try:
                return self._try(kind, payload, seconds)
            except ResetNoticed:
                self.resets += 1
                self._info = self._greet()
        raise explain_restarts(f"gets {kind.name}", self._where)

    def _try(self, kind: Kind, payload: bytes = b"", seconds: float = 0.0) -> bytes:
        """Request, and let a reset be the caller's matter."""
        return self._request(kind, payload, _REPLY_SECONDS + seconds).payload

    def _await_boot(self) -> None:
        """Wait for the boot frame of a device that is starting; before it, its receiver is off."""
        limit = time.monotonic() + (_BOOT_SECONDS if self._stream.boots else 0.0)
        self._stream.boots = False
        with contextlib.suppress(ResetNoticed):
            while frame := self._next_frame(limit):
                if isinstance(frame, Frame) and frame.kind == Kind.BOOT:
                    return

    def _greet(self) -> DeviceInfo:
        for _ in range(RESETS_IN_A_ROW):
            try:
                self._await_boot()
                reply = self._request(Kind.HELLO, b"", _GREETING_SECONDS)
                break
            except ResetNoticed:
                continue
        else:
            raise explain_restarts("is greeted", self._where)
        info = wire.unpack_device_info(reply)
        check_greeting(info, self._identity, self._where)
        return info

    def _request(self, kind: Kind, payload: bytes, seconds: float) -> Frame:
        """Send a request until its reply has come."""
        self._sequence = (self._sequence + 1) % 2**16
        line = wire.encode(Frame(kind, self._sequence, payload))
        size = len(line) + self._reply_limit(kind, payload)
        self._heard = b""
        self._boots = 0
        for _ in range(_ATTEMPTS):
            sent = time.monotonic()
            self._send(line)
            limit = time.monotonic() + seconds + size * self._stream.seconds_per_byte
            reply = self._await_reply(kind, limit)
            if reply is not None:
                self._reply_seconds = time.monotonic() - sent  # of this attempt, not of lost ones
                return reply
        if self._boots > 1:
            raise explain_restarts("is greeted", self._where)
        cabled = self._stream.cabled
        raise explain_silence(kind, _ATTEMPTS, self._heard, self._where, cabled=cabled)

    def _reply_limit(self, kind: Kind, payload: bytes) -> int:
        """Return the most bytes that a reply can have."""
        if kind in {Kind.INFER, Kind.PROFILE}:
            return self._info.reply_bytes + wire.OVERHEAD_BYTES
        return max(len(payload), wire.GREETING_BYTES) + wire.OVERHEAD_BYTES

    def _await_reply(self, kind: Kind, limit: float) -> Frame | None:
        """Return the reply, or `None` when the request has to be sent again."""
        while frame := self._next_frame(limit):
            if isinstance(frame, Damaged):
                # Perhaps a text that the board has printed, and the reply follows it.
                if not self._hear_more(limit):
                    return None
                continue
            if frame.kind == Kind.NAK:
                self._wait_for_quiet()
                return None
            self._check_version(frame)
            if frame.kind == Kind.BOOT:
                if kind == Kind.HELLO:
                    self._boots += 1
                    return None
                raise ResetNoticed
            if frame.sequence != self._sequence:
                continue  # the late reply to a request that was sent twice
            if frame.kind == Kind.ERROR:
                self._refuse(kind, frame)
            if frame.kind == kind | wire.REPLY:
                return frame
        return None

    def _hear_more(self, limit: float) -> bool:
        """Whether another frame arrives before the line falls quiet."""
        while not self._arrived and time.monotonic() < limit:
            try:
                received = self._read(_QUIET_SECONDS)
            except StreamEnded as ended:
                self._reconnect(ended)
            if not received:
                return False
            self._arrived.extend(self._decoder.feed(received))
        return bool(self._arrived)

    def _check_version(self, frame: Frame) -> None:
        if frame.version != wire.VERSION:
            raise LinkError(
                f"the device speaks version {frame.version} of the protocol, "
                f"this is version {wire.VERSION}",
                where=self._where,
                remedy="flash an image that this version of tinyq built",
            )

    def _refuse(self, kind: Kind, frame: Frame) -> None:
        code = wire.unpack_word(frame.payload)
        if code == Refusal.UNGREETED:
            raise ResetNoticed
        reason = _REFUSALS.get(Refusal(code)) if code in set(Refusal) else None
        raise LinkError(
            f"the device refuses {kind.name}: {reason or f'error {code}'}", where=self._where
        )

    def _next_frame(self, limit: float) -> Frame | Damaged | None:
        while not self._arrived:
            left = limit - time.monotonic()
            if left <= 0:
                return None
            try:
                self._arrived.extend(self._decoder.feed(self._read(left)))
            except StreamEnded as ended:
                self._reconnect(ended)
        return self._arrived.popleft()

    def _read(self, seconds: float) -> bytes:
        received = self._stream.read(seconds)
        self._heard += received[: _SHOWN_BYTES - len(self._heard)]
        return received

    def _wait_for_quiet(self) -> None:
        """Drop what is under way, such as further complaints about the same frame."""
        self._arrived.clear()
        limit = time.monotonic() + _NOISE_SECONDS  # a device that is no board may never pause
        try:
            while time.monotonic() < limit and (received := self._read(_QUIET_SECONDS)):
                self._decoder.feed(received)
        except StreamEnded as ended:
            self._reconnect(ended)

    def _send(self, line: bytes) -> None:
        try:
            self._stream.write(line)
        except StreamEnded as ended:
            self._reconnect(ended)

    def _reconnect(self, ended: StreamEnded) -> None:
        """Start a program again that has left with status 0, its reset, or wait for a port."""
        if ended.status is None and self._may_return:
            self._stream = self._await_return(ended)
        elif ended.status == 0:
            self._stream = self._connect()
        else:
            self._may_return = False
            raise LinkError(
                ended.describe(),
                where=self._where,
                remedy=None if ended.status is not None else "plug it in and try again",
            ) from None
        self._decoder = wire.Decoder()
        self._arrived.clear()
        raise ResetNoticed from None

    def _await_return(self, ended: StreamEnded) -> Stream:
        """Open a port again whose cable was pulled and plugged."""
        # An open file would keep the system from giving the port its old name.
        self._stream.close()
        limit = time.monotonic() + _RETURN_SECONDS
        remedy = "plug the board in"
        while time.monotonic() < limit:
            try:
                return self._connect()
            except LinkError as error:
                remedy = error.remedy or remedy
            time.sleep(_RETRY_SECONDS)
        self._may_return = False
        raise LinkError(
            f"{ended.describe()}; the port has not come back in {_RETURN_SECONDS:.0f} seconds",
            where=self._where,
            remedy=f"{remedy}, then run the same command again (a name under /dev/serial/by-id "
            "stays the same)",
        ) from None
