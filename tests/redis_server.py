"""A real redis-server on a port of its own, which tests start, stop, freeze and empty as they like."""

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hiredis

from tests.acceptance.driver import wait_until


class RedisServer:
    """`folder` takes its log. It keeps nothing on the disk."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """It is empty."""
        assert self._process is None
        log = self._folder / "redis.log"
        command = ["redis-server", "--port", str(self.port), "--save", "", "--logfile", str(log), *self._options]
        self._process = subprocess.Popen(command, cwd=self._folder)
        wait_until(self._accepts, "redis-server", lambda: log.read_text() if log.exists() else "no log")

    def stop(self) -> None:
        """All that it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It accepts connections still, since the kernel does, and answers nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *words: str | bytes | int | float, password: str | None = None) -> Any:
        """The answer to one command, over a connection of its own. Raises hiredis.ReplyError."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            reader = hiredis.Reader()
            if password is not None:
                _exchange(connection, reader, ("AUTH", password))
            answer = _exchange(connection, reader, words)
        if isinstance(answer, hiredis.ReplyError):
            raise answer
        return answer

    def calls(self, command: str) -> int:
        """How often it was asked this."""
        said: bytes = self.ask("INFO", "commandstats")
        for line in said.decode().splitlines():
            if line.startswith(f"cmdstat_{command}:"):
                return int(line.partition("calls=")[2].partition(",")[0])
        return 0

    def reads(self) -> int:
        """How often it has read something from anybody: what is sent together, it reads at once."""
        said: bytes = self.ask("INFO", "stats")
        return int(said.partition(b"total_reads_processed:")[2].split()[0])

    def _accepts(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except hiredis.ReplyError:
            return True  # it wants a password
        except OSError:
            return False


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """One that is there for so long."""
    assert shutil.which("redis-server")
    server = RedisServer(folder, *options)
    try:
        yield server
    finally:
        server.stop()


def _exchange(connection: socket.socket, reader: hiredis.Reader, words: tuple[str | bytes | int | float, ...]) -> Any:
    connection.sendall(hiredis.pack_command(words))  # type: ignore[arg-type] # its types say one word
    while (answer := reader.gets()) is False:
        data = connection.recv(65536)
        if not data:
            raise ConnectionError("Redis closed the connection")
        reader.feed(data)
    return answer


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
