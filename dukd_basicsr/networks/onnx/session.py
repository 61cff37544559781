"""What `basicsr export` wrote, run by onnxruntime, wherever a torch network could stand."""

from __future__ import annotations

import importlib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dukd_basicsr.errors import RunError, UserError, say_where
from dukd_basicsr.networks.padding import PROBE_SIZE, answer_zeros

MISSING_PACKAGES = "the packages of exported networks are not installed; pip install 'dukd-basicsr[export]'"
SUFFIX = '.onnx'


@dataclass(frozen=True)
class Metadata:
    """What an exported file says of itself, in the `metadata_props` of its model, as text."""

    dukd_version: str
    network: str
    """Type of the source, e.g. 'EDSR'."""
    scale: int
    channels: int
    """Of input and output."""
    colours: str
    """'RGB', 'grey', or the number of channels in words."""
    value_range: str
    """Of input and output: '[0, 1]'; the output may leave it and is to be clamped."""
    precision: str
    """'fp32', 'fp16' or 'int8': of the weights and the arithmetic; input and output are always float32."""
    opset: int
    params: int
    macs: int
    """For a 1280x720 output."""
    weights: str
    """File name of the source."""
    weights_sha256: str

    def to_text(self) -> dict[str, str]:
        """Name to value, both text, as `metadata_props` wants them."""
        return {name: str(value) for name, value in asdict(self).items()}

    @classmethod
    def from_text(cls, props: dict[str, str]) -> Metadata:
        """The inverse of `to_text`; what else is in `props` is left alone.

        Raises:
            KeyError: A value is missing.
            ValueError: A number is none.
        """
        values: dict[str, Any] = {field.name: props[field.name] for field in fields(cls)}
        values |= {field.name: int(props[field.name]) for field in fields(cls) if field.type == 'int'}
        return cls(**values)


def require_packages(what: str) -> None:
    """See that a graph can be made and run, before anything else is done.

    Args:
        what (str): That needs it, for the message.

    Raises:
        UserError: onnx or onnxruntime is not installed.
    """
    for package in ('onnx', 'onnxruntime'):
        try:
            importlib.import_module(package)
        except ImportError:
            raise UserError(f'{what}: {MISSING_PACKAGES}') from None


class ExportedNetwork(nn.Module):
    """A module without parameters that asks an onnxruntime session, on CUDA where onnxruntime has it, else on the CPU.

    The graph pads for windows itself, so images of any size are taken as they are.

    Args:
        session (onnxruntime.InferenceSession): Of a file with `metadata`.
        file (Path): Where it came from, for messages.
        metadata (Metadata): What the file says of itself.
    """

    def __init__(self, session: Any, file: Path, metadata: Metadata) -> None:
        super().__init__()
        self.session = session
        self.file = file
        self.metadata = metadata
        self.scale = metadata.scale
        self.channels = metadata.channels
        self.eval()

    @torch.no_grad()
    def forward(self, lq: Tensor) -> Tensor:
        """(B, channels, H, W) in [0, 1] to (B, channels, scale * H, scale * W) float32, on the input's device.

        Raises:
            RunError: onnxruntime cannot run the graph on it, e.g. for lack of memory.
        """
        (name,) = (each.name for each in self.session.get_inputs())
        try:
            (output,) = self.session.run(None, {name: lq.float().contiguous().cpu().numpy()})
        except Exception as error:  # onnxruntime's own kinds, which share no base class
            raise RunError(
                f'{self.file}: onnxruntime cannot run it on an input of {tuple(lq.shape)} ({_first_line(error)}).'
            ) from None
        return torch.from_numpy(output).to(lq.device)

    def __deepcopy__(self, memo: dict[int, Any]) -> ExportedNetwork:
        """Itself: a session has no state that a copy could keep apart."""
        return self


def open_exported(path: Path) -> ExportedNetwork:
    """Open what `basicsr export` wrote.

    It computes with as many threads as torch does, so that times compare.

    Args:
        path (Path): An .onnx file.

    Raises:
        UserError: onnxruntime is not installed; there is no such file; it is no ONNX model, or not one of `basicsr
            export`; it does not compute what it says of itself.
    """
    if not path.is_file():
        raise UserError(f'{path}: there is no such exported file{say_where(path)}.')
    session = open_session(path)
    try:
        metadata = Metadata.from_text(session.get_modelmeta().custom_metadata_map)
    except (KeyError, ValueError):
        raise UserError(
            f'{path}: this ONNX file does not say its scale and colours as those of basicsr export do; export it '
            f'again from its weights: basicsr export WEIGHTS -o {path.name}'
        ) from None
    net = ExportedNetwork(session, path, metadata)
    _check_answer(net)
    return net


def _check_answer(net: ExportedNetwork) -> None:
    """Ask for one small image: what a file says of itself may have been written for another graph."""
    about = net.metadata
    try:
        answer = answer_zeros(net, about.channels)
    except RunError as error:
        raise UserError(*error.messages) from None
    got, wanted = tuple(answer.shape), (1, about.channels, *[about.scale * PROBE_SIZE] * 2)
    again = 'export it again from its weights'
    if got != wanted:
        size = f'{PROBE_SIZE}x{PROBE_SIZE}'
        raise UserError(
            f'{net.file}: it says that it enlarges x{about.scale} with {about.channels} channels, but of an image of '
            f'{size} it makes {got}, not {wanted}; {again}.'
        )
    if not answer.isfinite().all():
        raise UserError(f'{net.file}: its answer has values that are no numbers; {again}.')


def open_session(model: Path | bytes, *, as_written: bool = False) -> Any:
    """An onnxruntime session with torch's number of threads.

    Args:
        model (Path | bytes): A file or its content.
        as_written (bool): Every node computed as it stands in the file. Otherwise onnxruntime rewrites the graph to
            make it fast: 'quantise, float convolution' becomes an integer convolution by the CPU's own instructions.

    Raises:
        UserError: onnxruntime is not installed, or cannot read the model.
    """
    name = model if isinstance(model, Path) else 'the exported graph'
    try:
        import onnxruntime
    except ImportError:
        raise UserError(f'{name}: {MISSING_PACKAGES}') from None
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    if as_written:
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.log_severity_level = 3  # its warnings are about nodes it moves to the CPU, and no one can act on them
    wanted = ('CUDAExecutionProvider', 'CPUExecutionProvider')
    providers = [provider for provider in wanted if provider in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(model, settings, providers=providers)
    except Exception as error:  # onnxruntime's own kinds, which share no base class
        raise UserError(f'{name}: onnxruntime finds no ONNX model in it ({_first_line(error)}).') from None


def _first_line(error: Exception) -> str:
    return str(error).partition('\n')[0].strip().rstrip('.')
