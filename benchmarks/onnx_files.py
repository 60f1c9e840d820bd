"""ONNX files by the real exporters, small and untrained: what `tests/slow/…` and the figures read.

    python benchmarks/onnx_files.py FOLDER

writes a file for each exporter that is installed: onnxruntime's static quantizer (QDQ and
QOperator, per tensor and per channel, signed and unsigned), torchao's PT2E flow, Brevitas' QCDQ,
and a float network for `tinyq quantize`.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

SHAPE = (1, 3, 16, 16)
_MAKERS: dict[str, tuple[tuple[str, ...], Callable[[Path], None]]] = {}


def maker(name: str, *needs: str) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Register what writes ``name``.onnx with packages ``needs``."""

    def register(function: Callable[[Path], None]) -> Callable[[Path], None]:
        _MAKERS[name] = (needs, function)
        return function

    return register


def write_files(folder: Path) -> Iterator[Path]:
    """Write every file whose exporter is installed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (needs, make) in _MAKERS.items():
        missing = [need for need in needs if importlib.util.find_spec(need) is None]
        if missing:
            print(f"{name}: left out, {', '.join(missing)} not installed", file=sys.stderr)
            continue
        path = folder / f"{name}.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            make(path)
        yield path


def _network(residual: bool = False) -> Any:
    import torch
    from torch import nn

    class Residual(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.inner = nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
                nn.BatchNorm2d(channels),
                nn.ReLU6(),
                nn.Conv2d(channels, channels, 1),
                nn.BatchNorm2d(channels),
            )

        def forward(self, x: Any) -> Any:
            return x + self.inner(x)

    torch.manual_seed(0)
    body = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)]
    body += [Residual(8), nn.ReLU()] if residual else []
    body += [nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.ReLU()]
    tail = (
        [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 10)]
        if residual
        else [nn.Flatten(), nn.Linear(12 * 16, 10)]
    )
    network = nn.Sequential(*body, *tail)
    with torch.no_grad():  # statistics as after training
        for _ in range(4):
            network(torch.randn(16, *SHAPE[1:]))
    return network.eval()


def _export(network: Any, path: Path, **options: Any) -> None:
    import torch

    with torch.no_grad():
        torch.onnx.export(
            network, (torch.randn(SHAPE),), str(path), external_data=False, verbose=False, **options
        )


class _Samples:
    """Calibration data for onnxruntime."""

    def __init__(self, name: str) -> None:
        rng = np.random.default_rng(0)
        self._samples = iter(
            [{name: rng.standard_normal(SHAPE).astype(np.float32)} for _ in range(16)]
        )

    def get_next(self) -> dict[str, Any] | None:
        return next(self._samples, None)


def _quantize_static(path: Path, residual: bool, dynamo: bool = False, **options: Any) -> None:
    import onnx
    from onnxruntime.quantization import quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    source, ready = path.with_suffix(".float"), path.with_suffix(".ready")
    _export(_network(residual), source, dynamo=dynamo)
    quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
    name = onnx.load(str(ready)).graph.input[0].name
    quantize_static(str(ready), str(path), _Samples(name), **options)
    source.unlink()
    ready.unlink()


def _kinds(names: str) -> dict[str, Any]:
    from onnxruntime.quantization import QuantFormat, QuantType

    form, activation, weight = names.split()
    return {
        "quant_format": getattr(QuantFormat, form),
        "activation_type": getattr(QuantType, activation),
        "weight_type": getattr(QuantType, weight),
    }


@maker("ort_qdq_u8_s8", "torch", "onnxruntime")
def _(path: Path) -> None:
    _quantize_static(path, True, **_kinds("QDQ QUInt8 QInt8"))


@maker("ort_qdq_s8_channels", "torch", "onnxruntime")
def _(path: Path) -> None:
    _quantize_static(path, True, per_channel=True, **_kinds("QDQ QInt8 QInt8"))


@maker("ort_qdq_s8_symmetric_dynamo", "torch", "onnxruntime")
def _(path: Path) -> None:
    extra = {"ActivationSymmetric": True}
    _quantize_static(path, False, True, extra_options=extra, **_kinds("QDQ QInt8 QInt8"))


@maker("ort_qoperator_u8_u8", "torch", "onnxruntime")
def _(path: Path) -> None:
    _quantize_static(path, True, **_kinds("QOperator QUInt8 QUInt8"))


@maker("ort_qoperator_u8_s8_channels", "torch", "onnxruntime")
def _(path: Path) -> None:
    _quantize_static(path, True, per_channel=True, **_kinds("QOperator QUInt8 QInt8"))


@maker("ort_qoperator_s8_s8", "torch", "onnxruntime")
def _(path: Path) -> None:
    _quantize_static(path, False, **_kinds("QOperator QInt8 QInt8"))


def _pt2e(path: Path, training: bool) -> None:
    import torch
    import torchao.quantization.pt2e.quantizer.x86_inductor_quantizer as x86
    from torchao.quantization.pt2e import move_exported_model_to_eval
    from torchao.quantization.pt2e.quantize_pt2e import (
        convert_pt2e,
        prepare_pt2e,
        prepare_qat_pt2e,
    )

    network = _network(residual=True)
    example = (torch.randn(SHAPE),)
    if training:
        network.train()
    exported = torch.export.export(network, example).module()
    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config(is_qat=training))
    prepare = prepare_qat_pt2e if training else prepare_pt2e
    prepared = prepare(exported, quantizer)
    for _ in range(8):
        prepared(torch.randn(SHAPE))
    if training:
        move_exported_model_to_eval(prepared)
    _export(convert_pt2e(prepared), path, dynamo=True)


@maker("torch_pt2e", "torch", "torchao")
def _(path: Path) -> None:
    _pt2e(path, training=False)


@maker("torch_pt2e_qat", "torch", "torchao")
def _(path: Path) -> None:
    _pt2e(path, training=True)


def _brevitas(path: Path, weight_bits: int, bits: int) -> None:
    import torch
    from brevitas import nn as qnn
    from brevitas.export import export_onnx_qcdq
    from brevitas.quant import Int8Bias, Uint8ActPerTensorFloat
    from torch import nn

    torch.manual_seed(0)
    quantized = {"weight_bit_width": weight_bits, "return_quant_tensor": True}
    network = nn.Sequential(
        qnn.QuantIdentity(return_quant_tensor=True),
        qnn.QuantConv2d(3, 8, 3, padding=1, bias=True, bias_quant=Int8Bias, **quantized),
        qnn.QuantReLU(act_quant=Uint8ActPerTensorFloat, bit_width=bits, return_quant_tensor=True),
        nn.MaxPool2d(2),
        qnn.QuantConv2d(8, 12, 3, stride=2, padding=1, bias=False, **quantized),
        qnn.QuantReLU(act_quant=Uint8ActPerTensorFloat, bit_width=bits, return_quant_tensor=True),
        nn.Flatten(),
        qnn.QuantLinear(12 * 16, 10, bias=True, bias_quant=Int8Bias, **quantized),
        qnn.QuantIdentity(return_quant_tensor=False),
    )
    for _ in range(8):
        network(torch.randn(SHAPE))
    network.eval()
    with torch.no_grad():
        export_onnx_qcdq(network, torch.randn(SHAPE), export_path=str(path), dynamo=False)


@maker("brevitas_w4_a4", "torch", "brevitas", "onnxoptimizer")
def _(path: Path) -> None:
    _brevitas(path, 4, 4)


@maker("brevitas_w2_a8", "torch", "brevitas", "onnxoptimizer")
def _(path: Path) -> None:
    _brevitas(path, 2, 8)


@maker("float", "torch")
def _(path: Path) -> None:
    _export(_network(residual=True), path, dynamo=False)


@maker("float_dynamo", "torch")
def _(path: Path) -> None:
    _export(_network(residual=True), path, dynamo=True)


if __name__ == "__main__":
    for written in write_files(Path(sys.argv[1])):
        print(written)
