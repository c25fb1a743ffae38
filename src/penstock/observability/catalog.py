"""Every metric there is, declared once. docs/metrics.md is made of this: `python -m penstock.observability.catalog`."""

from collections.abc import Iterator

from penstock.observability.metrics import MOST_SERIES, Metric


def _durations(least: int, most: int) -> tuple[float, ...]:
    """Edges from 10^least to 10^most seconds, each at most a tenth above the last: a percentile is right to 5 %."""
    mantissas = [*range(100, 200, 10), *range(200, 400, 20), *range(400, 500, 25), *range(500, 1000, 50)]
    edges = (float(f"{mantissa}e{power - 2}") for power in range(least, most) for mantissa in mantissas)
    return (*edges, float(f"1e{most}"))


def _steps(least: int, most: int, mantissas: tuple[str, ...]) -> tuple[float, ...]:
    return (*(float(f"{m}e{power}") for power in range(least, most) for m in mantissas), float(f"1e{most}"))


DURATIONS = _durations(-4, 2)
SHOWN_DURATIONS = _steps(-4, 2, ("1", "2", "5"))
STAGE_DURATIONS = _steps(-5, 2, ("1", "2", "5"))
ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0)
CONFIDENCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)

MODEL = ("model", "version")


def _counter(name: str, help_text: str, *labels: str) -> Metric:
    return Metric(kind="counters", name=f"penstock_{name}", help=help_text, labels=labels)


def _gauge(name: str, help_text: str, *labels: str) -> Metric:
    return Metric(kind="gauges", name=f"penstock_{name}", help=help_text, labels=labels)


def _histogram(
    name: str, help_text: str, *labels: str, edges: tuple[float, ...], shown: tuple[float, ...] = ()
) -> Metric:
    shown = shown or edges
    return Metric(kind="histograms", name=f"penstock_{name}", help=help_text, labels=labels, edges=edges, shown=shown)


# ------------------------------------------------------------------ requests
REQUESTS = _counter(
    "requests_total", "Answered requests; model and version are empty where none was found.", "route", *MODEL, "status"
)
ERRORS = _counter("errors_total", "Failed requests, by the code in the answer.", "route", *MODEL, "code")
LATENCY = _histogram(
    "request_duration_seconds",
    "From the arrival of a request to its answer.",
    "route",
    *MODEL,
    edges=DURATIONS,
    shown=SHOWN_DURATIONS,
)
STAGES = _histogram(
    "stage_duration_seconds",
    "Where the time of an answered prediction went: decode, context (looking up features), queue, inference, encode.",
    *MODEL,
    "stage",
    edges=STAGE_DURATIONS,
)
IN_FLIGHT = _gauge("requests_in_flight", "Requests that have arrived and are not answered.")

# ------------------------------------------------------------------ queues and batches
QUEUE_ROWS = _gauge("queue_rows", "Rows that wait for a host.", *MODEL)
BATCH_ROWS = _histogram("batch_rows", "Rows in a batch.", *MODEL, edges=ROWS)
HOST_BUSY = _counter(
    "host_busy_seconds_total", "Seconds that the model worked; by hosts_live, the share of them that is used.", *MODEL
)
BATCH_SPLITS = _counter("batch_splits_total", "Failed batches that were tried again in halves.", *MODEL)
QUEUE_LEFT = _counter(
    "queue_left_total",
    "Requests that left the queue and were never computed: expired, cancelled, gave_way (to high priority), lost.",
    *MODEL,
    "reason",
)
WAIT_EXPECTED = _histogram(
    "wait_expected_seconds",
    "What the first request of a batch was expected to wait for its answer, where it had to wait for a host.",
    *MODEL,
    edges=STAGE_DURATIONS,
)
WAITED = _histogram("waited_seconds", "What the same requests waited.", *MODEL, edges=STAGE_DURATIONS)
BATCH_DURATION = _histogram("batch_duration_seconds", "What the model took for a batch.", *MODEL, edges=STAGE_DURATIONS)

# ------------------------------------------------------------------ quotas
QUOTA_REFUSALS = _counter(
    "quota_refusals_total",
    "Requests refused because a quota of their client, of requests or rows, was used up.",
    "unit",
)
QUOTA_ASKED = _counter(
    "quota_demands_total", "Times that a front asked whether a client may go on; between, it spends what it was lent."
)
QUOTA_BUCKETS = _gauge(
    "quota_buckets_live", "Clients whose quotas this machine keeps count of, their requests and rows apart."
)
QUOTA_SHARED = _counter(
    "quota_shared_total",
    "Times that an address was counted with others, because so many were kept count of that there was no room.",
)
QUOTA_STORE_FAILURES = _counter(
    "quota_store_failures_total", "Times that Redis was not there for a quota, and this machine counted by itself."
)

