"""Mutations of files: of bytes, of JSON values, of YAML text, of arrays."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

VALUES = (
    *(None, True, False, 0, 1, -1, 2, 62, 63, 64, 127, 128, 255, 256, -128, -129, 2**15, 2**31 - 1),
    *(
        2**31,
        -(2**31),
        2**32,
        2**63,
        10**30,
        0.5,
        -0.0,
        1e300,
        "",
        "x",
        "s8",
        "u4",
        "../../x",
        "\0",
    ),
    *([], {}, [0], [[]], {"type": "Raw"}, {"a": 1}),
)
CODES = (0, 1, -1, 127, -128, 128, 62, 63, 2**15, 2**31 - 1, -(2**31), 2**24)


def places(data: Any, start: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all values in JSON data."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        yield (*start, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*start, key))


def change_json(data: Any, rng: np.random.Generator) -> Any:
    """JSON data with up to three changed, missing, doubled or exchanged values."""
    changed = copy.deepcopy(data)
    for _ in range(int(rng.integers(1, 4))):
        known = list(places(changed))
        if not known:
            return changed
        *path, last = known[int(rng.integers(len(known)))]
        holder = changed
        for key in path:
            holder = holder[key]
        kind = int(rng.integers(6))
        if kind == 0:
            del holder[last]
        elif kind == 1 and isinstance(holder, list):
            holder.insert(last, copy.deepcopy(holder[last]))
        elif kind == 2:
            *other, end = known[int(rng.integers(len(known)))]
            source = changed
            try:
                for key in (*other, end):
                    source = source[key]
            except (KeyError, IndexError, TypeError):
                continue
            holder[last] = copy.deepcopy(source)
        elif kind == 3 and isinstance(holder[last], int):
            holder[last] += int(rng.choice((-1, 1, 2, -7, 100)))
        else:
            holder[last] = copy.deepcopy(VALUES[int(rng.integers(len(VALUES)))])
    return changed


def change_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Bytes cut off, flipped, repeated, or overwritten."""
    data = bytearray(content)
    kind = int(rng.integers(4))
    if kind == 0:
        return bytes(data[: int(rng.integers(len(data)))])
    for _ in range(int(rng.integers(1, 6))):
        place = int(rng.integers(len(data)))
        if kind == 1:
            data[place] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            data[place : place + 4] = int(rng.choice((0, 1, 2**31, 2**32 - 1))).to_bytes(
                4, "little"
            )
        else:
            data[place:place] = data[max(0, place - 9) : place]
    return bytes(data)


def change_array(content: bytes, rng: np.random.Generator) -> bytes:
    """An .npy file with other numbers, another shape or type, or a header of lies."""
    try:
        array = np.load(io.BytesIO(content))
    except (ValueError, EOFError, MemoryError):  # a header that was changed before
        return change_bytes(content, rng)
    kind = int(rng.integers(5))
    if kind < 3 and array.size and array.dtype.kind in "iuf":
        array = array.copy()
        for _ in range(int(rng.integers(1, 4))):
            value = CODES[int(rng.integers(len(CODES)))]
            with np.errstate(all="ignore"):
                array.reshape(-1)[int(rng.integers(array.size))] = np.asarray(value).astype(
                    array.dtype
                )
    elif kind == 3 and array.dtype.kind in "iufb":
        others = (np.int8, np.float64, np.uint64, np.complex64, "S4", "<U3", "M8[s]", bool)
        with np.errstate(all="ignore"):
            array = array.astype(np.float64).astype(others[int(rng.integers(len(others)))])
    else:
        array = array.reshape(-1)[: int(rng.integers(array.size + 1))]
    buffer = io.BytesIO()
    np.save(buffer, array)
    changed = buffer.getvalue()
    if rng.random() < 0.1:
        lie = str(int(rng.integers(1, 2**40))).encode()
        changed = changed.replace(str(array.shape[0] if array.ndim else 0).encode(), lie, 1)
    return changed


def change_archive(content: bytes, rng: np.random.Generator) -> bytes:
    """A zip archive with a changed member, a missing or an additional one, or changed bytes."""
    if rng.random() < 0.25:
        return change_bytes(content, rng)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    names = sorted(members)
    for _ in range(int(rng.integers(1, 3))):
        name = str(rng.choice(names))
        if name not in members:
            continue
        if rng.random() < 0.05:
            del members[name]
        elif name.endswith(".json"):
            changed = change_json(json.loads(members[name]), rng)
            members[name] = json.dumps(changed).encode()
        else:
            members[name] = change_array(members[name], rng)
    packed = int(rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packed) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return buffer.getvalue()


WORDS = (
    *("int8", "int4", "ternary", "weights", "layers", "input", "range", "first", "null", "~", "{}"),
    *(
        "[]",
        "- a",
        "&a",
        "*a",
        "<<",
        ": ",
        "\n",
        "\n  ",
        "!!python/name:os.system",
        "!!set",
        "9" * 50,
    ),
    *(".inf", ".nan", "1e999", "0x10", "1:2:3", "2001-01-01", "|", ">", "'", '"', "\t", "%", "---"),
)


def change_text(text: str, rng: np.random.Generator) -> str:
    """YAML with words exchanged, inserted, repeated or cut out."""
    for _ in range(int(rng.integers(1, 5))):
        place = int(rng.integers(len(text) + 1))
        end = min(len(text), place + int(rng.integers(0, 9)))
        word = WORDS[int(rng.integers(len(WORDS)))]
        kind = int(rng.integers(4))
        if kind == 0:
            text = text[:place] + text[end:]
        elif kind == 1:
            text = text[:place] + word + text[end:]
        elif kind == 2:
            text = text[:place] + text[place:end] * int(rng.integers(2, 40)) + text[end:]
        else:
            lines = text.split("\n")
            index = int(rng.integers(len(lines)))
            lines.insert(int(rng.integers(len(lines) + 1)), lines[index])
            text = "\n".join(lines)
    return text
