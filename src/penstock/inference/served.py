"""One version of a model as a front serves it."""

from penstock.config import Model
from penstock.inference.batcher import Batcher
from penstock.inference.cache import Cache
from penstock.inference.checks import checks
from penstock.inference.context import Completion
from penstock.inference.mirror import Mirror
from penstock.inference.rows import Rows
from penstock.model.control import Loaded
from penstock.model.signature import Signature
from penstock.observability.comparisons import TrialMeter


class ServedVersion:
    """One version of a model, ready to be asked."""

    def __init__(
        self,
        model: str,
        version: str,
        loaded: Loaded,
        settings: Model,
        batcher: Batcher,
        cache: Cache | None = None,
        context: Completion | None = None,
    ) -> None:
        self.model = model
        self.version = version
        self.sha256 = loaded.sha256
        self.signature: Signature = loaded.signature
        self.tensors = loaded.signature.tensors()
        self.deadline_s = settings.deadline_ms / 1000
        self.max_rows = settings.batching.max_rows
        self.heeds_priority = settings.queue.priority != "off"
        self.keys_have_priority = settings.queue.priority == "key"
        self.check = checks(loaded.signature)
        self.batcher = batcher
        self.context = context
        """What completes rows from stores, where the model takes any features from them."""
        self.cache = cache
        self.mirrors: tuple[Mirror, ...] = ()
        """To which it is told what was answered to requests that named no version."""
        self.trial: TrialMeter | None = None
        """What counts those, while a canary gets a share of them."""
        self.calls = 0
        """Requests that were admitted to it and are not answered."""

    def row_shape(self, rows: Rows) -> tuple[int, ...]:
        """The shape of one of these rows: its number of features, or that of the one tensor it is."""
        inputs = self.signature.inputs
        return rows.shape(0, self.tensors[0]) if len(inputs) == 1 and inputs[0].shape else (len(inputs),)

    def close(self) -> None:
        """Fails whatever is left, and lets go of hosts and stores."""
        if self.cache is not None:
            self.cache.close()
        self.batcher.close()
        if self.context is not None:
            self.context.close()