# ------------------------------------------------------------------ answers that are kept
CACHE_RESULTS = ("hit", "miss", "shared", "bypass")
CACHE_ROWS = _counter(
    "cache_rows_total",
    "Rows that were looked up among the answers that are kept: hit, miss (the model has answered it, even if "
    "its client has left by then), shared (the same as one that was being computed), or bypass (the client wanted no "
    "answer that is kept).",
    *MODEL,
    "result",
)
CACHE_SAVED = _counter(
    "cache_saved_seconds_total", "Seconds that the model, and the way to it, would have taken for hits.", *MODEL
)
CACHE_LIVE = _gauge("cache_live", "Fronts that keep answers now: none where `auto` finds that it does not pay.", *MODEL)
CACHE_HELD_ROWS = _gauge("cache_held_rows", "Answers that are kept in the memory of all fronts.", *MODEL)
CACHE_HELD_BYTES = _gauge("cache_held_bytes", "Bytes that these take.", *MODEL)
CACHE_EVICTIONS = _counter("cache_evictions_total", "Answers that went before their time, for want of room.", *MODEL)
CACHE_REJECTED = _counter(
    "cache_rejected_total", "What Redis had in the place of an answer and was none; it counts as a miss.", *MODEL
)
CACHE_FAILURES = _counter(
    "cache_store_errors_total",
    "Requests whose rows Redis was not asked for, since it was away, or did not tell in time; they are misses.",
    *MODEL,
)
CACHE_UNKEPT_REASONS = ("away", "behind", "large")
CACHE_UNKEPT = _counter(
    "cache_unkept_total",
    "Answers that were not given to Redis: it was away, behind with what it had been asked, or the answer was large "
    "(more than 16 KiB).",
    *MODEL,
    "reason",
)

# ------------------------------------------------------------------ what models say, and about what
PREDICTIONS = _counter(
    "predictions_total", "Rows of the first output that were given this class; rare classes as other.", *MODEL, "class"
)
CONFIDENCE = _histogram(
    "prediction_confidence", "Probability of the class that was predicted.", *MODEL, edges=CONFIDENCES
)
ROWS_PREDICTED = _counter("rows_total", "Rows that models have answered.", *MODEL)
MISSING = _counter("feature_missing_total", "Values that were null.", *MODEL, "feature")
OUT_OF_RANGE = _counter(
    "feature_out_of_range_total", "Values outside the range of the feature; served as they are.", *MODEL, "feature"
)
UNKNOWN = _counter(
    "feature_unknown_category_total", "Values of no known category; served as they are.", *MODEL, "feature"
)

# ------------------------------------------------------------------ what comes from stores
CONTEXT_VALUES = _counter(
    "context_values_total",
    "Features that were looked up in stores: found, missing, stale, invalid, away (no answer in time).",
    *MODEL,
    "store",
    "result",
)
CONTEXT_DEFAULTS = _counter(
    "context_defaults_total", "Those that were not found, and for which the default was taken.", *MODEL, "store"
)

