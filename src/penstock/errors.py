"""Everything that Penstock raises on purpose.

    PenstockError
    ├── ConfigurationError            the operator's words cannot be followed
    ├── ArtifactError                 a model cannot be served
    │   ├── UnreadableArtifact        corrupt, truncated, not of its format
    │   ├── UnsupportedArtifact       no runtime for the format, no `predict`, nothing to infer
    │   ├── UntrustedArtifact         loading would run code that nobody vouched for
    │   ├── ChangedArtifact           the bytes are not the ones that were pinned or loaded before
    │   ├── MissingDependency         a package or a module that the artifact needs is not there
    │   ├── UnavailableDevice         the device asked for is not there
    │   ├── NotCompiled               compiling was required, and there is no equal compiled form
    │   ├── FailedExample             an answer differs from the golden example's
    │   └── FailedStart               warm-up failed, timed out, or the process died
    └── RequestError                  one request cannot be answered
        ├── MalformedRequest          not JSON, bad encoding
        │   ├── WrongFeatureCount     a list of the wrong length
        │   ├── RaggedBatch           rows of different lengths or kinds
        │   ├── NotFinite             a number beyond the range of the input's dtype
        │   ├── BadDeadline           X-Request-Timeout-Ms is not a positive number
        │   └── BadPriority           X-Priority is neither high nor low
        ├── InvalidRequest            JSON of the wrong shape or types
        │   └── MissingContext        a feature of the entity is not known, and has no default
        ├── UnknownModel              no model of that name, or no default one
        ├── UnknownVersion            no such version of the model
        ├── NoContext                 the model takes nothing from a store
        ├── Unauthorized              no key, or none that is known
        ├── Forbidden                 the key may not do that
        ├── AdminOff                  there is no key that could administer
        ├── Conflict                  the change cannot be made as things are
        ├── BodyTooLarge              more bytes than the limit
        ├── HeadersTooLarge           request line and headers over the limit
        ├── QuotaExceeded             the client has used up what it may ask for now
        ├── UnsupportedMediaType      the body is not declared as JSON
        ├── SlowRequest               headers or body did not arrive in time
        ├── Unavailable               may work later: `retry_after` says when
        │   ├── NotReady              no version of the model is ready
        │   ├── QueueFull             the model's queue holds all that it may
        │   ├── WaitTooLong           the answer would come after the request's deadline
        │   ├── GaveWay               a request of high priority took its place in a full queue
        │   ├── QuotaUnknown          whether the client's quota allows it was not known in time
        │   ├── TooManyConnections    the front holds all the connections that it may
        │   ├── ContextUnavailable    a store that features come from does not answer
        │   ├── FiguresLate           the figures of the other processes did not come in time
        │   └── HostLost              the model's process died with the request in it
        ├── DeadlineExceeded          the request's own time ran out
        ├── PredictTimeout            the model ran longer than it may
        ├── ModelFailed               the model raised, or answered nonsense, on this request
        └── ClientGone                nobody is waiting for the answer any more

The docstring of a class is its message where none is given. Nothing here knows HTTP: the interface maps classes
to status codes.
"""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple


class PenstockError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())

    def __init_subclass__(cls) -> None:
        cls.code = "".join(f"_{c.lower()}" if c.isupper() else c for c in cls.__name__).lstrip("_")


class ConfigurationError(PenstockError):
    """The configuration cannot be used."""


class ArtifactError(PenstockError):
    """The model cannot be served."""


class UnreadableArtifact(ArtifactError):
    """The artifact cannot be read."""


class UnsupportedArtifact(ArtifactError):
    """Nothing here can serve this artifact."""


class UntrustedArtifact(ArtifactError):
    """Loading the artifact would run code that nobody vouched for."""


class ChangedArtifact(ArtifactError):
    """The artifact is not the one that was pinned."""


class MissingDependency(ArtifactError):
    """A package that the artifact needs is not installed."""


class UnavailableDevice(ArtifactError):
    """The device asked for is not available."""


class NotCompiled(ArtifactError):
    """The model has no compiled form that is shown to be equal."""


class FailedExample(ArtifactError):
    """The model does not answer its golden examples as it should."""


class FailedStart(ArtifactError):
    """The model did not start."""


class RequestError(PenstockError):
    """The request cannot be answered."""


class MalformedRequest(RequestError):
    """The body is not valid JSON."""


class WrongFeatureCount(MalformedRequest):
    """The row has the wrong number of features."""


class RaggedBatch(MalformedRequest):
    """The rows of a batch must all have the same form and length."""


class NotFinite(MalformedRequest):
    """A number is too large for its field."""


class BadDeadline(MalformedRequest):
    """X-Request-Timeout-Ms must be a positive number of milliseconds."""


class BadPriority(MalformedRequest):
    """X-Priority must be high or low."""


class Problem(NamedTuple):
    """One thing wrong with a body: where (`("batch", 3, "age")`) and what, without the value that was sent."""

    loc: tuple[str | int, ...]
    msg: str


class InvalidRequest(RequestError):
    """The body does not fit the schema."""

    def __init__(self, message: str = "", problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class MissingContext(InvalidRequest):
    """A feature of what was named is not known."""


class UnknownModel(RequestError):
    """There is no model of that name."""


class UnknownVersion(RequestError):
    """There is no such version of the model."""


class NoContext(RequestError):
    """This model takes no features from a store: send whole rows to predict."""


class Unauthorized(RequestError):
    """Send a valid key: Authorization: Bearer …, or X-API-Key."""


class Forbidden(RequestError):
    """This key may not do that."""


class AdminOff(RequestError):
    """Nothing is administered here: the service was started without keys (--keys)."""


class Conflict(RequestError):
    """The change cannot be made as things are."""


class BodyTooLarge(RequestError):
    """The body is larger than this server takes."""


class HeadersTooLarge(RequestError):
    """The request line and headers are larger than this server takes."""


class UnsupportedMediaType(RequestError):
    """Send the body as JSON, with the header Content-Type: application/json."""


class QuotaExceeded(RequestError):
    """This client's quota is used up."""

    def __init__(self, message: str = "", *, unit: str = "requests", retry_after: int = 1) -> None:
        super().__init__(message)
        self.unit = unit
        self.retry_after = retry_after
        """Seconds after which there is enough for this request."""


class SlowRequest(RequestError):
    """The request did not arrive in time."""


class Unavailable(RequestError):
    """The service cannot answer now."""

    def __init__(self, message: str = "", *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds after which a client may try again."""


class NotReady(Unavailable):
    """The version that answers is not ready."""


class QueueFull(Unavailable):
    """The model's queue is full."""


class WaitTooLong(Unavailable):
    """So much waits for the model that the answer would come too late, or after a longer wait than is allowed."""


class GaveWay(Unavailable):
    """The model's queue is full, and this request gave way to one of high priority."""


class QuotaUnknown(Unavailable):
    """Whether the quota of this client allows the request could not be found out in time."""


class TooManyConnections(Unavailable):
    """This server holds as many connections as it may."""


class ContextUnavailable(Unavailable):
    """A store that features come from does not answer."""


class FiguresLate(Unavailable):
    """The figures of all processes did not come in time."""


class HostLost(Unavailable):
    """The model's process ended while it held this request; it is being restarted."""


class DeadlineExceeded(RequestError):
    """The request's deadline passed before the model could answer."""


class PredictTimeout(RequestError):
    """The model ran longer than its predict_timeout_s; its process is being restarted."""


class ModelFailed(RequestError):
    """The model failed on this request."""


class ClientGone(RequestError):
    """The client went away before the answer."""
