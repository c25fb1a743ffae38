"""Why an artifact will not be served, in one sentence that says what to do."""

import re
import sys

from penstock.errors import ArtifactError, FailedStart, MissingDependency, UnreadableArtifact, UnsupportedArtifact
from penstock.host.trace import print_own
from penstock.model.control import Artifact
from penstock.model.memory import too_little

RUNTIMES = {
    "joblib": "scikit-learn joblib pandas",
    "onnx": "onnx onnxruntime",
    "onnxruntime": "onnx onnxruntime",
    "sklearn": "scikit-learn joblib pandas",
    "skops": "scikit-learn skops pandas",
    "torch": "torch",
}
"""Modules that run models, and what to install for them: those of an extra of penstock, wherever that came from."""

DISTRIBUTIONS = {
    "PIL": "pillow",
    "category_encoders": "category-encoders",
    "cv2": "opencv-python-headless",
    "feature_engine": "feature-engine",
    "imblearn": "imbalanced-learn",
    "sentence_transformers": "sentence-transformers",
    "skimage": "scikit-image",
    "sklearn_crfsuite": "sklearn-crfsuite",
    "sksurv": "scikit-survival",
}
"""Modules that models often need, and the name under which pip knows them where it is another."""

# fmt: off
PACKAGES = frozenset({
    "catboost", "cloudpickle", "dill", "gensim", "interpret", "keras", "lightgbm", "lightning", "ngboost", "nltk",
    "numba", "numpy", "optuna", "pandas", "polars", "pyarrow", "pyod", "scipy", "skorch", "spacy", "statsmodels",
    "tensorflow", "torchvision", "transformers", "tslearn", "umap", "xarray", "xgboost",
})
# fmt: on
"""Modules that models often need and that pip knows by their own name."""

LONGEST_DETAIL = 200
_OUT_OF_MEMORY = re.compile(
    "failed to map segment|cannot map zero-fill pages|cannot allocate|bad_alloc|can't start new thread"
    "|(?:out of|insufficient|enough) memory",
    re.IGNORECASE,
)
_MISSING_ATTRIBUTE = (
    re.compile(r"Can't get attribute '(?P<name>[\w.]+)' on <module '(?P<module>[\w.]+)'"),
    re.compile(r"module '(?P<module>[\w.]+)' has no attribute '(?P<name>[\w.]+)'"),
)
_CONTENTS = {
    b"PK\x03\x04": "a zip archive, as skops (.skops) and torch (.pt) write it",
    b"\x89HDF\r\n": "an HDF5 file, as Keras writes it: export the model to ONNX",
    b"<!DOCTYPE": "a web page: the download went wrong",
    b"<html": "a web page: the download went wrong",
    b"\x93NUMPY": "an array of numbers and no model",
    b"\x08": "what looks like ONNX (.onnx)",
}

_OWN = {"onnx": b"\x08", "skops": b"PK\x03\x04", "torchscript": b"PK\x03\x04"}


def explain(error: BaseException, artifact: Artifact) -> ArtifactError:
    """The refusal that stands for whatever loading raised; errors that explain themselves pass unchanged.

    Where there is a limit on memory, what runs into it hardly ever says so: a library that cannot be mapped looks like
    one that is missing, and a model that cannot be copied like one that is damaged.
    """
    if artifact.memory is not None and ran_out(error):
        return FailedStart(f"{artifact.path} ran out of memory: {too_little(artifact.memory)}")
    return _known(error, artifact) or UnreadableArtifact(
        f"{artifact.path} cannot be loaded ({detail(error)}): export the model again"
    )


def unreadable(error: BaseException, data: bytes, artifact: Artifact) -> ArtifactError:
    """As `explain`, for an error out of a decoder: then the bytes are wrong, cut short or of another format."""
    if refusal := _known(error, artifact):
        return refusal
    for magic, content in _CONTENTS.items():
        if data.startswith(magic) and magic != _OWN.get(artifact.format):
            return UnreadableArtifact(f"{artifact.path} is not a {artifact.format} file but {content}")
    return UnreadableArtifact(
        f"{artifact.path} cannot be read as {artifact.format} ({detail(error)}): "
        "the file may be damaged or cut short, or of another format than its name says"
    )


