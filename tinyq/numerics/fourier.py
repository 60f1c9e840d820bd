"""The Fourier transform of real int16 samples, in integers with the roundings of kissfft.

Twin: templates/runtime/tq_fourier.h, equal bit for bit.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
LEAST_POINTS, MOST_POINTS = 4, 4096
_ONE = 2**15 - 1
_DIVISORS = {2: _ONE // 2, 4: _ONE // 4}  # kissfft multiplies by the whole part of 32767 / radix


def wrap16(values: Int64s) -> Int64s:
    """Two's complement of the low 16 bits, as C stores an integer in an int16."""
    return (values + 2**15 & 2**16 - 1) - 2**15


def make_roots(points: int) -> npt.NDArray[np.int32]:
    """Roots of unity in Q0.15: as far round the circle as butterflies of four reach.

        root[k] = floor(32767 * exp(-2 pi i k / points) + 1/2),   k < 3 / 4 points

    Args:
        points: Length of the real transform, a power of two from 4 to 4,096.

    Returns:
        int32, shape (3 points / 4, 2): real and imaginary parts.
    """
    angle = -2 * np.pi * np.arange(3 * points // 4) / points
    parts = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return np.asarray(np.floor(0.5 + _ONE * parts), np.int32)


def transform_real(samples: Int64s, roots: Int64s) -> Int64s:
    """First half of the spectrum of real samples, divided by their number.

    Pairs of samples are the complex numbers of a transform of half the length, in butterflies of
    four from the outside in (the innermost of two where that is left), each of whose inputs is
    divided first. Every stored number is an int16 that wraps.

    Args:
        samples: int16, shape (..., points).
        roots: `make_roots`, shape (3 points / 4, 2).

    Returns:
        int64, shape (..., points + 2): real and imaginary part of points / 2 + 1 bins, each within
        -32767 .. 32767.

    Twin: tq_transform_real in templates/runtime/tq_fourier.h.
    Reference: Borgerding, kissfft, FIXED_POINT=16, with which TensorFlow Lite Micro computes.
    """
    half = samples.shape[-1] // 2
    pairs = samples.reshape(*samples.shape[:-1], half, 2)[..., list_places(half), :]
    real, imaginary = _transform(pairs[..., 0], pairs[..., 1], roots)
    return _split(real, imaginary, roots)


@functools.cache
def list_places(points: int) -> tuple[int, ...]:
    """Which input of a complex transform comes to each place before its first butterflies."""
    places = []
    for place in range(points):
        source, rest = 0, place
        for radix in reversed(_list_radices(points)):
            source, rest = source * radix + rest % radix, rest // radix
        places.append(source)
    return tuple(places)


def _list_radices(points: int) -> tuple[int, ...]:
    """Four as often as it goes, then two; the first is the outermost."""
    bits = points.bit_length() - 1
    return (4,) * (bits // 2) + (2,) * (bits % 2)


def _transform(real: Int64s, imaginary: Int64s, roots: Int64s) -> tuple[Int64s, Int64s]:
    points, length = real.shape[-1], 1
    for radix in reversed(_list_radices(points)):
        shape = (*real.shape[:-1], points // (radix * length), radix, length)
        parts = [wrap16(_multiply(it.reshape(shape), _DIVISORS[radix])) for it in (real, imaginary)]
        steps = np.arange(radix)[:, None] * np.arange(length) * (2 * points // (radix * length))
        turned = _turn(parts[0], parts[1], roots[steps, 0], roots[steps, 1])
        kept = [part[..., 0, :] for part in parts]
        joined = _join(radix, kept, [part[..., 1:, :] for part in turned])
        real, imaginary = (wrap16(np.stack(it, axis=-2)).reshape(real.shape) for it in joined)
        length *= radix
    return real, imaginary


def _join(
    radix: int, first: list[Int64s], others: list[Int64s]
) -> tuple[list[Int64s], list[Int64s]]:
    """A butterfly: its outputs' real and imaginary parts. Sums that wrap late wrap to the same."""
    (a, b), (re, im) = first, others
    if radix == 2:
        one, other = re[..., 0, :], im[..., 0, :]
        return [a + one, a - one], [b + other, b - other]
    sums = [part[..., 0, :] + part[..., 2, :] for part in (re, im)]
    differences = [part[..., 0, :] - part[..., 2, :] for part in (re, im)]
    even = [a + re[..., 1, :], b + im[..., 1, :]]
    odd = [a - re[..., 1, :], b - im[..., 1, :]]
    return (
        [even[0] + sums[0], odd[0] + differences[1], even[0] - sums[0], odd[0] - differences[1]],
        [even[1] + sums[1], odd[1] - differences[0], even[1] - sums[1], odd[1] + differences[0]],
    )


def _split(real: Int64s, imaginary: Int64s, roots: Int64s) -> Int64s:
    """The spectrum of real samples from that of their pairs."""
    half = real.shape[-1]
    bins = np.zeros((*real.shape[:-1], half + 1, 2), np.int64)
    a, b = (wrap16(_multiply(part, _ONE // 2)) for part in (real, imaginary))
    bins[..., 0, 0], bins[..., half, 0] = a[..., 0] + b[..., 0], a[..., 0] - b[..., 0]
    near, far = np.arange(1, half // 2 + 1), half - np.arange(1, half // 2 + 1)
    # The negative of -32768 is no int16: it stays what it is.
    mirrored = wrap16(_multiply(wrap16(-imaginary[..., far]), _ONE // 2))
    sum_real, sum_imaginary = a[..., near] + a[..., far], b[..., near] + mirrored
    turned_real, turned_imaginary = _turn(
        a[..., near] - a[..., far],
        b[..., near] - mirrored,
        roots[half // 2 + near, 0],
        roots[half // 2 + near, 1],
    )
    bins[..., near, 0] = sum_real + turned_real >> 1
    bins[..., near, 1] = sum_imaginary + turned_imaginary >> 1
    bins[..., far, 0] = sum_real - turned_real >> 1
    bins[..., far, 1] = turned_imaginary - sum_imaginary >> 1
    return bins.reshape(*real.shape[:-1], 2 * half + 2)


def _turn(
    real: Int64s, imaginary: Int64s, root_real: Int64s, root_imaginary: Int64s
) -> tuple[Int64s, Int64s]:
    """Complex product in Q0.15, half rounded up, wrapped."""
    return (
        wrap16(real * root_real - imaginary * root_imaginary + 2**14 >> 15),
        wrap16(real * root_imaginary + imaginary * root_real + 2**14 >> 15),
    )


def _multiply(values: Int64s, factor: int) -> Int64s:
    """Product in Q0.15, half rounded up."""
    return values * factor + 2**14 >> 15
