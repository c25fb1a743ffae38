"""Who has been here before: so that those who come once do not drive out those who come again."""

from collections.abc import Sequence

SLOTS = 4  # for each key that is to be remembered
FEWEST = 4096


class Doorkeeper:
    """Remembers about the last `keys` that it was asked about, in a few bytes each.

    It takes one in a hundred strangers for somebody it knows, and forgets some before their time: there is one slot for
    all keys whose hashes end alike, with a byte of the last one's. Whoever has seen no hash cannot make up keys that
    are taken for others. A cache that asks it before another has to go is what Einziger, Friedman and Manes describe
    (TinyLFU, 2017), with one bit for a count.
    """

    def __init__(self, keys: int) -> None:
        self._size = max(FEWEST, 1 << (SLOTS * keys).bit_length())
        self._tags = bytearray()  # until somebody comes

    def known(self, keys: Sequence[bytes]) -> list[int]:
        """At which places those stand that were here before; the others are remembered."""
        if not self._tags:
            self._tags = bytearray(self._size)
        tags, mask, known = self._tags, self._size - 1, []
        for place, key in enumerate(keys):
            digest = hash(key)
            slot, tag = digest & mask, digest >> 40 & 255 or 1
            if tags[slot] == tag:
                known.append(place)
            else:
                tags[slot] = tag
        return known
