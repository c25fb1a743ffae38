"""What a cache keeps its answers in, by the row that they answer: so many, for so long, in so many bytes."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from penstock.inference.row_answers import Columns, RowAnswer

NOTHING: Sequence[RowAnswer | None] = ()


class RowStore(Protocol):
    """Answers in memory, by the keys of their rows.

    Where there is no room a new one is kept only if its row was wanted before: of most rows one never hears again. Then
    the oldest goes, and is counted if that is before its time; but one that was asked for is passed over once, however
    often that was (the policy is known as CLOCK, or second chance). What is too old stays until then, or until another
    is put in its place, and keeps nobody out.
    """

    @property
    def kept(self) -> Mapping[bytes, object]:
        """What there is, too old or not."""

    @property
    def nbytes(self) -> int:
        """What the answers take with their keys, in bytes."""

    def __len__(self) -> int: ...

    def find(self, keys: Sequence[bytes]) -> Sequence[RowAnswer | None]:
        """The answer that is kept for each; `NOTHING` where there is none."""

    def put(self, keys: Sequence[bytes], answers: Columns) -> None:
        """Keeps answers from now on, in the place of those there are."""

    def clear(self) -> None: ...
