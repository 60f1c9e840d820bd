"""Front ends: from raw int16 samples to features, as graphs of integer operations."""

from tinyq.graph.front_ends.assembly import build_front_end, count_frames, count_warm_up
from tinyq.graph.front_ends.base import FrontEnd
from tinyq.graph.front_ends.cepstral import CepstralFrontEnd
from tinyq.graph.front_ends.energy import EnergyFrontEnd
from tinyq.graph.front_ends.presets import PRESETS, make_front_end
from tinyq.graph.front_ends.statistics import StatisticsFrontEnd

__all__ = [
    "PRESETS",
    "CepstralFrontEnd",
    "EnergyFrontEnd",
    "FrontEnd",
    "StatisticsFrontEnd",
    "build_front_end",
    "count_frames",
    "count_warm_up",
    "make_front_end",
]
