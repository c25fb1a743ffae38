"""Ragged batches: rows of different kinds or lengths, of which the first that is out of line is named."""

from typing import Any

from penstock.errors import RaggedBatch
from penstock.interface.values import NOUNS


def refuse_ragged(rows: list[Any], length: int | None) -> None:
    """Raises RaggedBatch where lists and objects are mixed, or lists differ in length.

    `length` is the one that the model wants, None where that is for the first list to say. Rows that are neither
    lists nor objects are for others to refuse.
    """
    placed = [(i, row) for i, row in enumerate(rows) if isinstance(row, list | dict)]
    if len({type(row) for _, row in placed}) > 1:
        raise _mixed(placed)
    lengths = [(i, len(row)) for i, row in placed if isinstance(row, list)]
    if len({has for _, has in lengths}) > 1:
        raise _uneven(lengths, length)


def _uneven(lengths: list[tuple[int, int]], length: int | None) -> RaggedBatch:
    first, others = lengths[0]
    wanted = length or others
    odd, has = next((i, has) for i, has in lengths if has != wanted)
    if length:
        return RaggedBatch(f"Send rows of length {length}; batch[{odd}] has length {has}.")
    return RaggedBatch(f"Send rows of one length; batch[{first}] has length {others} and batch[{odd}] {has}.")


def _mixed(placed: list[tuple[int, Any]]) -> RaggedBatch:
    first, row = placed[0]
    odd, other = next((i, each) for i, each in placed if type(each) is not type(row))
    told = f"batch[{first}] is {NOUNS[type(row)]} and batch[{odd}] {NOUNS[type(other)]}"
    return RaggedBatch(f"Send all rows as lists or all as objects: {told}.")