def raised(error: BaseException, artifact: Artifact, where: str) -> ArtifactError:
    """The refusal for an error out of own code, whose traceback goes to the log; `where` says what was called."""
    print_own(error)
    return _known(error, artifact) or FailedStart(
        f"{artifact.path}: {where} raised {detail(error)}: correct it; the traceback is in the log"
    )


def missing_module(name: str) -> MissingDependency:
    """The refusal for a package that the artifact needs."""
    package = name.partition(".")[0]
    if package in PACKAGES or package in DISTRIBUTIONS or package in RUNTIMES:
        wanted = (RUNTIMES | DISTRIBUTIONS).get(package, package)
        return MissingDependency(f"the model needs {package}: pip install {wanted}")
    return MissingDependency(
        f"the model needs the Python module {name}: if it is the model's own, name it with `--code-path {package}.py` "
        f"or `code: [{package}.py]` in model.yaml, and if it is a package, install it"
    )


def unfitted(error: BaseException) -> UnsupportedArtifact | None:
    """The refusal for an estimator that says itself that it has learnt nothing; None for any other error.

    The class is scikit-learn's, which is not imported here; other libraries derive their own from it.
    """
    if all(kind.__name__ != "NotFittedError" for kind in type(error).__mro__):
        return None
    told = detail(error).rstrip(".")
    return UnsupportedArtifact(
        f"the model was saved before it was fitted ({told}): call its `fit` with the training data, and save it then"
    )


def detail(error: BaseException) -> str:
    """The error's kind and message on one short line."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return " ".join(text.split())[:LONGEST_DETAIL]


def _known(error: BaseException, artifact: Artifact) -> ArtifactError | None:
    """What a cause of `error` tells about the remedy."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ArtifactError):
            return cause
        if refusal := _missing(cause, artifact) or _exhausted(cause, artifact) or unfitted(cause):
            return refusal
        cause = cause.__cause__
    return None


def _missing(error: BaseException, artifact: Artifact) -> ArtifactError | None:
    if isinstance(error, ModuleNotFoundError) and error.name:
        package, _, inner = error.name.partition(".")
        return _other_version(error.name) if inner and package in sys.modules else missing_module(error.name)
    if isinstance(error, ImportError):
        return MissingDependency(f"{artifact.path} needs a package that does not import here ({detail(error)})")
    if isinstance(error, AttributeError):
        for pattern in _MISSING_ATTRIBUTE:
            if match := pattern.search(str(error)):
                return _missing_name(match["module"], match["name"])
    return None


MAIN = ("__main__", "__mp_main__", "penstock.host.__main__")  # the last is what this process calls its own


def _missing_name(module: str, name: str) -> ArtifactError:
    if module in MAIN:
        return MissingDependency(
            f"the model needs {name} from its training script: move it into a module of its own (features.py, say), "
            "import it from there in the script, save the model again, and name the module with "
            "`--code-path features.py` on the command line or `code: [features.py]` in model.yaml"
        )
    if module.partition(".")[0] in PACKAGES.union(RUNTIMES, DISTRIBUTIONS):
        return _other_version(f"{module}.{name}")
    return MissingDependency(
        f"the model needs {module}.{name}, which {module} here does not define: name the right file with "
        f"`--code-path {module}.py` on the command line or `code: [{module}.py]` in model.yaml"
    )


def _other_version(name: str) -> ArtifactError:
    package = name.partition(".")[0]
    version = getattr(sys.modules.get(package), "__version__", "installed here")
    return MissingDependency(
        f"the model needs {name}, which {package} {version} does not have: install the version of {package} "
        "that trained the model, or train it again with this one"
    )


def ran_out(error: BaseException | None) -> bool:
    """Whether a lack of memory is at the bottom of `error`."""
    while error is not None:
        if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _exhausted(error: BaseException, artifact: Artifact) -> ArtifactError | None:
    if isinstance(error, MemoryError):
        return FailedStart(f"{artifact.path} needs more memory than there is, or the file is damaged")
    if isinstance(error, RecursionError):
        return UnreadableArtifact(f"{artifact.path} nests its content too deeply: the file may be damaged or hostile")
    if isinstance(error, SystemExit | KeyboardInterrupt):
        return FailedStart(f"{artifact.path} tried to end the process while it was loaded: do not trust this file")
    return None
