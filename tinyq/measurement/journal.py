"""Answers of an unfinished run on disk, so that the next run goes on where it stopped.

    magic, key (32 bytes), size of an answer (uint32)
    record i:  i (uint32), answer, CRC-32 of both (uint32)

A record counts where its index is its place, its checksum is right, and so it is for all before
it: what a power cut or another program leaves is not taken for a device's answer. The file is
locked while a run writes it. All numbers are little-endian.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from tinyq.errors import FileError, LinkError, TinyqError, explain_system_error
from tinyq.support.documents import SCHEMAS
from tinyq.support.locks import open_alone

Bytes = npt.NDArray[np.uint8]

_MAGIC = b"tinyq journal 2\n"
_NUMBER = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Run:
    """What the answers of a run depend on; a run goes on with answers of an equal one alone.

    Attributes:
        firmware_digest: Of what runs on the target.
        graph_digest: Of the model.
        kind: Of the target; a board that is plugged again may have another port.
        shape: Of the input codes, samples first.
        data_digest: SHA-256 of the input codes.
        answer_bytes: Of one output.
    """

    firmware_digest: str
    graph_digest: str
    kind: str
    shape: Sequence[int]
    data_digest: str
    answer_bytes: int

    @property
    def samples(self) -> int:
        """Answers of the whole run."""
        return self.shape[0]

    @property
    def key(self) -> bytes:
        """SHA-256 over all of it."""
        fields = [
            SCHEMAS["journal"],
            self.firmware_digest,
            self.graph_digest,
            self.kind,
            list(self.shape),
        ]
        text = json.dumps([*fields, self.data_digest, self.answer_bytes])
        return hashlib.sha256(text.encode()).digest()


class Journal:
    """The answers so far; made by `open_journal`."""

    def __init__(self, file: BinaryIO, path: Path, run: Run) -> None:
        self.path = path
        self._file = file
        self._run = run
        self._header = _MAGIC + run.key + _NUMBER.pack(run.answer_bytes)
        self._record_bytes = run.answer_bytes + 2 * _NUMBER.size
        self.count = 0

    def read(self) -> Bytes:
        """Answers that are whole and right, uint8, shape (n, answer_bytes); sets ``count``."""
        self._file.seek(0)
        content = self._file.read()
        answers = []
        if content.startswith(self._header):
            records = content[len(self._header) :]
            for index in range(min(len(records) // self._record_bytes, self._run.samples)):
                record = records[index * self._record_bytes : (index + 1) * self._record_bytes]
                if record != self._make_record(index, record[_NUMBER.size : -_NUMBER.size]):
                    break
                answers.append(record[_NUMBER.size : -_NUMBER.size])
        self.count = len(answers)
        return np.frombuffer(b"".join(answers), np.uint8).reshape(-1, self._run.answer_bytes)

    def write(self, start: int, answers: Bytes) -> None:
        """Put answers in the place of samples ``start`` and following, and forget what follows.

        Raises:
            ValueError: There are fewer than ``start`` answers before them.
            FileError: The file cannot be written.
        """
        if start > self.count:
            raise ValueError(f"answers from {start} on would leave a hole behind {self.count}")
        records = [
            self._make_record(start + index, answer.tobytes())
            for index, answer in enumerate(answers)
        ]
        try:
            if start == 0:
                self._file.seek(0)
                self._file.write(self._header)
            self._file.seek(len(self._header) + start * self._record_bytes)
            self._file.write(b"".join(records))
            self._file.truncate()
            self._file.flush()
        except OSError as error:
            raise explain_system_error(error, self.path) from error
        self.count = start + len(records)

    def remove(self) -> None:
        """Forget the run: it is complete."""
        with suppress(OSError):
            if os.path.samestat(os.fstat(self._file.fileno()), self.path.stat()):
                self.path.unlink()

    def _make_record(self, index: int, answer: bytes) -> bytes:
        body = _NUMBER.pack(index) + answer
        return body + _NUMBER.pack(zlib.crc32(body))


@contextmanager
def open_journal(folder: Path, run: Run) -> Iterator[Journal]:
    """The journal of a run in a build folder, locked until the block ends.

    It is removed where nothing was kept. An error of the link says how much is kept.

    Raises:
        TinyqError: Another process measures the same, or the folder cannot be written.
    """
    path = folder / f"measure-{run.key.hex()[:16]}.partial"
    busy = FileError(
        "another run measures this build folder with the same data",
        where=str(path),
        remedy="wait until that one has ended",
    )
    try:
        descriptor = open_alone(path, busy)
    except TinyqError:
        raise
    except OSError as error:
        raise explain_system_error(error, path) from error
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        journal = Journal(file, path, run)
        journal.read()
        try:
            yield journal
        except LinkError as error:
            raise _say_kept(error, journal, run) from None
        finally:
            if not journal.count:
                journal.remove()


def _say_kept(error: LinkError, journal: Journal, run: Run) -> LinkError:
    if not journal.count:
        return error
    note = f"the answers to {journal.count} of {run.samples} samples are kept, the next run goes on"
    remedy = f"{error.remedy}; {note}" if error.remedy else note
    return LinkError(error.message, where=error.where, remedy=remedy)
