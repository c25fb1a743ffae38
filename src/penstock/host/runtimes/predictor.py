"""Own code: a Python file with a small class, for whatever no other format holds. Importing it runs it."""

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.errors import ArtifactError, ConfigurationError, ModelFailed, UnreadableArtifact, UnsupportedArtifact
from penstock.host.answers import as_array, demand_kind
from penstock.host.inputs import anonymous, settle
from penstock.host.model import Column, Outputs
from penstock.host.own_code import expose
from penstock.host.refusals import raised
from penstock.host.source import Source
from penstock.model.control import Artifact
from penstock.model.formats import usual_dtype
from penstock.model.manifest import MANIFEST, Manifest
from penstock.model.signature import DType, Field, Output, OutputField, Signature

CLASS = "Predictor"
WRITE = f"write `class {CLASS}` with `load(self, path)` and `predict(self, batch)`"
DTYPES = frozenset(
    {"float64", "float32", "float16", "bool", *(f"{s}int{b}" for s in ("", "u") for b in (8, 16, 32, 64))}
)
ONLY = "prediction"  # what the answer is called that has no name


def load(source: Source, artifact: Artifact) -> "Predictor":
    """The class in the bytes that were hashed, made and told to load. Raises ArtifactError."""
    kind = _class(_module(source, artifact), artifact)
    try:
        own = kind()
    except Exception as error:
        raise raised(error, artifact, f"{kind.__name__}(), which is called without arguments,") from error
    try:
        own.load(Path(artifact.root))
    except Exception as error:
        raise raised(error, artifact, f"{kind.__name__}.load") from error
    return Predictor(own, artifact)


class Predictor:
    """An object with `predict` that answers batches.

    It is given one array where all fields fit in one, rows first, and else a dictionary with an array for each field.
    It returns an array, a list, or a dictionary of these, with an entry for each row.
    """

    runtime = "python"

    def __init__(self, own: Any, artifact: Artifact) -> None:
        said = _signature(own, artifact)
        if not said and not artifact.inputs:
            raise UnsupportedArtifact(
                f'{artifact.path} does not say what it takes: give the class a `signature` ("4", say, or a list of '
                f"fields), or declare `inputs:` in {MANIFEST} or --inputs on the command line"
            )
        self.inputs, self.named = settle(artifact, said, named=bool(said) and not anonymous(said))
        self.device = str(getattr(own, "device", artifact.device))
        self.trained_with: dict[str, str] = {}
        self._call: Callable[[Any], Any] = own.predict
        self._arrange = _arranger(self.inputs)
        self._fields: tuple[OutputField, ...] = ()

    def typical(self) -> Sequence[float] | None:
        """Nothing: what own code remembers is its own affair."""
        return None

    def probe(self, tensors: Sequence[Column], rows: int) -> Output:
        answers = self._answers(tensors, rows)
        self._fields = tuple(_field(name, array) for name, array in answers.items())
        return Output(fields=self._fields)

    def predict(self, tensors: Sequence[Column], rows: int, probabilities: bool) -> Outputs:
        answers = self._answers(tensors, rows)
        names = [field.name for field in self._fields]
        if list(answers) != names:
            raise ModelFailed(f"predict answered {', '.join(answers)} where {', '.join(names)} was expected")
        for field in self._fields:  # before `output:` makes something else of it
            demand_kind(field, answers[field.name])
        return Outputs(list(answers.values()))

    def _answers(self, tensors: Sequence[Column], rows: int) -> dict[str, NDArray[Any]]:
        answer = self._call(self._arrange(tensors))
        named = answer if isinstance(answer, dict) else {ONLY: answer}
        arrays = {str(name): _array(values) for name, values in named.items()}
        if not arrays:
            raise ModelFailed("predict answered an empty dictionary")
        for name, array in arrays.items():
            _demand_rows(name, array, rows, named[name])
        return arrays


# ------------------------------------------------------------------ the class
def _module(source: Source, artifact: Artifact) -> ModuleType:
    """The file as a module of its own name, which runs it."""
    name = Path(artifact.path).stem
    if not name.isidentifier() or name in sys.stdlib_module_names or name in sys.modules:
        raise UnsupportedArtifact(f"{artifact.path} has the name of another module, or none: call it predictor.py")
    expose({name: source})
    try:
        return importlib.import_module(name)
    except SyntaxError as error:
        if error.filename != str(source.path):
            raise raised(error, artifact, "importing it") from error
        raise UnreadableArtifact(f"{artifact.path} is not valid Python: {error.msg}, line {error.lineno}") from error
    except Exception as error:
        raise raised(error, artifact, "importing it") from error


