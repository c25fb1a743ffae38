"""One model of each kind, as a supervisor would tell of it, and a service that serves them all."""

from penstock.config import Limits, Model, Settings
from penstock.inference.forecast import Capacity
from penstock.model.context import Context, Feature
from penstock.model.control import Loaded, ModelState, Order, Outcome, VersionState
from penstock.model.signature import Field, Output, OutputField, Signature
from penstock.observability.health import has_started
from penstock.observability.metrics import Figures, Snapshot

VALUE = Output(fields=(OutputField(name="prediction"),))


def classifier(*classes: str | int | float | bool) -> Output:
    return Output(fields=(OutputField(name="prediction", classes=classes),), probabilities=True)


IRIS = Signature(
    inputs=(
        Field(name="sepal length (cm)", range=(4.3, 7.9), unit="cm", origin="declared"),
        Field(name="sepal width (cm)", range=(2.0, 4.4), unit="cm"),
        Field(name="petal length (cm)", range=(1.0, 6.9), unit="cm"),
        Field(name="petal width (cm)", range=(0.1, 2.5), unit="cm"),
    ),
    output=classifier("setosa", "versicolor", "virginica"),
)
SIGNATURES = {
    "iris": IRIS,
    "digits": Signature(
        inputs=tuple(Field(name=f"f{i}") for i in range(64)), output=classifier(*range(10)), named=False
    ),
    "people": Signature(
        inputs=(
            Field(name="age", dtype="int64", nullable=True, range=(18, 99), unit="years"),
            Field(name="colour", dtype="string", categories=("red", "green"), unknown="refuse", nullable=True),
            Field(name="city", dtype="string", categories=("Bern", "Chur")),
            Field(name="member", dtype="bool"),
            Field(name="score", dtype="float16", range=(-1e6, 1e6)),
            Field(name="level", dtype="uint8", categories=(1, 2, 3), unknown="refuse"),
            Field(name="rank", dtype="int8", range=(500, 600)),
        ),
        output=classifier(False, True),
    ),
    "odd-names": Signature(
        inputs=(Field(name="5'10\"</script>\n"), Field(name="a\\b"), Field(name="größe/é~1")), output=VALUE
    ),
    "spam": Signature(inputs=(Field(name="text", dtype="string"),), output=classifier("ham", "spam")),
    "image": Signature(
        inputs=(Field(name="image", dtype="float32", shape=(3, 224, 224)),), output=classifier(*map(str, range(1000)))
    ),
    "tiny-image": Signature(inputs=(Field(name="pixels", dtype="uint8", shape=(2, 3)),), output=VALUE),
    "signal": Signature(
        inputs=(Field(name="signal", dtype="int32", shape=(None, 2)), Field(name="gain", range=(0.5, float("inf")))),
        output=Output(fields=(OutputField(name="clean", dtype="float32", shape=(None,)),)),
    ),
    "price": Signature(
        inputs=(Field(name="size", unit="m²"),),
        output=Output(fields=(OutputField(name="price", unit="EUR", round=2, clip=(50, None)),)),
    ),
    "risk": Signature(
        inputs=(Field(name="age"), Field(name="debt")),
        output=Output(
            fields=(OutputField(name="risk", classes=("low", "high")),), probabilities=True, threshold=0.3, top_k=1
        ),
    ),
    "weather": Signature(
        inputs=(Field(name="pressure", range=(-1.7e308, 1.7e308)), Field(name="wind", dtype="float32")),
        output=Output(
            fields=(
                OutputField(name="rain"),
                OutputField(name="sky", classes=("clear", 1, 2.5)),
                OutputField(name="day", dtype="int32"),
            )
        ),
    ),
}


CONTEXT = Context(
    key="user_id",
    store="users",
    updated="at",
    max_age_s=60.0,
    features=(Feature(name="age", field="age", default=None), Feature(name="city", field="town")),
)


def loaded(signature: Signature, *context: Context) -> Loaded:
    return Loaded(
        signature=signature,
        context=context,
        sha256="ab" * 32,
        bytes=1234,
        runtime="scikit-learn",
        device="cpu",
        libraries={"scikit-learn": "1.9.0"},
        trained_with={"scikit-learn": "1.8.0"},
        warnings=("trained with scikit-learn 1.8.0, served with 1.9.0",),
        load_s=0.5,
        warmup_s=0.1,
    )


def model(name: str, signature: Signature, *context: Context) -> ModelState:
    made = loaded(signature, *context)
    ready = VersionState(version="1", state="ready", path="m.pkl", format="pickle", loaded=made, live=1)
    return ModelState(name=name, default="1", versions=(ready,))


def broken(name: str) -> ModelState:
    refused = VersionState(
        version="1",
        state="refused",
        reason="the file is cut short",
        code="unreadable_artifact",
        path="x",
        format="onnx",
    )
    return ModelState(name=name, default="1", versions=(refused,))


GALLERY = (
    *(model(name, signature) for name, signature in SIGNATURES.items()),
    model("known-people", SIGNATURES["people"], CONTEXT),
)


class StillService:
    """A service that stands still, for the pages about it."""

    def __init__(self, *models: ModelState, default: str | None = None) -> None:
        self.settings = Settings(
            limits=Limits(rows=50), default_model=default, models={m.name: Model(path="x") for m in models}
        )
        self.draining = False
        self.started = has_started(models)
        self.models = models

    def capacity(self, model: str, version: str) -> Capacity | None:
        return None

    async def figures(self) -> Snapshot:
        return Figures().snapshot()

    async def order(self, order: Order) -> Outcome:
        return Outcome(number=order.number, refused="It stands still.")
