"""What should run and what does, of one version of a model: the bookkeeping, without processes, sockets or clocks."""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from penstock.errors import FailedStart, HostLost
from penstock.model.certificate import Compile
from penstock.model.control import Loaded, Refused, State, VersionState
from penstock.model.source import ModelSource
from penstock.supervisor.backoff import Backoff

Phase = Literal["idle", "starting", "ready", "waiting", "refused"]


class Replica:
    """One copy of the model: a process that runs, or a restart that is due."""

    def __init__(self, backoff: Backoff) -> None:
        self.phase: Phase = "idle"
        self.ready_at = 0.0
        self.backoff = backoff


class Standing:
    """Says what to do about each thing that happens to the replicas of one version.

    The first replica loads alone. What it finds is what the others, and every restart, have to find: the digest is
    pinned. A failure of that first load is the artifact's own and final. Later failures are met by restarts, without
    end: the file that was exchanged may be put back.
    """

    def __init__(self, source: ModelSource, backoff: Callable[[], Backoff] = Backoff) -> None:
        self.artifact = source.artifact
        self.loaded: Loaded | None = None
        self.restarts = 0
        self.trouble = source.refusal
        self._source = source
        self._rejected = False
        self._replicas = [Replica(backoff()) for _ in range(source.settings.replicas)]

    @property
    def refused(self) -> bool:
        """Whether there was no first load, or it failed: nothing of this version runs or will."""
        return self.loaded is None and self.trouble is not None

    @property
    def live(self) -> int:
        return sum(replica.phase == "ready" for replica in self._replicas)

    def phases(self) -> Sequence[Phase]:
        return [replica.phase for replica in self._replicas]

    def started(self, number: int) -> None:
        """The process of replica `number` was started."""
        replica = self._replicas[number]
        self.restarts += replica.phase == "waiting"
        replica.phase = "starting"

    def has_loaded(self, number: int, loaded: Loaded, now: float) -> list[int]:
        """Replica `number` is ready at `now`; returns the replicas that are to be started because of it."""
        replica = self._replicas[number]
        replica.phase, replica.ready_at = "ready", now
        if self.loaded is None:
            self.artifact = msgspec.structs.replace(
                self.artifact, pinned=loaded.sha256, beside=loaded.beside, compile=_settled(loaded), others=None
            )
            self.loaded = loaded
        return [i for i, phase in enumerate(self.phases()) if phase == "idle"]

    def has_ended(self, number: int, why: Refused, now: float) -> float | None:
        """The process of replica `number` ended at `now`; returns the seconds until its restart, None for never."""
        replica = self._replicas[number]
        healthy = now - replica.ready_at if replica.phase == "ready" else 0.0
        self.trouble = why
        self._rejected = why.code not in (HostLost.code, FailedStart.code)
        if self.loaded is None:
            replica.phase = "refused"
            return None
        replica.phase = "waiting"
        return replica.backoff.after(healthy)

    def state(self) -> VersionState:
        """As fronts are told. A version with some of its replicas is ready, and says why not with all."""
        live = self.live
        trouble = self.trouble if live < len(self._replicas) else None
        return VersionState(
            version=self._source.version,
            state=self._state(live),
            reason=trouble.message if trouble else None,
            code=trouble.code if trouble else None,
            path=self._source.path,
            format=self.artifact.format,
            loaded=self.loaded,
            replicas=len(self._replicas),
            live=live,
            restarts=self.restarts,
        )

    def _state(self, live: int) -> State:
        if live:
            return "ready"
        if self.refused or self._rejected:
            return "refused"
        return "restarting" if self.loaded else "loading"


def _settled(loaded: Loaded) -> Compile:
    """What the first load found out about compiling: nothing else takes its place later."""
    compiled = loaded.certificate is not None and loaded.certificate.verdict == "compiled"
    return "require" if compiled else "off"
