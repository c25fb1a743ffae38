"""One host: the process that holds a copy of a model, from its start to its end."""

import contextlib
import signal
from collections.abc import Callable
from typing import Any

from penstock.errors import FailedStart, HostLost
from penstock.model.control import Load, Loaded, Progress, Refused, Stop
from penstock.model.memory import too_little
from penstock.observability.logs import Log
from penstock.supervisor.link import Link
from penstock.supervisor.loop import Loop
from penstock.supervisor.outputs import Output
from penstock.supervisor.processes import HOST, Child, Exit, start_host

LAST_WORDS_S = 2.0  # how long a host that refused its artifact may take to end

DOING = {
    None: "starting",
    "reading": "reading the artifact",
    "loading": "loading",
    "compiling": "compiling",
    "warming": "warming up",
    "replaying": "answering its examples",
}


class Host:
    """Loads the artifact of `load` within `start_timeout_s`, then answers whoever is attached until it ends.

    `on_progress` and `on_loaded` are called as it says so; `on_end` once, with why and a word for the metrics.
    Raises OSError where no process can be started.
    """

    def __init__(
        self,
        loop: Loop,
        log: Log,
        number: int,
        load: Load,
        *,
        start_timeout_s: float,
        on_progress: Callable[[Progress], object],
        on_loaded: Callable[["Host", Loaded], object],
        on_end: Callable[[Refused, str], object],
        program: tuple[str, ...] = HOST,
    ) -> None:
        self.number = number
        self.model = load.model
        self.version = load.version
        self.ready = False
        self._memory = load.artifact.memory
        self._stage: str | None = None
        self._verdict: tuple[Refused, str] | None = None
        self._started_at = loop.now()
        self._on_progress = on_progress
        self._on_loaded = on_loaded
        self._on_end = on_end
        self._loop = loop
        self._outputs: list[Output] = []
        child = self._start(log, load, program)
        self._start_timeout_s = start_timeout_s
        self._compile_timeout_s = load.artifact.compile_timeout_s
        self._deadline = loop.later(start_timeout_s, self._is_late)
        self.link = Link(loop, child, self._heard, self._ended)
        self.link.send(load)

    @property
    def seconds(self) -> float:
        """Since its start."""
        return self._loop.now() - self._started_at

    def hung(self, seconds: float) -> None:
        """A front has waited for `seconds` for one batch: ends the process."""
        message = f"the process was killed: one batch took longer than {seconds:g} s (predict_timeout_s)"
        self._give_up(Refused(HostLost.code, message), "hung")

    def stop(self) -> None:
        """Asks it to end; one that is still loading would not hear it in time."""
        if self.ready:
            self.link.send(Stop())
        else:
            self.link.kill()

    def _start(self, log: Log, load: Load, program: tuple[str, ...]) -> Child:
        with contextlib.ExitStack() as undo:
            for stream in ("stdout", "stderr"):
                output = Output(self._loop, log, model=load.model, version=load.version, stream=stream)
                self._outputs.append(output)
                undo.callback(output.close)
            stdout, stderr = self._outputs
            named = (*program, f"{load.model}/{load.version}")  # for who looks at the list of processes
            child = start_host(load.artifact.threads, stdout.write_end, stderr.write_end, named)
            undo.pop_all()
        for output in self._outputs:
            output.handed_over()
        return child

    def _heard(self, message: Any) -> None:
        match message:
            case Progress() if not self.ready:
                self._stage = message.stage
                if message.stage == "compiling":
                    self._allow(self._compile_timeout_s)
                self._on_progress(message)
            case Loaded() if not self.ready and self._verdict is None:
                self._deadline.cancel()
                self.ready = True
                self._on_loaded(self, message)
            case Refused() if not self.ready and self._verdict is None:
                self._verdict = message, "refused"
                self._deadline.cancel()
                self._deadline = self._loop.later(LAST_WORDS_S, self.link.kill)

    def _allow(self, more_s: float) -> None:
        """Compiling takes its own time, and none of what loading may take."""
        self._deadline.cancel()
        self._deadline = self._loop.later(max(0.0, self._start_timeout_s - self.seconds) + more_s, self._is_late)

    def _is_late(self) -> None:
        message = (
            f"the model was not ready after {self._start_timeout_s:g} s, while {DOING[self._stage]}; "
            f"start_timeout_s allows it more{self._hint()}"
        )
        self._give_up(Refused(FailedStart.code, message), "slow_start")

    def _give_up(self, why: Refused, word: str) -> None:
        self._verdict = self._verdict or (why, word)
        self.link.kill()

    def _ended(self, how: Exit) -> None:
        self._deadline.cancel()
        for output in self._outputs:
            output.close()
        was_ready, self.ready = self.ready, False
        why, word = self._verdict or (self._obituary(how, was_ready), how.kind)
        self._on_end(why, word)

    def _obituary(self, how: Exit, was_ready: bool) -> Refused:
        when = "" if was_ready else f" while {DOING[self._stage]}"
        message = f"the process was killed{when}: {self.link.fault}" if self.link.fault else f"{how}{when}"
        if how.code == -signal.SIGKILL and not self.link.fault:
            message += "; the kernel does that when memory runs out"
        elif not was_ready:
            message += self._hint()
        return Refused(HostLost.code if was_ready else FailedStart.code, message)

    def _hint(self) -> str:
        """Libraries that get no memory may also hang, or end the process."""
        return "" if self._memory is None else f"; {too_little(self._memory)}"
