"""TorchScript programs. Loading one runs what its author wrote, as with a pickle; its inputs must be declared."""

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from penstock.errors import ArtifactError, ModelFailed, UnavailableDevice, UnsupportedArtifact
from penstock.host.inputs import settle
from penstock.host.model import Column, Outputs
from penstock.host.refusals import unreadable
from penstock.host.source import Source
from penstock.model.control import Artifact
from penstock.model.signature import DType, Output, OutputField

EXPORT = "save the program with `torch.jit.script(model).save('model.pt')`, or export to ONNX"


def load(source: Source, artifact: Artifact) -> "Program":
    """The program in the bytes that were hashed. Raises ArtifactError."""
    device = _device(artifact.device)
    torch.set_num_threads(artifact.threads)
    torch.set_num_interop_threads(1)
    try:
        load_program: Any = torch.jit.load  # it has no types
        module = load_program(io.BytesIO(source.data), map_location=device)
    except Exception as error:
        raise _no_program(source, artifact) or unreadable(error, source.data, artifact) from error
    return Program(module.eval(), device, artifact)


class Program:
    """A TorchScript module that answers batches: one argument a tensor, and what it returns is its outputs."""

    runtime = "torch"

    def __init__(self, module: Any, device: torch.device, artifact: Artifact) -> None:
        self.inputs, self.named = settle(artifact, (), named=False)
        if any(field.dtype == "string" for field in self.inputs):
            raise UnsupportedArtifact(f"{artifact.path} takes tensors, and text is none: declare numbers")
        self.device = str(device)
        self.trained_with: dict[str, str] = {}
        self._module = module
        self._on = device
        weights = (each.dtype for each in module.parameters() if each.dtype.is_floating_point)
        self._float = next(weights, torch.float32)

    def typical(self) -> Sequence[float] | None:
        """Nothing: a program does not remember what it saw."""
        return None

    def probe(self, tensors: Sequence[Column], rows: int) -> Output:
        answers = self._answers(tensors)
        for name, answer in answers.items():
            if answer.ndim == 0 or len(answer) != rows:
                raise ModelFailed(f"its output {name} has shape {answer.shape} for {rows} rows, not one for each row")
        return Output(fields=tuple(_field(name, answer) for name, answer in answers.items()))

    def predict(self, tensors: Sequence[Column], rows: int, probabilities: bool) -> Outputs:
        return Outputs(list(self._answers(tensors).values()))

    def _answers(self, tensors: Sequence[Column]) -> dict[str, np.ndarray[Any, Any]]:
        with torch.inference_mode():
            answer = self._module(*map(self._argument, tensors))
            return {name: _array(tensor) for name, tensor in _named(answer)}

    def _argument(self, column: Column) -> torch.Tensor:
        tensor = torch.from_numpy(np.asarray(column))
        return tensor.to(self._on, self._float if tensor.is_floating_point() else tensor.dtype)


def _device(asked: str) -> torch.device:
    if asked == "cpu" or (asked == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    device = torch.device("cuda:0" if asked in ("auto", "cuda") else asked)
    if (device.index or 0) >= torch.cuda.device_count():
        raise UnavailableDevice(
            f"device {asked} is not available: this PyTorch sees {torch.cuda.device_count()} CUDA devices; "
            "install one that has CUDA where there is a GPU, or say `device: cpu`"
        )
    return device


def _no_program(source: Source, artifact: Artifact) -> ArtifactError | None:
    """Why a file of torch's own is no program: weights alone, an eager model's pickle, an exported graph."""
    content = io.BytesIO(source.data)
    if not zipfile.is_zipfile(content):
        return None
    names = zipfile.ZipFile(content).namelist()
    if any("/code/" in name for name in names) or not any(name.endswith("data.pkl") for name in names):
        return None
    try:
        held = torch.load(io.BytesIO(source.data), weights_only=True, map_location="cpu")
    except Exception:  # noqa: BLE001  # whatever stops it, it is more than weights
        return UnsupportedArtifact(f"{artifact.path} is a checkpoint that needs its class to be loaded: {EXPORT}")
    kind = "a state_dict: weights without a program" if isinstance(held, dict) else f"a {type(held).__name__}"
    return UnsupportedArtifact(f"{artifact.path} holds {kind}: {EXPORT}")


def _named(answer: Any) -> list[tuple[str, torch.Tensor]]:
    if isinstance(answer, torch.Tensor):
        return [("output", answer)]
    if isinstance(answer, dict):
        return [(str(name), tensor) for name, tensor in answer.items()]
    if isinstance(answer, list | tuple):
        return [(f"output_{i}", tensor) for i, tensor in enumerate(answer)]
    raise ModelFailed(f"the program answered a {type(answer).__name__} and no tensor")


def _array(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    if tensor.dtype == torch.bfloat16:  # numpy has no such type
        tensor = tensor.float()
    return tensor.cpu().numpy()


def _field(name: str, answer: np.ndarray[Any, Any]) -> OutputField:
    dtype: DType = answer.dtype.name
    shape = answer.shape[1:]
    return OutputField(name=name, dtype=dtype, shape=() if shape == (1,) else shape)
