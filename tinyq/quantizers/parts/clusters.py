"""Levels that are found from the weights themselves: clusters, intervals, subsets. Pure NumPy."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.stats import gaussian_kde

Values = npt.NDArray[np.float64]
MOST = 127  # largest magnitude of an integer level
_ROUNDS = 30
_SUMMARY = 128


@dataclass(frozen=True, slots=True)
class Codebook:
    """Levels of a layer and the grid of integers on which they are stored.

    Attributes:
        levels: Real values, float64, ascending, shape (count,).
        grain: Real value of the integer 1; all levels lie in -127 .. 127 grains.
    """

    levels: Values
    grain: float


Fit = Callable[[Values, int], Codebook]


def on_fine_grid(levels: Values) -> Codebook:
    """Levels on the finest grid that holds them.

    grain = max |level| / 127, or 1 where all levels are 0
    """
    largest = float(np.abs(levels).max(initial=0.0))
    return Codebook(np.sort(levels), largest / MOST if largest > 0 else 1.0)


def spread_evenly(values: Values, count: int) -> Values:
    """First centers of clusters, at equal distances from the least to the largest value.

    Reference: Han et al. 2015, arXiv:1510.00149: linear initialization keeps the large weights.
    """
    return np.linspace(values.min(), values.max(), count)


def move_to_means(values: Values, centers: Values, rounds: int = _ROUNDS) -> Values:
    """Lloyd's turns of k-means: every value to its nearest center, every center to its mean.

        c_j = mean of w_i whose nearest center is c_j; a center without values stays

    Args:
        values: Real values, shape (n,).
        centers: First centers, ascending, shape (count,).
        rounds: Turns at most.

    Returns:
        Centers, ascending.
    """
    ordered = np.sort(values)
    totals = np.concatenate([[0.0], np.cumsum(ordered)])
    for _ in range(rounds):
        middles = (centers[1:] + centers[:-1]) / 2.0
        ends = np.concatenate([[0], np.searchsorted(ordered, middles), [len(ordered)]])
        counts = np.diff(ends)
        means = np.diff(totals[ends]) / np.maximum(counts, 1)
        moved = np.sort(np.where(counts > 0, means, centers))
        if np.array_equal(moved, centers):
            break
        centers = moved
    return centers


def find_means(values: Values, count: int) -> Codebook:
    """Centers of clusters with a small squared error.

        min over c of sum_i min_j (w_i - c_j)**2

    Reference: survey section 3.4.2 (k-means of DeepCompression and SLQ).
    """
    return on_fine_grid(move_to_means(values, spread_evenly(values, count)))


def find_means_beside_zero(values: Values, count: int) -> Codebook:
    """The same beside a level 0 that belongs to pruned weights, whose value is 0 already.

    Reference: Han et al. 2015, arXiv:1510.00149, pruning before sharing.
    """
    negative, positive = np.sort(values[values < 0]), np.sort(values[values > 0])
    kept = np.concatenate([negative, positive])
    if not kept.size:
        return on_fine_grid(np.zeros(count))
    # No center begins in the gap around zero, where it would stay without values.
    left = round((count - 1) * len(negative) / len(kept))
    sides = ((negative, left), (positive, count - 1 - left))
    first = [spread_evenly(side, n) for side, n in sides if n]
    centers = move_to_means(kept, np.concatenate(first))
    return on_fine_grid(np.append(centers, 0.0))


def find_density_means(values: Values, count: int) -> Codebook:
    """Centers of clusters of few values that stand for a smoothed histogram.

        f(x)   = 1 / (n h) sum_i K((x - w_i) / h),  K normal
        sample = quantiles of f at equal distances

    Args:
        values: Real values, shape (n,).
        count: Number of levels.

    Reference: Seo and Kim 2019, Applied Sciences 9(12) 2559, with quantiles for random numbers.
    """
    ordered = np.sort(values)
    thinned = ordered[np.linspace(0, len(ordered) - 1, min(len(ordered), 1024)).astype(int)]
    if np.ptp(thinned) == 0.0:
        return find_means(values, count)
    density = gaussian_kde(thinned)
    margin = 0.1 * np.ptp(thinned)
    grid = np.linspace(thinned[0] - margin, thinned[-1] + margin, 4 * _SUMMARY)
    reached = np.cumsum(density(grid))
    shares = (np.arange(_SUMMARY) + 0.5) / _SUMMARY
    return find_means(np.interp(shares, reached / reached[-1], grid), count)


def find_quantiles(values: Values, count: int) -> Codebook:
    """Levels that equally many values surround: the start of buckets that a hash fills.

    level_j = quantile at (j + 1/2) / count
    """
    return on_fine_grid(np.quantile(values, (np.arange(count) + 0.5) / count))


def weighted_entropy(importance: Values, ends: npt.NDArray[np.integer], total: int) -> float:
    """How much a clustering says, where large weights count more.

        S = -sum_n I_n P_n log P_n,  P_n = |C_n| / total,  I_n = mean importance of C_n

    Args:
        importance: Squares of the weights, in the order of the clusters.
        ends: Where each cluster begins, and the end of the last one.
        total: Number of all weights.

    Reference: survey eq. 12 to 15.
    """
    found = 0.0
    for start, end in itertools.pairwise(ends):
        share = (end - start) / total
        found -= float(importance[start:end].mean()) * share * np.log(share)
    return found


def part_by_entropy(importance: Values, count: int, total: int) -> npt.NDArray[np.intp]:
    """The borders of clusters with the largest weighted entropy.

    Sums over clusters are largest by dynamic programming over at most 128 places for borders, so
    that the result is the best one wherever there are no more values than places.

    Args:
        importance: Ascending, shape (n,).
        count: Number of clusters, at most n.
        total: Number of all weights, n or more.

    Returns:
        Ends as ``weighted_entropy`` takes them, shape (count + 1,).
    """
    size = len(importance)
    places = np.unique(np.linspace(0, size, min(size, _SUMMARY) + 1).astype(int))
    totals = np.concatenate([[0.0], np.cumsum(importance)])[places]
    lengths = places[None, :] - places[:, None]
    share = np.maximum(lengths, 1) / total
    gain = -(totals[None, :] - totals[:, None]) / np.maximum(lengths, 1) * share * np.log(share)
    gain = np.where(lengths > 0, gain, -np.inf)
    count = min(count, len(places) - 1)
    best = gain[0]
    steps = []
    for _ in range(count - 1):
        sums = best[:, None] + gain
        steps.append(sums.argmax(axis=0))
        best = sums.max(axis=0)
    chosen = [len(places) - 1]
    for step in reversed(steps):
        chosen.append(int(step[chosen[-1]]))
    return places[[0, *reversed(chosen)]]


def find_entropy_levels(values: Values, count: int) -> Codebook:
    """Clusters of the largest weighted entropy, negative and other weights apart.

        level = sign * sqrt(mean importance of the cluster)

    Args:
        values: Real values, shape (n,).
        count: Number of levels; each sign gets half of them.

    Reference: survey eq. 12 to 15; Park et al. 2017.
    """
    levels = []
    for sign, part in ((-1.0, values[values < 0]), (1.0, values[values >= 0])):
        importance = np.sort(np.square(part))
        if not importance.size:
            levels.append(np.zeros(count // 2))
            continue
        ends = part_by_entropy(importance, count // 2, len(values))
        means = np.array([importance[a:b].mean() for a, b in itertools.pairwise(ends)])
        levels.append(sign * np.sqrt(np.resize(means, count // 2)))
    return on_fine_grid(np.concatenate(levels))


def find_two_regions(values: Values, count: int) -> Codebook:
    """A fine grid in the middle, a coarse one outside, and the border of least error.

        levels = 0, +-p k / (n - 1) for k = 1 .. n - 1, +-(p + (m - p) k / n) for k = 1 .. n
        p      = argmin sum_i (w_i - q_i)**2 over shares of m = max |w|,  n = count / 4

    Args:
        values: Real values, shape (n,).
        count: Number of levels, one of which stays unused.

    Reference: Fang et al. 2020, arXiv:2002.00104: two regions, each with one bit less.
    """
    largest = float(np.abs(values).max(initial=0.0))
    quarter = count // 4
    summary = np.sort(np.abs(values))
    summary = summary[np.linspace(0, len(summary) - 1, 4 * _SUMMARY).astype(int)]

    def lay_out(border: float) -> Values:
        inner = border * np.arange(quarter) / (quarter - 1)
        outer = border + (largest - border) * np.arange(1, quarter + 1) / quarter
        return np.concatenate([inner, outer])

    borders = largest * np.linspace(0.05, 0.9, 35)
    errors = [np.square(summary - _nearest(summary, lay_out(b))).sum() for b in borders]
    positive = lay_out(float(borders[int(np.argmin(errors))]))
    return on_fine_grid(np.concatenate([-positive[1:], positive, positive[-1:]]))


_FIRST, _SECOND = (16, 8, 2, 0), (16, 4, 1, 0)
UNIVERSE = tuple(sorted({a + b for a, b in itertools.product(_FIRST, _SECOND)}))


@cache
def list_subsets(count: int) -> npt.NDArray[np.float64]:
    """All choices of ``count`` magnitudes among the sums of two powers of two, ascending rows.

        U = {p1 + p2 : p1 in {16, 8, 2, 0}, p2 in {16, 4, 1, 0}}

    Reference: Oh et al. 2022, with sixteen times its halves, so that all are integers.
    """
    return np.array(list(itertools.combinations(UNIVERSE, count)), np.float64)


def find_subset(values: Values, count: int, rounds: int = 4) -> Codebook:
    """The subset of the sums of two powers of two that fits the weights best.

        min over subset S and scale a of sum_i (|w_i| - a s_i)**2, s_i in S next to |w_i| / a

    Each subset's scale is fitted by turns of encoding and least squares, on at most 64 quantiles of
    the magnitudes.

    Args:
        values: Real values, shape (n,).
        count: Number of levels, two for each magnitude.
        rounds: Turns.

    Reference: Oh et al. 2022, Non-Uniform Step Size Quantization.
    """
    magnitudes = np.quantile(np.abs(values), (np.arange(64) + 0.5) / 64)
    subsets = list_subsets(count // 2)
    scale = np.maximum(magnitudes.max(), 1e-30) / subsets[:, -1]
    found = np.zeros((len(subsets), len(magnitudes)))
    for _ in range(rounds):
        found = _nearest_of_rows(magnitudes / scale[:, None], subsets)
        power = np.square(found).sum(axis=1)
        fitting = (found * magnitudes).sum(axis=1) / np.maximum(power, 1.0)
        scale = np.where(fitting > 0, fitting, scale)
    errors = np.square(magnitudes - scale[:, None] * found).sum(axis=1)
    best = int(np.argmin(errors))
    positive = subsets[best] * scale[best]
    return Codebook(np.sort(np.concatenate([-positive, positive])), float(scale[best]))


def find_powers(values: Values, count: int, exponents: int = 7) -> Codebook:
    """Centers of clusters, each moved to the nearest power of two of a window.

        level = sign(c) * 2**e next to c, e = e_max - exponents + 1 .. e_max, or 0

    Args:
        values: Real values, shape (n,).
        count: Number of clusters.
        exponents: Powers in the window; the largest is next to the largest magnitude.

    Reference: survey section 3.4.2 (ESLQ).
    """
    centers = find_means(values, count).levels
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0.0:
        return Codebook(np.zeros(count), 1.0)
    grain = 2.0 ** (np.floor(np.log2(4.0 * largest / 3.0)) + 1 - exponents)
    return Codebook(np.sort(next_powers(centers, grain, exponents)), float(grain))


def next_powers(values: Values, grain: float, exponents: int = 7) -> Values:
    """Zero or the signed power of two next to each value.

    Args:
        values: Real values.
        grain: Smallest power.
        exponents: Number of powers.
    """
    powers = np.concatenate([[0.0], grain * 2.0 ** np.arange(exponents)])
    return np.sign(values) * _nearest(np.abs(values), powers)


def part_in_three(values: Values, count: int, share: float = 0.05) -> Codebook:
    """The means of the weights above and below a threshold, and zero between them.

        levels = -mean |w| of w < -D, 0, mean |w| of w > D;  D = share * max |w|

    Args:
        values: Real values, shape (n,).
        count: 3.
        share: t of the threshold.

    Reference: survey eq. 22 and 25; the means as first values of the trained scales.
    """
    del count
    return _mean_of_each_sign(values, share * np.abs(values).max(initial=0.0))


def part_by_mean(values: Values, count: int) -> Codebook:
    """The same with the threshold of ternary weight networks.

        D = 0.7 mean |w|

    Reference: Li and Liu 2016, arXiv:1605.04711; Bai et al. 2019, arXiv:1810.00861, a mean for each
        sign.
    """
    del count
    return _mean_of_each_sign(values, 0.7 * float(np.abs(values).mean()))


def _mean_of_each_sign(values: Values, threshold: float) -> Codebook:
    sides = [np.abs(side) for side in (values[values < -threshold], values[values > threshold])]
    negative, positive = (float(side.mean()) if side.size else 1e-8 for side in sides)
    return on_fine_grid(np.array([-negative, 0.0, positive]))


def _nearest(values: Values, levels: Values) -> Values:
    """The level next to each value; ``levels`` ascending."""
    return levels[np.searchsorted((levels[1:] + levels[:-1]) / 2.0, values)]


def _nearest_of_rows(values: Values, levels: Values) -> Values:
    """The level of its own row next to each value; both with one row per choice."""
    found = np.broadcast_to(levels[:, :1], values.shape)
    for index in range(1, levels.shape[1]):
        middle = (levels[:, index - 1] + levels[:, index]) / 2.0
        found = np.where(values > middle[:, None], levels[:, index : index + 1], found)
    return found
