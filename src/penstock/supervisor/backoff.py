"""How long to wait before something that died is started again."""


class Backoff:
    """The first restart comes at once, the next after `first` seconds, then twice as long each time, up to `most`.

    Whoever was healthy for `reset` seconds before it died begins anew.
    """

    def __init__(self, first: float = 1.0, most: float = 60.0, reset: float = 60.0) -> None:
        self._first = first
        self._most = most
        self._reset = reset
        self._next = 0.0

    def after(self, healthy: float) -> float:
        """Seconds to wait now that something has died that was healthy for `healthy` seconds."""
        wait = 0.0 if healthy >= self._reset else self._next
        self._next = min(max(self._first, 2 * wait), self._most)
        return wait
