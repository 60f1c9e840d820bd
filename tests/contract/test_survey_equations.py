"""Every equation that the survey prints wrongly has a test of the right one, and a method it is of.

The survey's numbers are those of its section 3 to 5; `right` is the formula as it must be.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

from tinyq.quantizers.catalogue import load_catalogue

TESTS = Path(__file__).parents[1]
UNIT, BASES = "unit/test_equations.py", "unit/test_bases.py"
TABLES, STEPPED = "unit/test_tables.py", "unit/test_stepped.py"
PRODUCTS = "bitexact/test_equations.py"


@dataclass(frozen=True, slots=True)
class Equation:
    """An equation of the survey.

    Attributes:
        right: What it must say.
        methods: Rows of the catalogue that rest on it; none for an equation of no method.
        shown: File and function of the tests that show it.
    """

    right: str
    methods: tuple[str, ...]
    shown: tuple[tuple[str, str], ...]


def equation(right: str, methods: str, *shown: tuple[str, str]) -> Equation:
    return Equation(right, tuple(methods.split()), shown)


FAULTY = {
    7: equation(
        "Q(x, v) = v^T e_l for x in (t_l, t_(l+1)], t_l in the middle of neighbouring levels",
        "lq_nets",
        (BASES, "test_eq_7_signs_of_the_nearest_sum"),
    ),
    10: equation(
        "P(t = sign w) = |w|, P(t = 0) = 1 - |w|, so that 0 stays 0",
        "ternaryconnect",
        (UNIT, "test_eq_8_to_10_random_codes_have_the_mean_of_the_weights"),
    ),
    11: equation(
        "Q(0) = 0; Q(x) = sign(x) 2^clip(round(log2 |x|), FSR - 2^b, FSR)",
        "miyashita lognet inq wess_pot_reg tang_kwan1993 marchesi1993 nayak2019",
        (UNIT, "test_eq_11_powers_are_bounded_and_zero_stays"),
        (BASES, "test_eq_11_powers_of_gradients"),
    ),
    16: equation(
        "a, D = argmin |W - a T|^2",
        "twn fgq hwang_sung2014",
        (UNIT, "test_eq_17_best_threshold_against_brute_force"),
        (BASES, "test_eq_16_and_17_hold_for_every_group"),
    ),
    17: equation(
        "D = argmax (sum of |w| > D)^2 / count",
        "twn fgq bcgd binaryrelax hwang_sung2014",
        (UNIT, "test_eq_17_best_threshold_against_brute_force"),
        (UNIT, "test_eq_17_per_channel_is_the_same_as_alone"),
    ),
    22: equation("w_t = 0 for |w| <= D", "ttq", (TABLES, "test_eq_22_to_24_through_the_quantizer")),
    24: equation(
        "dL/dWn = -sum of dL/dw_t over w < -D",
        "ttq",
        (UNIT, "test_eq_24_scale_gradients_against_differences"),
        (TABLES, "test_eq_22_to_24_through_the_quantizer"),
    ),
    26: equation("a = mean |W| + 0.05 max |W|", "elq", (UNIT, "test_eq_26_and_27_use_magnitudes")),
    29: equation(
        "dw_kj = rate delta_j y_k, delta_j = h'(x_j) sum_i delta_i w_ji",
        "perceptron1957 ste_theory_cheng2019",
        (UNIT, "test_eq_29_delta_rule_with_the_slopes_of_the_estimators"),
    ),
    30: equation(
        "E = integral of |Q(x) - Qt(x)|",
        "bnn bi_realnet",
        (UNIT, "test_eq_30_areas_between_sign_and_approximation"),
    ),
    36: equation(
        "t = Tmin 10^(i / N log10(Tmax / Tmin))",
        "ir_net",
        (UNIT, "test_eq_36_sharpness_ends_at_ten"),
        ("contract/test_gradients.py", "test_gradient_of_activations"),
    ),
    40: equation("tau = q_m - 1", "hwgq", (UNIT, "test_eq_40_and_41_log_tail_is_continuous")),
    41: equation("tau = q_m - 1", "hwgq", (UNIT, "test_eq_40_and_41_log_tail_is_continuous")),
    44: equation("dc/dR = dc/dA for 0 <= R + v <= 1", "abc_net", (UNIT, "test_eq_42_to_44_shift")),
    46: equation(
        "y_q = round(y (2^k - 1) / a) a / (2^k - 1)",
        "pact",
        (UNIT, "test_eq_45_to_47_clipping_level"),
    ),
    50: equation(
        "J = L + lambda sum_l sum_i sum_j (1 - W_ij^2)",
        "tang2017",
        (UNIT, "test_eq_50_pulls_weights_to_the_signs"),
    ),
    51: equation(
        "R = min(|w + mu|, |w - mu|, tan(beta) |w|)",
        "sq_smart",
        (UNIT, "test_eq_51_is_the_distance_from_three_levels"),
    ),
    56: equation(
        "x~ = clip(round(log2 x), FSR - 2^b, FSR), 0 apart",
        "miyashita lognet",
        (STEPPED, "test_eq_56_rounds_logarithms_within_bounds"),
    ),
    57: equation(
        "y = sum sign(w) 2^(w~ + x~), zeros skipped",
        "miyashita lognet",
        (PRODUCTS, "add_exponents"),
    ),
    59: equation(
        "y = sum_m sum_n 2^(m + n) bitcount(w_m and x_n)",
        "dorefa qnn",
        (PRODUCTS, "count_planes"),
        (UNIT, "test_eq_59_on_the_packed_planes_of_both_operands"),
    ),
    60: equation(
        "y = 2 bitcount(xnor(W, X)) - n",
        "bnn xnor_net bi_realnet ir_net tang2017 abc_net",
        (PRODUCTS, "count_signs"),
        (UNIT, "test_eq_60_on_packed_signs"),
    ),
    61: equation(
        "y = sum_i sum_j v_i v_j (2 bitcount(xnor(b_i, b_j)) - n)",
        "lq_nets abc_net",
        (PRODUCTS, "weigh_bases"),
        (PRODUCTS, "weigh_planes"),
        (UNIT, "test_eq_61_on_packed_bases"),
    ),
}
# Right or incomplete as printed, with a pitfall of their own.
INCOMPLETE = {
    18: equation(
        "0.7 is between 2/3 for uniform and 0.77 for normal weights",
        "twn venkatesh",
        (UNIT, "test_eq_18_is_near_the_best_threshold"),
    ),
    21: equation(
        "bases are fitted by least squares",
        "abc_net",
        (BASES, "test_eq_21_signs_of_shifted_weights"),
        (BASES, "test_basis_has_the_least_squared_error"),
    ),
    34: equation(
        "dF/da = 3 (1 - |a|)^2 within -1 .. 1",
        "bi_realnet",
        ("contract/test_gradients.py", "test_gradient_of_activations"),
    ),
    37: equation(
        "no bin of zero for small positive x",
        "hwgq",
        (STEPPED, "test_eq_37_has_no_bin_of_zero_for_small_positive_values"),
    ),
    42: equation(
        "h_v(x) = clip(x + v, 0, 1), borders included",
        "abc_net",
        (UNIT, "test_eq_42_to_44_shift"),
        ("unit/test_quantizers.py", "test_estimator_points"),
    ),
    47: equation(
        "dy/da; dy/dx = 1 for 0 <= x < a", "pact", (UNIT, "test_eq_45_to_47_clipping_level")
    ),
    52: equation(
        "distance from the own level",
        "wess_reg",
        (UNIT, "test_eq_52_and_53_weigh_the_distance_from_the_own_level"),
    ),
    53: equation(
        "the same, weighted",
        "wess_pot_reg",
        (UNIT, "test_eq_52_and_53_weigh_the_distance_from_the_own_level"),
    ),
    55: equation(
        "right shifts would lose bits: exponents start at 0",
        "miyashita lognet nayak2019",
        (PRODUCTS, "shift_by_codes"),
        (STEPPED, "test_eq_55_products_with_log_activations_are_shifts"),
    ),
    58: equation(
        "the highest plane of two's complement is negative; planes of signs are +1 and -1",
        "dorefa qnn",
        (UNIT, "test_eq_58_planes_of_packed_words"),
        (BASES, "test_eq_58_codes_of_signs_are_planes"),
        (PRODUCTS, "count_planes"),
    ),
}
# Section 5.1 of the catalogue's faults, and its notes on the equations of waves A to C.
PRINTED_WRONGLY = {7, 10, 11, 16, 17, 22, 24, 26, 29, 30, 36, 40, 41, 44, 46, 50, 51, 56, 57}
PRINTED_WRONGLY |= {59, 60, 61}
NOTED = {18, 21, 34, 37, 42, 47, 55, 58}
ALL = FAULTY | INCOMPLETE


def functions_of(path: str) -> set[str]:
    tree = ast.parse((TESTS / path).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_faulty_equation_is_listed():
    assert set(FAULTY) == PRINTED_WRONGLY
    assert set(INCOMPLETE) >= NOTED


@pytest.mark.parametrize("number", ALL)
def test_equation_has_a_test_and_a_method(number):
    entry = ALL[number]
    assert entry.shown and entry.right and entry.methods
    for path, name in entry.shown:
        assert name in functions_of(path), f"eq. {number}: {path} has no {name}"
    rows = load_catalogue()
    for method in entry.methods:
        assert rows[method].wave in "ABC" and rows[method].trains, (number, method)


def test_products_are_all_run():
    """Those of generated C are drawn by a table of their own."""
    from tests.bitexact.test_equations import EQUATIONS

    drawn = {draw.__name__ for draw in EQUATIONS.values()}
    named = {name for entry in ALL.values() for path, name in entry.shown if path == PRODUCTS}
    assert named == drawn
