"""The certificate: whether a model runs compiled, and what that was decided by."""

from typing import Literal

from msgspec import Struct

Compile = Literal["auto", "off", "require"]


class Certificate(Struct, frozen=True, kw_only=True):
    """What the compiler found when it compared a model with its compiled form, on `rows` probe rows.

    `reason` says why the original serves, where it does: the converter's error, or which output differed and by how
    much. `differing_row` shows a row where it did, which may be one of the training data: it is for the console of who
    has the model, and never told over HTTP or in a log.
    `largest_difference` is that of numbers, relative to the larger of the number and `scale`, and no more than
    `tolerance`; labels have to be the same. `original_us` and `compiled_us` are microseconds for one row, `form` the
    precision of the compiled graph and `sha256` its digest. `seconds` is what all of it took.
    """

    verdict: Literal["compiled", "original"]
    reason: str | None = None
    differing_row: str | None = None
    form: str | None = None
    rows: int = 0
    largest_difference: float | None = None
    tolerance: float | None = None
    original_us: float | None = None
    compiled_us: float | None = None
    sha256: str | None = None
    seconds: float = 0.0
    libraries: dict[str, str] = {}

    @property
    def summary(self) -> str:
        """One line for people."""
        if self.verdict == "original":
            return f"no, the original serves: {self.reason}"
        speeds = f"{self.original_us:g} µs a row before, {self.compiled_us:g} µs now"
        return (
            f"yes, as {self.form}: {speeds}; the same labels on {self.rows:,} probe rows, "
            f"numbers within {self.largest_difference:.1e}"
        )
