"""Which library versions a model runs with, and which it was trained with."""

import platform
import sys
import warnings
from collections.abc import Iterable

LIBRARIES = {
    "numpy": "numpy",
    "sklearn": "scikit-learn",
    "joblib": "joblib",
    "scipy": "scipy",
    "pandas": "pandas",
    "skops": "skops",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "onnxruntime": "onnxruntime",
    "torch": "torch",
}
MOST_WARNINGS = 10
LONGEST_WARNING = 300


def present() -> dict[str, str]:
    """The versions of Python and of the libraries that are loaded."""
    loaded = {name: sys.modules[module] for module, name in LIBRARIES.items() if module in sys.modules}
    versions = {name: str(getattr(module, "__version__", "")) for name, module in loaded.items()}
    return {"python": platform.python_version()} | {name: version for name, version in versions.items() if version}


def other_version(caught: Iterable[warnings.WarningMessage]) -> tuple[str, str] | None:
    """The versions of scikit-learn that wrote a pickle and that read it, where it warned that they differ."""
    return next((versions for each in caught if (versions := _versions(each.message))), None)


def trained_with(caught: Iterable[warnings.WarningMessage]) -> dict[str, str]:
    """The version of scikit-learn that wrote a pickle: it warns of another one, and else it was the one here."""
    sklearn = sys.modules.get("sklearn")
    versions = other_version(caught)
    if versions is not None:
        return {"scikit-learn": versions[0]}
    return {} if sklearn is None else {"scikit-learn": str(sklearn.__version__)}


def told(caught: Iterable[warnings.WarningMessage]) -> tuple[str, ...]:
    """The warnings of a load, each once and short; all those of another version are one that names both."""
    found: dict[str, None] = {}
    for each in caught:
        found[_sentence(each.message)] = None
    return tuple(found)[:MOST_WARNINGS]


def _versions(message: Warning | str) -> tuple[str, str] | None:
    wrote = getattr(message, "original_sklearn_version", None)
    return None if wrote is None else (str(wrote), str(getattr(message, "current_sklearn_version", "another")))


def _sentence(message: Warning | str) -> str:
    versions = _versions(message)
    if versions is not None:
        wrote, here = versions
        return f"trained with scikit-learn {wrote} and loaded with {here}: answers may differ; install the same version"
    return " ".join(str(message).split())[:LONGEST_WARNING]
