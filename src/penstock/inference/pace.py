"""How fast a model answers, learned from its own batches."""

MEMORY = 16
"""Batches that count: what is older weighs ever less, so that a model that slows down is believed within a few."""


class Mean:
    """A mean that follows: the plain one of the first values, then one in which older values fade."""

    __slots__ = ("count", "value")

    def __init__(self) -> None:
        self.count = 0
        self.value = 0.0

    def add(self, value: float) -> None:
        self.count = min(self.count + 1, MEMORY)
        self.value += (value - self.value) / self.count


class Pace:
    """The seconds that a batch takes: a part for the batch and a part for each row.

    Both are fitted to the last batches by least squares. As long as all had the same size nothing is known of the
    part for each row, and it counts as nothing: whoever waits is given the benefit of the doubt, and larger batches
    soon tell.
    """

    __slots__ = ("_batches", "_covariance", "_rows", "_seconds", "_variance")

    def __init__(self) -> None:
        self._batches = 0
        self._rows = self._seconds = self._variance = self._covariance = 0.0

    @property
    def is_known(self) -> bool:
        return self._batches > 0

    @property
    def rows(self) -> float:
        """The mean size of the batches."""
        return self._rows

    def learn(self, rows: int, seconds: float) -> None:
        """A batch of so many rows took so long."""
        self._batches = min(self._batches + 1, MEMORY)
        weight = 1 / self._batches
        rows_off, seconds_off = rows - self._rows, seconds - self._seconds
        self._rows += weight * rows_off
        self._seconds += weight * seconds_off
        self._variance = (1 - weight) * (self._variance + weight * rows_off * rows_off)
        self._covariance = (1 - weight) * (self._covariance + weight * rows_off * seconds_off)

    def seconds(self, rows: float) -> float:
        """What a batch of so many rows is going to take; 0 where nothing is known."""
        if self._variance < 1.0:  # rows²: as good as one size
            return self._seconds
        each = max(0.0, self._covariance / self._variance)
        if each * self._rows > self._seconds:  # a batch would begin before it was sent: the line goes through nothing
            return self._seconds / self._rows * rows
        return max(0.0, self._seconds + each * (rows - self._rows))
