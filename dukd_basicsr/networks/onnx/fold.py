"""Graphs that compute weights from weights: computed once, by onnxruntime, before the file is written."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from dukd_basicsr.errors import RunError

_WEIGHTED = ('Conv', 'ConvTranspose', 'Gemm', 'MatMul')


def fold_constants(model: Any) -> Any:
    """Replace everything that does not depend on the input by its value, where a weight is among it.

    `networks.deploy` folds the blocks that it knows; what is left are networks that merge their branches in `forward`.
    The tracer writes that merging into the graph: thousands of nodes for kernels that never change. onnxruntime folds
    constants too, but only in memory, each time that a file is opened. Graphs whose weights are all stored stay as they
    are, node by node: nothing is fused in either case, so that quantisation finds the layers it knows.

    Args:
        model (onnx.ModelProto): Left unchanged.

    Returns:
        onnx.ModelProto: `model` itself where no weight is computed.

    Raises:
        RunError: onnxruntime cannot read the graph.
    """
    import onnx
    import onnxruntime

    if not _computed_weights(model):
        return model
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    settings.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'folded.onnx'
        settings.optimized_model_filepath = str(file)
        try:
            onnxruntime.InferenceSession(
                model.SerializeToString(), settings, providers=['CPUExecutionProvider'], disabled_optimizers=_FUSIONS
            )
        except Exception as error:  # onnxruntime's own kinds, which share no base class
            raise RunError(f'onnxruntime cannot fold the exported graph ({str(error).splitlines()[0]}).') from error
        folded = onnx.load(file)
    used = {node.domain for node in folded.graph.node}
    for opset in [opset for opset in folded.opset_import if opset.domain and opset.domain not in used]:
        folded.opset_import.remove(opset)  # onnxruntime lists every domain that it has
    return folded


_FUSIONS = [
    'ConvAddFusion',
    'ConvMulFusion',
    'ConvBNFusion',
    'PadFusion',
    'MatMulAddFusion',
    'MatMulBNFusion',
    'MatmulBNFusion',
    'GemmTransposeFusion',
    'GemmSumFusion',
    'GeluFusionL1',
    'LayerNormFusionL1',
]
"""What onnxruntime would merge at this level beside folding; a name that a version does not know changes nothing."""


def _computed_weights(model: Any) -> set[str]:
    """Names of weights that are computed from stored values alone."""
    stored = {tensor.name for tensor in model.graph.initializer}
    constant = set(stored) | {''}
    for node in model.graph.node:  # in the order of computation
        if all(name in constant for name in node.input):
            constant |= set(node.output)
    return {
        node.input[1]
        for node in model.graph.node
        if node.op_type in _WEIGHTED and node.input[1] in constant - stored and node.input[0] not in constant
    }
