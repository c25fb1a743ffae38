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
        if self.count < MEMORY:
            self.count += 1
        self.value += (value - self.value) / self.count


class Pace:
    """The seconds that a batch takes: a part for the batch and a part for each row.

    Both are fitted to the last batches by least squares. As long as all had the same size nothing is known of the
    part for each row, and it counts as nothing: whoever waits is given the benefit of the doubt, and larger batches
    soon tell.
    """

    __slots__ = ("_batches", "_covariance", "_each_s", "_own_s", "_seconds", "_variance", "rows")

    def __init__(self) -> None:
        self.rows = 0.0
        """The mean size of the batches."""
        self._batches = 0
        self._seconds = self._variance = self._covariance = 0.0
        self._own_s = self._each_s = 0.0  # the two parts

    @property
    def is_known(self) -> bool:
        return self._batches > 0

    def learn(self, rows: int, seconds: float) -> None:
        """A batch of so many rows took so long."""
        if self._batches < MEMORY:
            self._batches += 1
        weight = 1 / self._batches
        rows_off, seconds_off = rows - self.rows, seconds - self._seconds
        self.rows += weight * rows_off
        self._seconds += weight * seconds_off
        self._variance = (1 - weight) * (self._variance + weight * rows_off * rows_off)
        self._covariance = (1 - weight) * (self._covariance + weight * rows_off * seconds_off)
        if self._variance < 1.0 or self._covariance <= 0.0:  # rows²: as good as one size
            self._own_s, self._each_s = self._seconds, 0.0
            return
        each_s = self._covariance / self._variance
        if each_s * self.rows > self._seconds:  # a batch would begin before it was sent: the line goes through nothing
            self._own_s, self._each_s = 0.0, self._seconds / self.rows
        else:
            self._own_s, self._each_s = self._seconds - each_s * self.rows, each_s

    def seconds(self, rows: float) -> float:
        """What a batch of so many rows is going to take; 0 where nothing is known."""
        return self._own_s + self._each_s * rows