def _class(module: ModuleType, artifact: Artifact) -> type[Any]:
    """The class called Predictor, or the only one that predicts. Raises UnsupportedArtifact."""
    own = [kind for kind in vars(module).values() if _predicts(kind) and kind.__module__ == module.__name__]
    named: Any = getattr(module, CLASS, None)
    if _predicts(named):
        own = [named]
    if len(own) == 1:
        return _loading(own[0], artifact)
    if own:
        names = ", ".join(kind.__name__ for kind in own)
        raise UnsupportedArtifact(f"{artifact.path} has several classes with `predict` ({names}): call one {CLASS}")
    raise UnsupportedArtifact(f"{artifact.path} defines no class with `predict`: {WRITE}")


def _predicts(kind: object) -> bool:
    return inspect.isclass(kind) and callable(getattr(kind, "predict", None))


def _loading(kind: type[Any], artifact: Artifact) -> type[Any]:
    if callable(getattr(kind, "load", None)):
        return kind
    raise UnsupportedArtifact(
        f"{artifact.path}: {kind.__name__} has no `load(self, path)`: add it; `path` is the directory, and where there "
        "is nothing to load from it, `pass` will do"
    )


def _signature(own: Any, artifact: Artifact) -> tuple[Field, ...]:
    """The fields that the object's `signature` declares, in the forms that `inputs:` has. Raises ArtifactError."""
    said = getattr(own, "signature", None)
    try:
        said = said() if callable(said) else said
        inputs = list(said) if isinstance(said, tuple) else said
        return Manifest(inputs=inputs).fields(usual_dtype(artifact.format))
    except ConfigurationError as error:
        wrong = str(error).removeprefix(f"{MANIFEST}: ").removeprefix("inputs").removeprefix(": ")
        raise UnsupportedArtifact(f"{artifact.path}: signature{wrong and ': '}{wrong}") from None
    except ArtifactError:
        raise
    except Exception as error:
        raise raised(error, artifact, "its signature") from error


# ------------------------------------------------------------------ batches and answers
def _arranger(inputs: tuple[Field, ...]) -> Callable[[Sequence[Column]], Any]:
    """What makes the argument of `predict` of a batch's tensors."""
    names = [tensor.name for tensor in Signature(inputs=inputs, output=Output(fields=())).tensors()]
    if len(names) == 1:
        return lambda columns: _column(columns[0])
    return lambda columns: {name: _column(column) for name, column in zip(names, columns, strict=True)}


def _column(column: Column) -> NDArray[Any]:
    return np.array(column, dtype=object) if isinstance(column, list) else column


def _array(values: Any) -> NDArray[Any]:
    """What was answered as an array of numbers or text. Raises ModelFailed, or what numpy says of the unequal."""
    array = as_array(values)
    if array.dtype.kind == "O" and all(isinstance(value, str) for value in array.flat):
        array = array.astype(str)
    if array.dtype.name in DTYPES or array.dtype.kind == "U":
        return array
    what = type(array.flat[0]).__name__ if array.dtype.kind == "O" and array.size else array.dtype.name
    raise ModelFailed(f"predict answered {what}: return numbers or text, one entry a row")


def _demand_rows(name: str, array: NDArray[Any], rows: int, answer: Any) -> None:
    where = "" if name == ONLY else f" as {name}"
    if array.ndim == 0:
        raise ModelFailed(
            f"predict answered one {type(answer).__name__}{where} for {rows} rows: return one entry a row"
        )
    if len(array) != rows:
        raise ModelFailed(f"predict answered {len(array)} rows{where} for {rows}: return one entry a row")


def _field(name: str, array: NDArray[Any]) -> OutputField:
    dtype: DType = "string" if array.dtype.kind == "U" else array.dtype.name  # type: ignore[assignment]  # one of DTYPES
    shape = array.shape[1:]
    return OutputField(name=name, dtype=dtype, shape=() if shape == (1,) else shape)
