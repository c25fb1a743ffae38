"""Stores of one's own, looked at before the service starts: their modules have to be there, and their classes in them.

Nothing of theirs is run for that, which is for the fronts: so a class is missed only where the text of its module
leaves no doubt. What is not seen here is told by the fronts in the log.
"""

import re
from collections.abc import Mapping
from importlib.machinery import ModuleSpec

from penstock.config import Store
from penstock.errors import ConfigurationError
from penstock.values import did_you_mean

_MADE_OTHERWISE = re.compile(r"import\s*\(?\s*\*|__getattr__|__dict__|\b(globals|locals|vars|exec|setattr|modules)\b")
"""What gives a module names that do not stand in its text."""
_DEFINED = re.compile(r"^(?:class|def|async\s+def)\s+(\w+)|^(\w+)\s*(?::[^=\n]*)?=(?!=)", re.MULTILINE)


def demand_modules(stores: Mapping[str, Store]) -> None:
    """Raises where the module of a store of one's own is nowhere, or has no such class."""
    for name, store in stores.items():
        if store.python is not None:
            _demand_store(store.python, f"stores.{name}.python")


def _demand_store(target: str, where: str) -> None:
    module, _, wanted = target.partition(":")
    top, _, further = module.partition(".")
    spec = _spec_of(top)
    if spec is None:
        raise ConfigurationError(
            f"{where}: there is no module '{top}': PYTHONPATH says in which directory it is "
            "(PYTHONPATH=. penstock serve …)"
        )
    if not further and (text := _text_of(spec)) and _lacks(text, name := wanted.partition(".")[0]):
        near = did_you_mean(name, {one or other for one, other in _DEFINED.findall(text)})
        raise ConfigurationError(f"{where}: {spec.origin} has no {name}{near}")


def _lacks(text: str, name: str) -> bool:
    """Whether a module of this text cannot have anything that is called so."""
    return re.search(rf"\b{re.escape(name)}\b", text) is None and _MADE_OTHERWISE.search(text) is None


def _spec_of(module: str) -> ModuleSpec | None:
    """Where a front finds it, which does not look in the directory of the program or the present one by itself."""
    import sys
    from importlib.util import find_spec

    ours = sys.path
    sys.path = ours if sys.flags.safe_path else ours[1:]
    try:
        return find_spec(module)
    finally:
        sys.path = ours


def _text_of(spec: ModuleSpec) -> str:
    """The text of a module; none where it is not of Python, or cannot be read."""
    try:
        text = getattr(spec.loader, "get_source", lambda _: None)(spec.name)
    except (ImportError, SyntaxError, ValueError):  # the fronts tell of it
        return ""
    return text or ""
