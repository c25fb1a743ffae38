"""What a manifest may say of features from stores, and how it is told what it may not."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from penstock.errors import ConfigurationError, UnsupportedArtifact
from penstock.model.context import Context, Feature, demand_fit, own_part, placed
from penstock.model.manifest import read_manifest
from penstock.model.signature import Field, Output, OutputField, Signature

SIGNATURE = Signature(
    inputs=(
        Field(name="amount"),
        Field(name="age", dtype="int64", nullable=True),
        Field(name="country", dtype="string", categories=("CH", "??"), unknown="refuse"),
        Field(name="image", shape=(2,)),
    ),
    output=Output(fields=(OutputField(name="y"),)),
)


def context(folder: Path, text: str) -> tuple[Context, ...]:
    (folder / "model.yaml").write_text(f"context:\n{text}")
    return read_manifest(folder / "model.yaml").context


def test_a_manifest_says_what_comes_from_a_store(tmp_path: Path) -> None:
    said = context(
        tmp_path,
        """
  - key: user_id
    store: users
    entity: "user:{user_id}"
    updated: updated_at
    max_age_s: 86400
    features:
      age: {default: 30}
      country: {field: country_code, default: "??"}
      balance:
  - {key: shop, file: shops.csv, features: {rank: {default: null}}}
""",
    )
    assert said == (
        Context(
            key="user_id",
            store="users",
            entity="user:{user_id}",
            updated="updated_at",
            max_age_s=86400.0,
            features=(
                Feature(name="age", field="age", default=30),
                Feature(name="country", field="country_code", default="??"),
                Feature(name="balance", field="balance"),
            ),
        ),
        Context(key="shop", file="shops.csv", features=(Feature(name="rank", field="rank", default=None),)),
    )
    assert said[0].fields == ("age", "country_code", "balance", "updated_at")
    assert [each.source for each in said] == ["users", "shops.csv"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("  user_id", "context: expected a list of 1 to 16 entries"),
        ("  []", "context: expected a list of 1 to 16 entries"),
        ("  - user_id", "context[0]: expected an entry such as {key: user_id, features: …}"),
        ("  - {features: {a: {}}}", "context[0]: say the key that clients send"),
        ("  - {key: u, feature: {a: {}}}", "context[0]: unknown key 'feature'; did you mean 'features'?"),
        ("  - {key: u}", "context[0].features: expected a mapping such as {age: {default: 30}}, got nothing"),
        ("  - {key: features, features: {a: {}}}", "context[0].key: expected a name such as user_id"),
        ("  - {key: 'a b', features: {a: {}}}", "context[0].key: expected a name such as user_id"),
        ("  - {key: u, features: {a: 3}}", "context[0].features.a: expected a mapping such as {default: 30}, got 3"),
        ("  - {key: u, features: {3: {}}}", "context[0].features.3: expected the name of an input, in quotes"),
        ("  - {key: u, features: {a: {defualt: 3}}}", "unknown key 'defualt'; did you mean 'default'?"),
        ("  - {key: u, features: {a: {default: [3]}}}", "context[0].features.a.default: expected"),
        ("  - {key: u, features: {a: {field: ''}}}", "expected names of 1 to 200 printable characters, got ''"),
        ("  - {key: u, store: s, file: a.csv, features: {a: {}}}", "file: say a store or a file, and not both"),
        ("  - {key: u, file: a.txt, features: {a: {}}}", "expected a table that ends in .csv"),
        ("  - {key: u, file: a.parquet, features: {a: {}}}", "one in Parquet is a store of penstock.yaml"),
        ("  - {key: u, entity: 'x:', features: {a: {}}}", "entity: expected text with {u} in it, once"),
        ("  - {key: u, entity: '{u}{v}', features: {a: {}}}", "entity: expected text with {u} in it, once"),
        ("  - {key: u, entity: '{u}}', features: {a: {}}}", "entity: expected text with {u} in it, once"),
        ("  - {key: u, max_age_s: 5, features: {a: {}}}", "max_age_s: it goes together with `updated`"),
        ("  - {key: u, updated: t, features: {a: {}}}", "max_age_s: it goes together with `updated`"),
        ("  - {key: u, updated: t, max_age_s: 0, features: {a: {}}}", "max_age_s: expected a number above 0, got 0"),
        (
            "  - {key: u, features: {a: {}}}\n  - {key: v, features: {a: {}}}",
            "context[1].features: 'a' is there twice",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        context(tmp_path, text)
    assert str(refused.value).startswith("model.yaml: context")
    assert complaint in str(refused.value)


AGE = Feature(name="age", field="age")


def test_the_only_store_need_not_be_named() -> None:
    assert placed(Context(key="u", features=(AGE,)), ["users"], "c").store == "users"


@pytest.mark.parametrize(
    ("store", "stores", "complaint"),
    [
        (None, [], "penstock.yaml has no stores"),
        (None, ["a", "b"], "say which store it is (store: a)"),
        ("user", ["users"], "no store 'user'; did you mean 'users'?"),
        ("x", [], "no store 'x'; there are none"),
    ],
)
def test_a_store_that_is_not_there_is_refused(store: str | None, stores: list[str], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match="c") as refused:
        placed(Context(key="u", store=store, features=(AGE,)), stores, "c")
    assert complaint in str(refused.value)


def test_clients_send_what_comes_from_no_store() -> None:
    own = own_part(replace(SIGNATURE, all_zero="refuse"), [Context(key="u", store="s", features=(AGE,))])
    assert [field.name for field in own.inputs] == ["amount", "country", "image"]
    assert own.all_zero == "serve"


@pytest.mark.parametrize(
    ("feature", "complaint"),
    [
        (Feature(name="amont", field="x"), "no input named amont; did you mean 'amount'?"),
        (Feature(name="image", field="x"), "image is a tensor"),
        (Feature(name="age", field="x", default=1.5), "the default of age, 1.5, is no int64"),
        (Feature(name="age", field="x", default="30"), "the default of age, '30', is no int64"),
        (Feature(name="amount", field="x", default=None), "the default of amount, nothing, is no float64"),
        (Feature(name="amount", field="x", default=True), "the default of amount, true, is no float64"),
        (Feature(name="country", field="x", default="DE"), "the default of country, 'DE', is no string"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(feature: Feature, complaint: str) -> None:
    with pytest.raises(UnsupportedArtifact) as refused:
        demand_fit([Context(key="u", store="s", features=(feature,))], SIGNATURE, "m.pkl")
    assert complaint in str(refused.value)
    assert "correct `context:` in model.yaml" in str(refused.value)


@pytest.mark.parametrize(("name", "default"), [("age", None), ("age", 30), ("amount", 1), ("country", "??")])
def test_a_default_that_a_client_could_send_is_taken(name: str, default: str | int | None) -> None:
    features = (Feature(name=name, field="x", default=default),)
    demand_fit([Context(key="u", store="s", features=features)], SIGNATURE, "m.pkl")
