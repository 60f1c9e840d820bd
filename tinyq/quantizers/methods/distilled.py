"""Ways to train a few-bit network beside a float one; their recipes have phases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tinyq import quantizers
from tinyq.quantizers.catalogue import catalogued, describe
from tinyq.quantizers.method import Entry, Method, option

if TYPE_CHECKING:
    from tinyq.quantizers.weights import WeightParts

_EVERY_LAYER = ("*",)


def _phase(epochs: int, rate: float, **said: Any) -> dict[str, Any]:
    return {"epochs": epochs, "rate": rate, **said}


def _fall(*steps: tuple[str, str]) -> list[Mapping[str, Any]]:
    """Phases from many bits to few, beside a float network that trains along."""
    held = [{"kind": "l2", "taps": list(_EVERY_LAYER), "mutual": True}]
    guide = {"teacher": "float", "teacher_trains": True, "losses": held}
    return [
        _phase(2, 1e-3, recipe={"weights": weights, "activations": activations}, **guide)
        for weights, activations in steps
    ]


describe(
    Entry(
        id="zhuang2018",
        title="Zhuang et al.",
        year=2018,
        reference=(
            "Bohan Zhuang et al.: Towards Effective Low-Bitwidth Convolutional Neural Networks"
        ),
        link="arXiv:1711.00205",
        wave="D",
        summary=(
            "first the weights, then the activations, from many bits to few, beside a float network"
        ),
        formulas=(
            "q_k(x) = round((2^k - 1) x) / (2^k - 1)",
            "k = 8, 4, 2 by turns; L = L_low + L_full + lambda sum |f_low - f_full|^2",
        ),
        recipes={
            "zhuang2018_4": {
                "phases": _fall(("dorefa4", "int8"), ("dorefa4", "dorefa4")),
            },
            "zhuang2018_2": {
                "phases": _fall(
                    ("dorefa4", "int8"),
                    ("dorefa2", "int8"),
                    ("dorefa2", "dorefa4"),
                    ("dorefa2", "dorefa2"),
                ),
            },
        },
        leaves_out=(
            "16 and 32 bits at the beginning: it starts from a trained float model; maps of single "
            "blocks: the values of every layer are held together"
        ),
    )
)

describe(
    Entry(
        id="dgrl",
        title="DGRL",
        year=2021,
        reference=(
            "Jianming Ye et al.: Distillation-guided residual learning for binary "
            "convolutional neural networks"
        ),
        wave="D",
        summary="a binary network guided by a float one, layer by layer",
        formulas=("L + sum over layers of |f_b - f_float|^2 / |f_float|^2",),
        recipes={
            "dgrl": {
                "weights": "xnor_net",
                "activations": "xnor_net",
                "phases": [
                    _phase(
                        6,
                        1e-3,
                        teacher="float",
                        losses=[{"kind": "l2", "taps": list(_EVERY_LAYER)}],
                    )
                ],
            }
        },
        leaves_out=(
            "the branch that squeezes and interacts beside each block; layers are held together "
            "rather than blocks"
        ),
    )
)

describe(
    Entry(
        id="apprentice",
        title="Apprentice",
        year=2018,
        reference=(
            "Asit Mishra and Debbie Marr: Apprentice: Using Knowledge Distillation "
            "Techniques To Improve Low-Precision Network Accuracy"
        ),
        link="arXiv:1711.05852",
        wave="D",
        summary="a few-bit student of a float teacher",
        formulas=(
            "L = a H(y, p_teacher) + b H(y, p_student) + c H(p_teacher, p_student)",
            "A: both train; B: the teacher is trained; C: the student was trained before, at a "
            "smaller rate",
        ),
        recipes={
            "apprentice_a": {
                "weights": "twn",
                "phases": [_phase(6, 1e-3, teacher="float", teacher_trains=True)],
            },
            "apprentice_b": {"weights": "twn", "phases": [_phase(6, 1e-3, teacher="float")]},
            "apprentice_c": {
                "weights": "twn",
                "phases": [_phase(4, 1e-3), _phase(2, 1e-4, teacher="float")],
            },
        },
        leaves_out=(
            "a teacher that is deeper than the student is `teacher: FILE`; distributions are "
            "softened by a temperature of 4"
        ),
    )
)


@catalogued(
    Entry(
        id="polino2018",
        title="Polino et al.",
        year=2018,
        reference="Antonio Polino et al.: Model compression via distillation and quantization",
        link="arXiv:1802.05668",
        wave="D",
        summary="distillation, and trained levels",
        formulas=(
            "L + c KL(teacher, student)",
            "trained levels: dL/dp_j = sum of dL/dw_i on level j; quantiles at first",
        ),
        weights={"polino2018_2": "c2", "polino2018_4": "c4"},
        options={"polino2018_2": {"bits": 2}, "polino2018_4": {"bits": 4}},
        recipes={
            "polino2018_distilled": {
                "weights": "int4",
                "phases": [_phase(6, 1e-3, teacher="float")],
            },
            "polino2018_levels": {
                "weights": "polino2018_4",
                "phases": [_phase(6, 1e-3, teacher="float")],
            },
        },
        leaves_out=(
            "buckets of 256 weights, each with a range of its own: levels are a layer's; which "
            "level "
            "a weight has stays as it was found first; stochastic rounding"
        ),
    )
)
@dataclass(frozen=True)
class Polino(Method):
    """Levels that are trained, each by the sum of its weights' gradients."""

    bits: int = option(4, "bits of a code", choices=(2, 4))

    def weights(self) -> WeightParts:
        """Parts for weights."""
        tables = quantizers.tables
        parts = quantizers.combinations.table(
            self.bits, quantizers.clusters.find_quantiles, moves="training", keeps=True
        )
        return replace(parts, gradient=tables.freeze_indices, projection=False)
