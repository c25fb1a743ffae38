"""How much a body in order may hold, which is counted before anything is made of it.

16 MiB of `[],` decode to five million lists. That takes seconds, in which the front answers nobody, and hundreds of
megabytes; to count the brackets, colons and commas takes a few hundredths.
"""

import re
from collections.abc import Sequence
from itertools import accumulate, islice
from math import inf
from operator import mul
from typing import NamedTuple

from penstock.model.signature import Field

LARGE = 2**16  # bytes; what is smaller is decoded in no time, whatever it holds
SLACK = 20_000  # so many more than there may be are decoded in no time as well, and get a more precise answer
MOST_LISTS = 500_000  # where lengths vary


def _up_to(marks: bytes) -> re.Pattern[bytes]:
    """What ends at the next of `marks` that is not part of a string, or at the end of the body."""
    return re.compile(rb'(?:[^"%b]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"?)*+(?:[%b]|\Z)' % (marks, marks), re.DOTALL)


LISTS, KEYS, VALUES = _up_to(rb"\[{"), _up_to(rb":"), _up_to(rb",")


class Measure(NamedTuple):
    """The most lists and objects, keys, and values that there may be. A comma stands between any two values."""

    lists: float
    keys: float
    values: float

    def exceeded_by(self, body: bytes) -> bool:
        return (
            _exceeds(self.lists, body.count(b"[") + body.count(b"{"), LISTS, body)
            or _exceeds(self.keys, body.count(b":"), KEYS, body)
            or _exceeds(self.values, body.count(b","), VALUES, body)
        )


def measure_of(fields: Sequence[Field], rows: int) -> Measure:
    """The measure of a body with at most so many rows of these fields."""
    widths = [list(accumulate((inf if n is None else n for n in f.shape), mul, initial=1)) for f in fields]
    lists = 2 + rows * (1 + sum(sum(lengths[:-1]) for lengths in widths))
    values = rows * sum(map(sum, widths))
    return Measure(MOST_LISTS if lists == inf else lists, 1 + rows * len(fields), values)


def _exceeds(most: float, marks: int, pattern: re.Pattern[bytes], body: bytes) -> bool:
    """Whether more than `most` of the `marks` are outside of strings, and by more than the slack."""
    if marks <= most + SLACK:
        return False
    ends = 2  # the end of the body is found up to twice
    return any(islice(pattern.finditer(body), int(most) + SLACK + ends, None))
