"""Stores of one's own, looked at before the service starts: their modules have to be there."""

from collections.abc import Mapping

from penstock.config import Store
from penstock.errors import ConfigurationError


def demand_modules(stores: Mapping[str, Store]) -> None:
    """Raises where the module of a store of one's own is nowhere. It is not run: that is for the fronts."""
    for name, store in stores.items():
        if store.python is not None and not _is_found(module := store.python.partition(":")[0].partition(".")[0]):
            raise ConfigurationError(
                f"stores.{name}.python: there is no module '{module}': PYTHONPATH says in which directory it is "
                "(PYTHONPATH=. penstock serve …)"
            )


def _is_found(module: str) -> bool:
    """Whether a front finds it, which does not look in the directory of the program or the present one by itself."""
    import sys
    from importlib.util import find_spec

    ours = sys.path
    sys.path = ours if sys.flags.safe_path else ours[1:]
    try:
        return find_spec(module) is not None
    finally:
        sys.path = ours
