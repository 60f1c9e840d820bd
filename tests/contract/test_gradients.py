"""The gradient of every method, at points on all sides of its borders, is the literature's.

The formulas are written out in NumPy from the survey and the papers; a method whose estimator has
no formula here fails.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import tensorflow as tf

from tinyq.quantizers import METHODS, find_activations
from tinyq.quantizers.curves import name_parts
from tinyq.quantizers.parts.slopes import soft_width_slope

WEIGHTS = [name for name, method in METHODS.items() if method.weights is not None]
ACTIVATIONS = [name for name, method in METHODS.items() if method.activations is not None]
STAGES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class State:
    """What a derivative depends on besides the value.

    Attributes:
        low: Real value of the smallest code.
        high: Real value of the largest code.
        progress: Share of the training that is over.
        steps: Codes but one.
    """

    low: float = -1.0
    high: float = 1.0
    progress: float = 0.0
    steps: int = 1


def within(condition):
    return np.asarray(condition, np.float64)


def follow_square(x, state):
    """Eq. 33, case by case."""
    del state
    left, right = (x >= -1) & (x < 0), (x >= 0) & (x < 1)
    return np.where(left, 2 + 2 * x, np.where(right, 2 - 2 * x, 0.0))


def follow_cube(x, state):
    """Derivative of eq. 34, case by case."""
    del state
    left, right = (x >= -1) & (x < 0), (x >= 0) & (x < 1)
    return np.where(left, 3 * (x + 1) ** 2, np.where(right, 3 * (x - 1) ** 2, 0.0))


def follow_tangent(x, state):
    """Eq. 35 and 36: k t (1 - tanh(t x)**2), t from 0.1 to 10 by equal factors."""
    t = 0.1 * 100.0**state.progress
    return max(1 / t, 1.0) * t / np.cosh(t * x) ** 2


def follow_logarithm(x, state):
    """Eq. 41 with tau = q_m - 1."""
    tail = 1 / np.where(x > state.high, x - (state.high - 1), 1.0)
    return np.where(x > 0, tail, 0.0)


def follow_quadratic(x, state):
    """RBNN: k (sqrt(2) t - t**2 |x|), t from .01 to 10 by equal factors."""
    t = 0.01 * 1000.0**state.progress
    return np.maximum(max(1 / t, 1.0) * (np.sqrt(2) * t - t**2 * np.abs(x)), 0.0)


SOFTNESS = 0.2
STEEPNESS = np.log(2 / SOFTNESS - 1)


def place_softly(x, state):
    """Codes as reals, the distance from the middle of two, and whether they are within."""
    v = x * state.steps / (state.high - state.low)
    ends = (end * state.steps / (state.high - state.low) for end in (state.low, state.high))
    low, high = (np.round(end) for end in ends)
    return v, v - np.floor(v) - 0.5, low, high


def follow_soft_steps(x, state):
    """DSQ: the slope of k-steep hyperbolic tangents that join at whole codes."""
    v, offset, low, high = place_softly(x, state)
    slope = STEEPNESS / np.cosh(STEEPNESS * offset) ** 2 / (2 * np.tanh(STEEPNESS / 2))
    return slope * ((v >= low) & (v <= high))


BY_VALUE = {
    "identity": lambda x, state: np.ones_like(x),  # table 3
    "clipped_identity": lambda x, state: within(np.abs(x) <= 1),  # eq. 31
    "sigmoid_slope": lambda x, state: np.exp(-x) / (1 + np.exp(-x)) ** 2,  # section 4.1
    "quadratic": follow_square,
    "cubic": follow_cube,
    "error_decay": follow_tangent,
    "positive": lambda x, state: within(x > 0),  # eq. 38
    "clipped_relu": lambda x, state: within((x > 0) & (x <= state.high)),  # eq. 39
    "log_tail": follow_logarithm,
    "unit_box": lambda x, state: within((x >= 0) & (x <= 1)),  # eq. 44, of R + v
    "inside": lambda x, state: within((x >= state.low) & (x <= state.high)),
    "below_level": lambda x, state: within((x >= 0) & (x < state.high)),  # eq. 45
    "below_magnitude": lambda x, state: within((x > state.low) & (x < state.high)),  # both signs
    "pass_on": lambda x, state: np.ones_like(x),  # table 3
    "freeze_indices": lambda x, state: np.zeros_like(x),  # centroids train in the weights' place
    "stochastic_slope": lambda x, state: 2 * np.exp(-x) / (1 + np.exp(-x)) ** 2,
    "tanh_then_identity": lambda x, state: np.where(
        state.progress >= 0.5, 1.0, 1 / np.cosh(x) ** 2
    ),
    "aware_quadratic": follow_quadratic,
    "soft_step_slope": follow_soft_steps,
    "segment_slope": lambda x, state: within((x >= 0) & (x < state.high)),  # all are alike at first
}


def by_level(x, state, count):
    """Eq. 47."""
    del count
    return within(x >= state.high)


def by_step(x, state, count, slope=None):
    """LSQ: the code less x / s within the range, the nearest end outside, over sqrt(N Q_p)."""
    steps = 2 ** count[1] - 1
    v = x * steps / (state.high - state.low)
    low, high = (
        np.round(end * steps / (state.high - state.low)) for end in (state.low, state.high)
    )
    inner = np.round(v) - v
    slopes = np.where(v <= low, low, np.where(v >= high, high, inner))
    if state.low < 0:  # Q_p of codes with a sign
        return slopes / np.sqrt(count[0] * (steps // 2))
    if slope == "coarse":
        slopes = np.where(v <= 0, 0.0, np.where(v > steps, steps, 2.0 ** (count[1] - 1)))
    return slopes / np.sqrt(count[0] * steps)


def by_signed_level(x, state, count):
    """Eq. 47 on either side."""
    del count
    return within(x >= state.high) - within(x <= state.low)


def by_zero(x, state, count):
    """LSQ+: an offset moves what is clipped, by a step for each code, with LSQ's factor."""
    steps = 2 ** count[1] - 1
    scale = (state.high - state.low) / steps
    out = within((x < state.low) | (x > state.high))
    return -scale * out / np.sqrt(count[0] * (steps // 2))


def by_coarse_step(x, state, count):
    """BCGD: 0, 2**(b-1) and 2**b - 1, with the factor of LSQ."""
    return by_step(x, state, count, "coarse")


def by_calibrated_level(x, state, count):
    """CG-PACT: what rounding adds within, 1 above."""
    share = x / state.high
    rounding = np.floor(share * state.steps + 0.5) / state.steps - share
    return np.where(x >= state.high, 1.0, rounding * ((x >= 0) & (x < state.high)))


def by_soft_width(x, state, count):
    """DSQ: phi(v) - v phi'(v) within, the nearest end outside, with LSQ's factor."""
    v, offset, low, high = place_softly(x, state)
    phi = np.floor(v) + 0.5 + np.tanh(STEEPNESS * offset) / (2 * np.tanh(STEEPNESS / 2))
    inner = phi - v * follow_soft_steps(x, state)
    return np.where(v < low, low, np.where(v > high, high, inner)) / np.sqrt(count[0] * state.steps)


def by_softness(x, state, count):
    """DSQ: how phi moves with a, by differences."""
    v, offset, low, high = place_softly(x, state)

    def phi(softness):
        steepness = np.log(2 / softness - 1)
        return np.tanh(steepness * offset) / (2 * (1 - softness))

    slope = (phi(SOFTNESS + 1e-6) - phi(SOFTNESS - 1e-6)) / 2e-6
    slope = slope * ((v >= low) & (v <= high)) * (state.high - state.low) / state.steps
    return slope / np.sqrt(count[0] * state.steps)


def by_code(x, state, count):
    """A code times a step, with LSQ's factor."""
    step = state.high / state.steps
    codes = np.clip(np.floor(x / step + 0.5), 0, state.steps)
    return codes / np.sqrt(count[0] * state.steps)


def by_corners(x, state, count):
    """N2UQ with segments that are alike: the sum over all of them is -x / s, as the line's own."""
    line = -x * state.steps / state.high * ((x >= 0) & (x < state.high))
    return line / np.sqrt(count[0] * state.steps)


# Derivatives by a trained number, of the value, the state, and the count of values and bits.
BY_NUMBER = {
    ("level", "clip_slope"): by_level,
    ("step", "step_slope"): by_step,
    ("step", "coarse_slope"): by_coarse_step,
    ("level", "signed_clip_slope"): by_signed_level,
    ("zero", "outside"): by_zero,
    ("level", "calibrated_clip_slope"): by_calibrated_level,
    ("step", "soft_width_slope"): by_soft_width,
    ("softness", "softness_slope"): by_softness,
    ("step", "code_slope"): by_code,
    ("segments", "corner_slope"): by_corners,
    ("shift", "unit_box"): lambda x, state, count: BY_VALUE["unit_box"](x, state),
    ("shift", "quadratic"): lambda x, state, count: BY_VALUE["quadratic"](x, state),
}


def array(tensor):
    return np.asarray(tensor, np.float64)


def tape_of(function, variables):
    with tf.GradientTape() as tape:
        tape.watch(variables)
        total = tf.reduce_sum(function())
    return tape.gradient(total, variables)


NAMED = ("zero", "softness", "segments")


def find_variable(quantizer, key):
    """The variable that keeps a trained number."""
    found = quantizer.trainable_variables
    own = [one for one in found if key in one.path]
    rest = [one for one in found if not any(name in one.path for name in NAMED)]
    (variable,) = own if key in NAMED else rest
    return variable


def differentiate_number(quantizer, key, encoding):
    """How a trained number moves with the variable that keeps it."""

    def number():
        if key == "shift":
            return quantizer.shift()
        if key == "segments":
            return quantizer.segments.value()
        steps = encoding.highest - (encoding.zero_point if quantizer.signed else encoding.lowest)
        return quantizer.encoding().scale * (float(steps) if key == "level" else 1.0)

    if key in ("zero", "softness"):
        return 1.0
    variable = find_variable(quantizer, key)
    (found,) = tape_of(number, [variable.value])
    return float(np.max(found))


def draw_points(encoding, rng):
    """Values below, on and above every border, and many between."""
    zero = float(encoding.zero_point)
    low = float(encoding.scale) * (encoding.lowest - zero)
    high = float(encoding.scale) * (encoding.highest - zero)
    borders = np.array([low, high, -1.0, 0.0, 1.0])
    beside = np.concatenate([borders - 1e-3, borders + 1e-3, [0.0]])
    points = np.concatenate([beside, rng.uniform(low - 1.5, high + 1.5, 61)])
    return points.astype(np.float32)[:, None]


SIGNED = [f"{name}(bits={bits},signed=True)" for name in ("lsq", "pact") for bits in (2, 3, 4)]


@pytest.mark.parametrize("name", [*ACTIVATIONS, *SIGNED])
def test_gradient_of_activations(name, rng):
    quantizer = find_activations(name).build(name="quantizer")
    quantizer(rng.normal(0.2, 1.0, (64, 1)).astype(np.float32), training=True)
    named = name_parts(name, "activations")
    for progress in STAGES if hasattr(quantizer, "setting") else (0.0,):
        quantizer.advance(progress)
        x = tf.constant(draw_points(quantizer.encoding(), rng))
        upstream = rng.normal(0, 1, x.shape).astype(np.float32)
        numbers = [variable.value for variable in quantizer.trainable_variables]
        by_x, *found = tape_of(
            lambda x=x, u=upstream: quantizer(x, training=True) * u, [x, *numbers]
        )
        paths = [variable.path for variable in quantizer.trainable_variables]
        encoding = quantizer.encoding()  # the range of some follows the batch
        scale, zero = float(encoding.scale), float(encoding.zero_point)
        ends = (scale * (end - zero) for end in (encoding.lowest, encoding.highest))
        state = State(*ends, progress, encoding.highest - encoding.lowest)
        values = array(x)
        if "gradient by shift" in named:
            values = values + array(numbers[0])
        wanted = BY_VALUE[named["gradient"]](values, state)
        np.testing.assert_allclose(by_x, wanted * upstream, rtol=1e-4, atol=1e-5)
        assert len(found) == sum(key.startswith("gradient by ") for key in named)
        for key, estimator in named.items():
            number = key.removeprefix("gradient by ")
            if number != key:
                bits = (encoding.highest - encoding.lowest + 1).bit_length() - 1
                slopes = BY_NUMBER[number, estimator](values, state, (values[0].size, bits))
                wanted = (slopes * upstream).sum()
                wanted *= differentiate_number(quantizer, number, encoding)
                own = found[paths.index(find_variable(quantizer, number).path)]
                assert float(np.sum(own)) == pytest.approx(wanted, rel=1e-4, abs=1e-4)


SHAPE, AXES = (40, 3), (0,)
PREPARED = {
    "squash": lambda w: np.tanh(w) / np.abs(np.tanh(w)).max(),
    "center": lambda w: w - w.mean(axis=0),
    "standardize": lambda w: (w - w.mean(axis=0)) / w.std(axis=0),
    "pruned": lambda w: w,  # gradients pass to all weights
}


def pull_back(prepare, weights, gradient):
    """Gradient by the weights of what is prepared from them, by differences."""
    found, delta = np.zeros(weights.shape), 1e-6
    for place in np.ndindex(*weights.shape):
        ahead, behind = weights.copy(), weights.copy()
        ahead[place] += delta
        behind[place] -= delta
        found[place] = ((prepare(ahead) - prepare(behind)) * gradient).sum() / (2 * delta)
    return found


def slope_of_weights(name, quantizer, weights, state):
    """dw_q/dv of a method's quantized weights."""
    estimator = name_parts(name, "weights")["gradient"]
    if estimator != "scaled_by_level":
        return BY_VALUE[estimator](weights, state)
    low, _, high = array(quantizer.trainable_variables[0].value)  # eq. 23
    threshold = 0.05 * np.abs(weights).max()
    return np.where(weights > threshold, high, np.where(weights < -threshold, -low, 1.0))


def turn(quantizer, weights):
    """RBNN: the matrix of each channel between two rotations, of standardized weights."""
    left, right = array(quantizer.first), array(quantizer.second)
    ready = PREPARED["standardize"](weights)
    turned = [left.T @ w.reshape(len(left), len(right)) @ right for w in ready.T]
    return np.stack([w.ravel() for w in turned], axis=-1)


def follow_sigmoids(quantizer, weights, progress):
    """Quantization networks: T s(T (w / width - b)) (1 - s) height / width, over all b."""
    sharpness = 2.0 * 50.0**progress
    width, height = (float(np.max(array(n.value()))) for n in (quantizer.width, quantizer.height))
    total = np.zeros(SHAPE)
    for border in array(quantizer.borders):
        share = 1 / (1 + np.exp(-sharpness * (weights / width - border)))
        total += sharpness * share * (1 - share) * height / width
    return total


# Slopes of methods that train through a smooth curve, of quantizer, weights and progress.
SOFT = {
    "RelaxedQuantizer": lambda q, w, progress: 1.0 if progress >= 0.5 else 1 / np.cosh(w) ** 2,
    "SigmoidQuantizer": follow_sigmoids,
    "ChoiceQuantizer": lambda q, w, progress: 0.0,  # logits train in the weights' place
}


def expect_weights(name, quantizer, weights, upstream, progress):
    """dL/dw of a method, and the state it holds for."""
    parts = METHODS[name].weights
    scale = array(quantizer.split(weights.astype(np.float32))[1])
    low, high = (float(scale.max()) * end for end in (parts.levels.lo, parts.levels.hi))
    state = State(low, high, progress, parts.levels.hi - parts.levels.lo)
    change = PREPARED.get(name_parts(name, "weights").get("prepare"))
    procedure = parts.procedure
    if name == "rbnn":
        change = lambda w: turn(quantizer, w)  # noqa: E731
    if name == "lns":  # a network that is still 0
        change = lambda w: w / np.abs(w).mean(axis=0)  # noqa: E731
    ready = weights if change is None else change(weights)
    if procedure.forward == "soft":
        slope = SOFT[type(quantizer).__name__](quantizer, ready, progress) * np.ones(SHAPE)
    else:
        slope = slope_of_weights(name, quantizer, ready, state)
    if name == "lns":
        slope = slope * scale
    if procedure.forward == "master":
        slope = np.ones(SHAPE)
    if procedure.forward == "mixed":
        share = 1.0 / (float(quantizer.setting.numpy()) + 1.0)
        slope = share + (1.0 - share) * slope
    if procedure.freezes:
        slope = slope * (array(quantizer.frozen) == 0)
    gradient = slope * upstream
    if name.startswith("ewgs"):
        v = np.clip(weights / scale, parts.levels.lo, parts.levels.hi)
        codes = array(quantizer.split(weights.astype(np.float32))[0])
        gradient = gradient * (1 + 0.2 * np.sign(gradient) * (v - codes))
    return gradient if change is None else pull_back(change, weights, gradient)


@pytest.mark.parametrize("name", WEIGHTS)
def test_gradient_of_weights(name, rng):
    kernel = tf.Variable(rng.normal(0, 0.6, SHAPE).astype(np.float32))
    quantizer = METHODS[name].weights.build(AXES)
    quantizer.build(SHAPE)
    quantizer(kernel)
    for progress in STAGES if METHODS[name].weights.procedure.schedule else (0.0,):
        quantizer.advance(kernel, progress)
        upstream = rng.normal(0, 1, SHAPE).astype(np.float32)
        (found,) = tape_of(lambda u=upstream: quantizer(kernel) * u, [kernel])
        wanted = expect_weights(name, quantizer, array(kernel), upstream, progress)
        found = np.zeros(SHAPE) if found is None else array(found)
        np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=1e-4)


def expect_step(quantizer, weights, upstream):
    """LSQ's gradient by the step of a layer."""
    codes, scale = (array(part) for part in quantizer.split(weights.astype(np.float32)))
    lo, hi = quantizer.parts.levels.lo, quantizer.parts.levels.hi
    v = weights / scale
    slopes = np.where(v <= lo, lo, np.where(v >= hi, hi, codes - v))
    return (slopes * upstream).sum() / np.sqrt(weights.size * hi)


def expect_levels(quantizer, weights, upstream):
    """The sum of the gradients of a level's weights; eq. 24 with -Wn for the level itself."""
    codes = array(quantizer.split(weights.astype(np.float32))[0]).ravel()
    own = codes[:, None] == np.unique(codes)
    sums = (own * upstream.reshape(-1, 1)).sum(axis=0)
    return np.sort(sums * (np.unique(codes) != 0))


STEPPED = [
    name
    for name in WEIGHTS
    if METHODS[name].weights.learned
    and METHODS[name].weights.learned.slope is not soft_width_slope
    and METHODS[name].weights.procedure.forward == "quantized"
]
TABLED = [
    name
    for name in WEIGHTS
    if getattr(METHODS[name].weights, "table", None) is not None
    and METHODS[name].weights.table.learned
    and METHODS[name].weights.procedure.forward == "quantized"
]


@pytest.mark.parametrize("name", [*STEPPED, *TABLED])
def test_gradient_of_what_trains_beside_the_weights(name, rng):
    weights = rng.normal(0, 0.6, SHAPE).astype(np.float32)
    quantizer = METHODS[name].weights.build(AXES)
    quantizer.build(SHAPE)
    quantizer(weights)
    (number,) = quantizer.trainable_variables
    upstream = rng.normal(0, 1, SHAPE).astype(np.float32)
    (found,) = tape_of(lambda: quantizer(weights) * upstream, [number.value])
    if name in STEPPED:
        wanted = expect_step(quantizer, weights.astype(np.float64), upstream)
        (step_by_variable,) = tape_of(lambda: quantizer.split(weights)[1][0, 0], [number.value])
        wanted *= float(np.sum(step_by_variable))
        assert float(np.sum(found)) == pytest.approx(wanted, rel=1e-3, abs=1e-4)
        return
    sums = expect_levels(quantizer, weights, upstream)
    found = np.sort(array(found))
    np.testing.assert_allclose(found[found != 0], sums[sums != 0], rtol=1e-4, atol=1e-5)


def test_every_trained_number_of_weights_is_looked_at():
    """Besides steps and levels, penalties train numbers, and methods with tests of their own."""
    others = set(WEIGHTS) - set(STEPPED) - set(TABLED)
    trained = set()
    for name in others:
        quantizer = METHODS[name].weights.build(AXES)
        quantizer.build(SHAPE)
        if quantizer.trainable_variables:
            trained.add(name)
    apart = {"dsq2", "dsq4", "slb1", "slb4", "lns", "rbnn"}
    apart |= {"quantization_networks2", "quantization_networks3"}  # unit/test_newer_methods.py
    assert trained == {"chikin2022_4", "soft_weight_sharing4"} | apart
