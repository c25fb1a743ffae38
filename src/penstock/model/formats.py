"""Formats: what an artifact is, told by the extension of its name and by nothing else."""

from pathlib import PurePath
from typing import Literal

from penstock.errors import UnsupportedArtifact
from penstock.model.signature import DType

Format = Literal["pickle", "skops", "onnx", "torchscript", "predictor"]

EXTENSIONS: dict[str, Format] = {
    ".pkl": "pickle",
    ".pickle": "pickle",
    ".joblib": "pickle",
    ".skops": "skops",
    ".onnx": "onnx",
    ".pt": "torchscript",
}
PREDICTOR = "predictor.py"
"""What a program is called that is a model wherever it lies; any other .py is one only where somebody says so."""

RUNS_CODE: frozenset[Format] = frozenset({"pickle", "torchscript", "predictor"})
"""Formats whose loading runs what their author wrote."""
COMPILABLE: frozenset[Format] = frozenset({"pickle", "skops"})
"""Formats whose models may be run as something else, where that is shown to be equal."""

_TO_ONNX = "export the model to ONNX and serve model.onnx"
_STATE = "such a file holds weights without a program: save torch.jit.script(model) as model.pt, or export to ONNX"
_BOOSTER = "pickle the scikit-learn wrapper of the booster, load it in a predictor.py, or export the model to ONNX"
_PACKED = "unpack it first"
REMEDIES = {
    ".keras": _TO_ONNX,
    ".h5": _TO_ONNX,
    ".hdf5": _TO_ONNX,
    ".pb": _TO_ONNX,
    ".tflite": _TO_ONNX,
    ".pmml": _TO_ONNX,
    ".mlmodel": _TO_ONNX,
    ".pt2": _TO_ONNX,
    ".pth": _STATE,
    ".ckpt": _STATE,
    ".bin": _STATE,
    ".safetensors": _STATE,
    ".json": _BOOSTER,
    ".ubj": _BOOSTER,
    ".cbm": _BOOSTER,
    ".bst": _BOOSTER,
    ".gz": _PACKED,
    ".bz2": _PACKED,
    ".xz": _PACKED,
    ".zip": _PACKED,
    ".tar": _PACKED,
    ".tgz": _PACKED,
}


def is_artifact(path: PurePath) -> bool:
    """Whether a file in a directory of models is one by its name alone."""
    return path.suffix.lower() in EXTENSIONS or path.name == PREDICTOR


def format_of(path: PurePath) -> Format:
    """The format that the extension declares. Raises UnsupportedArtifact, which says what to do instead."""
    extension = path.suffix.lower()
    known = "predictor" if extension == ".py" else EXTENSIONS.get(extension)
    if known:
        return known
    remedy = REMEDIES.get(extension)
    supported = ", ".join([*EXTENSIONS, ".py"])
    if remedy:
        raise UnsupportedArtifact(f"{path}: {extension} files are not served as they are: {remedy}")
    raise UnsupportedArtifact(f"{path}: the extension says what an artifact is, and it is none of {supported}")


def usual_dtype(kind: Format) -> DType:
    """The dtype of an input that is declared without one: what the format's models mostly compute in, and for own code
    the one that loses nothing."""
    return "float32" if kind in ("onnx", "torchscript") else "float64"
