"""The OpenAPI document: valid whatever is loaded, and true to it."""

from collections import Counter
from typing import Any, Literal

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from penstock.config import Cache, Model
from penstock.interface.openapi import Document
from penstock.interface.ops import build_ops
from penstock.model.control import ModelState
from tests.interface.gallery import GALLERY, SIGNATURES, StillService, broken, model


def document(*models: ModelState, default: str | None = None) -> dict[str, Any]:
    """As a client reads it."""
    app = build_ops(StillService(*models, default=default))
    made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(app.openapi()))
    return made


def operations(made: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{method} {path}": op for path, methods in made["paths"].items() for method, op in methods.items()}


@pytest.mark.parametrize("alone", GALLERY, ids=lambda m: m.name)
def test_the_document_of_each_kind_of_model_is_valid(alone: ModelState) -> None:
    OpenAPIV31SpecValidator(document(alone)).validate()


@pytest.mark.parametrize("models", [(), (broken("b"),), (*GALLERY, broken("b"))], ids=["none", "broken", "all"])
def test_the_document_is_valid_with_none_broken_or_many(models: tuple[ModelState, ...]) -> None:
    OpenAPIV31SpecValidator(document(*models)).validate()


@pytest.mark.parametrize("mode", ["off", "on", "auto"])
def test_what_a_cache_tells_and_is_told_is_there_where_there_is_one(mode: Literal["off", "on", "auto"]) -> None:
    settings = Model(path="x", cache=Cache(mode=mode))
    made = document(msgspec.structs.replace(model("iris", SIGNATURES["iris"]), settings=settings))
    OpenAPIV31SpecValidator(made).validate()
    operation, batch = operations(made)["post /predict"], operations(made)["post /predict-batch"]
    told = "X-Cache" in operation["responses"]["200"]["headers"]
    assert ({"X-Cache", "X-Cache-Rows"} <= batch["responses"]["200"]["headers"].keys()) == told
    taken = {"$ref": "#/components/parameters/Freshness"} in operation["parameters"]
    assert (told, taken) == (mode != "off", mode != "off")


def test_the_only_model_has_the_short_paths_too() -> None:
    assert {path for path in document(model("iris", SIGNATURES["iris"]))["paths"] if "predict" in path} == {
        "/predict",
        "/predict-batch",
        "/models/iris/predict",
        "/models/iris/predict-batch",
    }


def test_of_several_models_the_default_one_has_the_short_paths() -> None:
    made = document(*GALLERY, default="spam")
    assert made["paths"]["/predict"]["post"]["tags"] == ["spam"]
    assert "/predict" not in document(*GALLERY)["paths"]


def test_a_model_that_takes_features_from_stores_has_a_path_for_what_is_left_to_send() -> None:
    made = document(*GALLERY)
    assert [path for path in made["paths"] if "context" in path] == ["/models/known-people/predict-with-context"]
    operation = made["paths"]["/models/known-people/predict-with-context"]["post"]
    sent = _resolved(made, operation["requestBody"]["content"]["application/json"]["schema"])
    assert sent["required"] == ["user_id", "features"]
    assert {"age", "city"}.isdisjoint(sent["properties"]["features"]["properties"])
    assert len(sent["properties"]["features"]["properties"]) == 5


def test_operations_have_ids_of_their_own() -> None:
    ids = Counter(op["operationId"] for op in operations(document(*GALLERY, default="iris")).values())
    assert set(ids.values()) == {1}
    assert {"predict", "predict_batch", "iris.predict", "iris.predict_batch", "health", "ready"} <= set(ids)


def test_a_prediction_names_every_status_it_may_answer() -> None:
    answers = document(*GALLERY, default="iris")["paths"]["/predict"]["post"]["responses"]
    expected = ["200", "400", "404", "405", "408", "413", "415", "422", "429", "431", "500", "503", "504"]
    assert sorted(answers) == expected


def test_a_prediction_names_its_parameters() -> None:
    made = document(*GALLERY, default="iris")
    parameters = made["paths"]["/models/iris/predict"]["post"]["parameters"]
    named = {p["name"]: p["in"] for p in (_resolved(made, p) for p in parameters)}
    assert named == {
        "model_version": "query",
        "probabilities": "query",
        "X-Request-ID": "header",
        "X-Request-Timeout-Ms": "header",
    }


def test_every_answer_tells_its_request_id() -> None:
    made = document(*GALLERY, default="iris")
    answers = [_resolved(made, a) for op in operations(made).values() for a in op["responses"].values()]
    assert all("X-Request-ID" in answer["headers"] for answer in answers)
    assert "Allow" in made["components"]["responses"]["MethodNotAllowed"]["headers"]
    assert "Retry-After" in made["components"]["responses"]["Unavailable"]["headers"]


def test_a_model_that_is_not_loaded_says_why() -> None:
    made = document(broken("b"))
    assert made["tags"][0]["description"] == "Not loaded: the file is cut short."
    assert "/models/b/predict" in made["paths"]


def test_the_document_follows_the_models() -> None:
    service = StillService(model("a", SIGNATURES["iris"]))
    app = build_ops(service)
    assert "/models/b/predict" not in app.openapi()["paths"]
    service.models = (*service.models, model("b", SIGNATURES["spam"]))
    assert "/models/b/predict" in app.openapi()["paths"]


def test_the_document_is_made_once_for_the_same_models() -> None:
    service = StillService(*GALLERY)
    made = Document(build_ops(StillService()).openapi, service.settings)
    assert made.json(service.models) is made.json(tuple(service.models))
    assert made.json(service.models[:1]) != made.json(service.models)


def _resolved(made: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    for step in part.get("$ref", "").split("/")[1:]:
        made = made[step]
    return made if "$ref" in part else part