# ------------------------------------------------------------------ versions compared
OUTCOMES = ("agreed", "differed", "failed", "lost", "dropped")
"""What becomes of a row that is asked of another version too. One that could not answer it `failed`; one whose process
went with it `lost` it; where there was no room it was `dropped`."""
RESULTS = ("ok", "failed", "refused", "gone")
"""What becomes of a request while a canary is tried. All but the first may be the version's doing; where they are not,
they befall both sides alike."""
LIMITS = ("error", "latency", "disagreement")
"""What a guard may hold a canary to."""
APART = (*(float(f"1e{power}") for power in range(-9, 10)),)
COMPARED_ROWS = _counter(
    "compared_rows_total",
    "Rows that were answered by version against and asked of this one too: agreed, differed, failed, lost, dropped.",
    *MODEL,
    "against",
    "result",
)
COMPARED_REQUESTS = _counter(
    "compared_requests_total",
    "Requests of which the first row was compared so: agreed or differed.",
    *MODEL,
    "against",
    "result",
)
LABEL_FLIPS = _counter(
    "label_flips_total",
    "Rows that were given the label from by version against and the label to by this one; rare pairs as other.",
    *MODEL,
    "against",
    "from",
    "to",
)
ANSWER_DIFFERENCE = _histogram(
    "answer_difference",
    "Absolute difference between the numbers that the two versions answered; of labels, between their confidences.",
    *MODEL,
    "against",
    edges=APART,
)
LARGEST_DIFFERENCE = Metric(
    kind="maxima",
    name="penstock_largest_answer_difference",
    help="The largest of these differences.",
    labels=(*MODEL, "against"),
)
COMPARED_BATCHES = _counter(
    "compared_batches_total",
    "Batches of as many rows as the other version had been asked at once: of which this one was slower than it may be "
    "(by the latency_ratio of its guard, or at all, and by a millisecond), or not.",
    *MODEL,
    "against",
    "result",
)
COMPARED_SECONDS = _counter(
    "compared_seconds_total",
    "What the two versions took for these batches: of this, of against.",
    *MODEL,
    "against",
    "of",
)
TRIAL_REQUESTS = _counter(
    "trial_requests_total",
    "Requests without a version that were shared between this canary and the default version (arm): ok, failed (5xx), "
    "refused (422), gone (the client did not wait).",
    *MODEL,
    "arm",
    "result",
)
TRIAL_DURATION = _histogram(
    "trial_duration_seconds",
    "From the arrival of such a request to its answer.",
    *MODEL,
    "arm",
    edges=DURATIONS,
    shown=SHOWN_DURATIONS,
)
GUARD_BREACHES = _counter(
    "guard_breaches_total",
    "Times that a canary was found worse than its guard allows: by error, latency or disagreement.",
    *MODEL,
    "limit",
)

# ------------------------------------------------------------------ models and processes
REDIS_LIVE = _gauge("redis_live", "Connections of fronts to Redis: one for quotas and features, one for caches.")
REDIS_FAILURES = _counter(
    "redis_failures_total",
    "Connections to Redis that could not be made or were lost, and commands it refused.",
    "reason",
)
HOSTS_LIVE = _gauge("hosts_live", "Processes of the model that answer.", *MODEL)
HOST_RESTARTS = _counter("host_restarts_total", "Times that a process of the model was replaced.", *MODEL, "reason")
FRONT_RESTARTS = _counter("front_restarts_total", "Times that a front was replaced.")
ADMINISTERED = _counter("admin_orders_total", "Orders of administrators, done or refused.", "model", "action", "result")
RELOADS = _counter("reloads_total", "Times that something had changed on the disk, and was taken or refused.", "result")
MODEL_REFUSALS = _counter(
    "model_refusals_total", "Times that a version could not be loaded, by the code.", *MODEL, "code"
)
MODEL_LOAD = _gauge("model_load_seconds", "What the last load took, from start to ready, warm-up included.", *MODEL)
MODEL_COMPILED = _gauge("model_compiled", "1 where the model runs compiled, 0 where the original serves.", *MODEL)
MODEL_ROW = _gauge("model_row_seconds", "What one row took when the two forms were compared.", *MODEL, "form")
LINES_DROPPED = _counter("log_lines_dropped_total", "Log lines given up because nobody took them.", "process")
CPU = _counter("process_cpu_seconds_total", "Processor time of a process.", "process")
MEMORY = _gauge("process_resident_memory_bytes", "Resident memory of a process.", "process")
STARTED = _gauge("process_start_time_seconds", "When a process started, in seconds since the epoch.", "process")
BUILD = _gauge("build_info", "Always 1; the labels say what is running.", "penstock_version", "python_version")

METRICS = {value.name: value for value in list(globals().values()) if isinstance(value, Metric)}


def reference() -> str:
    """docs/metrics.md: a table of all metrics."""
    return "\n".join([*_introduction(), *map(_row, METRICS.values()), ""])


def _introduction() -> Iterator[str]:
    yield from (
        "# Metrics",
        "",
        "`GET /metrics` tells them in the Prometheus text format, or as OpenMetrics where the client asks for it: the",
        "figures of all processes together, at most ten seconds old, or 503 where they cannot be had. Labels are",
        f"bounded: routes are templates, and what a family would have beyond {MOST_SERIES:,} series is counted as",
        "`other`.",
        "",
        "<!-- Made by python -m penstock.observability.catalog; a test compares. -->",
        "",
        "| metric | kind | labels | what it says |",
        "|---|---|---|---|",
    )


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "–"
    buckets = f" Buckets from {metric.shown[0]:g} to {metric.shown[-1]:g}." if metric.shown else ""
    kind = "gauge" if metric.kind == "maxima" else metric.kind.removesuffix("s")
    return f"| `{metric.name}` | {kind} | {labels} | {metric.help}{buckets} |"


if __name__ == "__main__":
    print(reference(), end="")
