"""A store for tests of what a front makes of one: `hold` what the next one that is made is to be."""

from penstock.testing import FakeStore

_held: list[FakeStore] = []


def hold(store: FakeStore) -> FakeStore:
    _held[:] = [store]
    return store


def held() -> FakeStore:
    """What `python: tests.interface.holding:held` makes."""
    return _held[0]
