"""A graph as an ONNX file, its weights in fp32, in fp16 or in int8."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from textok.config.check import require
from textok.export.graph import Graph

if TYPE_CHECKING:
    import onnx

LARGEST = 1_500_000_000
"""Bytes of weights that lie in the file itself: protobuf stops at 2 GB."""
FEWEST = 1024
"""Numbers of a tensor that is worth storing in fewer bits."""
FP16_MOST = 65504.0


def write_graph(graph: Graph, path: Path) -> None:
    """Trace the module and write ``path``, and ``path``.data beside it where weights are large.

    Raises ValueError where torch cannot write it.
    """
    inputs = graph.example(batch=2)
    axes = tuple(port.axes for port in graph.inputs.values())
    size = sum(one.numel() * 4 for one in graph.module.parameters())
    try:
        with _quiet(), torch.no_grad():
            traced = torch.export.export(
                graph.module, tuple(inputs.values()), dynamic_shapes=axes, strict=False
            )
            program = torch.onnx.export(
                traced,
                (),
                dynamo=True,
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                verbose=False,
            )
            assert program is not None
            program.save(path, external_data=size > LARGEST)
    # What the exporter raises about a network has no common type.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(
            f"{graph.name}: torch {torch.__version__} cannot write this network as ONNX ({reason})"
        ) from error


def store_fp16(source: Path, target: Path) -> None:
    """The graph of ``source`` with its larger weights in fp16, each cast to fp32 as it is loaded.

    Only what is stored is rounded: the arithmetic stays in fp32, on any runtime.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(source)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < FEWEST:
            continue
        values = numpy_helper.to_array(tensor)
        if np.abs(values).max() > FP16_MOST:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}/fp16"))
        casts.append(helper.make_node("Cast", [f"{name}/fp16"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _save(model, target)


def store_int8(source: Path, target: Path) -> None:
    """The graph of ``source`` with dynamically quantised products, other weights in fp16.

    Quantised weights are of 7 bits: with 8, processors without VNNI instructions overflow the 16
    bits of their sums of two products, and the bundled model's images lose 8 to 16 dB.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    half = target.with_name(f"{target.stem}.quantised.onnx")
    with _quiet():
        quantize_dynamic(
            source,
            half,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            reduce_range=True,
            use_external_data_format=_data(source).is_file(),
        )
    store_fp16(half, target)
    half.unlink()
    _data(half).unlink(missing_ok=True)


def files_of(path: Path) -> list[Path]:
    """The file, and that of its weights where they lie beside it."""
    return [path, *([_data(path)] if _data(path).is_file() else [])]


def require_packages() -> None:
    """Raise ValueError where the packages of the extra ``onnx`` are missing."""
    from importlib.util import find_spec

    missing = [name for name in ("onnx", "onnxruntime", "onnxscript") if find_spec(name) is None]
    require(
        not missing,
        f"exporting needs {', '.join(missing)}: pip install 'textok[onnx]'",
    )


def _save(model: onnx.ModelProto, path: Path) -> None:
    import onnx

    size = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    data = _data(path).name if size > LARGEST else None
    onnx.save(model, path, save_as_external_data=data is not None, location=data)


def _data(path: Path) -> Path:
    return path.with_name(f"{path.name}.data")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep exporter and quantiser from telling what they do."""
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript", "onnx_ir", "root", "")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
