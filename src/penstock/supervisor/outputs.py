"""What a model's process prints, as events of the structured log."""

import os

from penstock.observability.logs import Log
from penstock.supervisor.loop import Loop

LONGEST_LINE = 4096  # bytes; the rest of a longer line is dropped
LINES_A_SECOND = 100.0
BURST = 500.0
READ_AT_ONCE = 2**16
LAST_WORDS = 2**20  # bytes read after the end; a grandchild may hold the pipe open and write for ever


class Lines:
    """Cuts a stream of bytes into lines of bounded length."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._longest = longest
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes, without their ends; empty ones are left out."""
        *whole, rest = (self._rest + data).split(b"\n")
        self._rest = rest[: self._longest]
        return self._text(whole)

    def end(self) -> list[str]:
        """The last line, if it has no end."""
        rest, self._rest = self._rest, b""
        return self._text([rest])

    def _text(self, lines: list[bytes]) -> list[str]:
        texts = (line[: self._longest].decode("utf-8", "replace").rstrip() for line in lines)
        return [text for text in texts if text]


class Allowance:
    """So many lines a second, and a burst of more after silence."""

    def __init__(self, rate: float = LINES_A_SECOND, burst: float = BURST) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Whether one more may pass at `now` seconds of a monotonic clock."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Output:
    """One stream of one process: each line becomes a `model_output` event, until `close`.

    The pipe is always emptied, so that a model is never held up by what it prints: lines beyond the allowance are
    counted and their number is logged instead.
    """

    def __init__(self, loop: Loop, log: Log, **labels: object) -> None:
        self._loop = loop
        self._log = log
        self._labels = labels
        self._lines = Lines()
        self._allowance = Allowance()
        self._dropped = 0
        self._read, self.write_end = os.pipe()
        os.set_blocking(self._read, False)
        loop.watch(self._read, self._readable)

    def handed_over(self) -> None:
        """To be called when the process has its own copy of `write_end`; ours would keep the pipe open for ever."""
        os.close(self.write_end)
        self.write_end = -1

    def close(self) -> None:
        """Takes what is left and lets go."""
        for _ in range(LAST_WORDS // READ_AT_ONCE):
            if not self._take():
                break
        self._write(self._lines.end())
        self._tell_dropped()
        self._loop.unwatch(self._read)
        os.close(self._read)
        if self.write_end >= 0:
            self.handed_over()

    def _readable(self) -> None:
        if not self._take():
            self._loop.unwatch(self._read)

    def _take(self) -> bool:
        """Reads once; false at the end of the stream, and when there is nothing to read."""
        try:
            data = os.read(self._read, READ_AT_ONCE)
        except BlockingIOError:
            return False
        self._write(self._lines.feed(data))
        return bool(data)

    def _write(self, lines: list[str]) -> None:
        for line in lines:
            if self._allowance.take(self._loop.now()):
                self._tell_dropped()
                self._log.info("model_output", **self._labels, line=line)
            else:
                self._dropped += 1

    def _tell_dropped(self) -> None:
        if self._dropped:
            self._log.warning("model_output_dropped", **self._labels, lines=self._dropped)
            self._dropped = 0
