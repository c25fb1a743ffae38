"""The manifest: what it may say, and how it is told what it may not."""

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import ConfigurationError
from penstock.model.manifest import Manifest, parse_inputs, read_manifest
from penstock.model.shaping import Shaping
from penstock.model.signature import DType, Field

DTYPES = st.sampled_from(get_args(DType))
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_ ()]{0,20}[A-Za-z0-9_)]", fullmatch=True)
SHAPES = st.lists(st.integers(1, 64) | st.none(), max_size=3).map(tuple)


def manifest(folder: Path, text: str) -> Manifest:
    (folder / "model.yaml").write_text(text)
    return read_manifest(folder / "model.yaml")


def test_every_line_of_a_manifest_is_optional(tmp_path: Path) -> None:
    empty = manifest(tmp_path, "")
    assert empty == Manifest()
    assert empty.fields("float64") == ()


def test_a_manifest_declares_fields(tmp_path: Path) -> None:
    said = manifest(
        tmp_path,
        """
        artifact: model.pkl
        code: [features.py]
        examples: golden.json
        all_zero: refuse
        output: {name: price, unit: EUR, round: 2, clip: [0, null]}
        inputs:
          - {name: sepal length, dtype: float32, range: [4.3, 7.9], unit: cm}
          - {name: colour, dtype: string, categories: [red, green], unknown: refuse}
          - {name: age, dtype: int64, nullable: true}
          - {name: image, shape: [3, null]}
        """,
    )
    assert (said.artifact, said.code, said.examples) == ("model.pkl", ("features.py",), "golden.json")
    assert said.all_zero == "refuse"
    assert said.output == Shaping(name="price", unit="EUR", round=2, clip=(0.0, None))
    assert said.fields("float32") == (
        Field(name="sepal length", dtype="float32", range=(4.3, 7.9), unit="cm", origin="declared"),
        Field(name="colour", dtype="string", categories=("red", "green"), unknown="refuse", origin="declared"),
        Field(name="age", dtype="int64", nullable=True, origin="declared"),
        Field(name="image", dtype="float32", shape=(3, None), origin="declared"),
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("artefact: model.pkl", "'artefact': unknown key; did you mean 'artifact'?"),
        ("command: /bin/sh", "'command': unknown key"),
        ("transform: scaler.pkl", "transform: expected a list of text, got 'scaler.pkl'"),
        ("output: 2", "output: expected a mapping such as {round: 2}, got 2"),
        ("output: {label: [a, b]}", "output: unknown key 'label'; did you mean 'labels'?"),
        ("output: {labels: [a]}", "output.labels: name all classes, which are two at least"),
        ("output: {labels: [a, b, a]}", "output.labels: the same name is there twice"),
        ("output: {round: -1}", "output.round: expected an integer from 0 to 15, got -1"),
        ("output: {clip: [3, 2]}", "output.clip: expected [lowest, highest], of which one may be null"),
        ("output: {clip: [null, null]}", "output.clip: expected [lowest, highest]"),
        ("output: {clip: 3}", "output.clip: expected a list of 2 numbers, got 3"),
        ("output: {threshold: .nan}", "output.threshold: expected a number, got nan"),
        ("output: {threshold: 0.5, labels: [a, b, c]}", "output.threshold: it decides between two classes"),
        ("output: {threshold: 0.5, clip: [0, 1]}", "output.clip: it is for numbers, and `threshold` makes the answer"),
        ("output: {top_k: 0}", "output.top_k: expected an integer of at least 1, got 0"),
        ("output: {name: ''}", "output.name: expected 1 to 200 printable characters"),
        ("all_zero: warn", "all_zero: expected one of refuse, serve, got 'warn'"),
        ("artifact: [model.pkl]", "artifact: expected text, got a list"),
        ("code: features.py", "code: expected a list of text, got 'features.py'"),
        ("inputs: []", "inputs: expected a list of fields, a count or a shape, got a list"),
        ("inputs: 0", "inputs: expected from 1 to 100000 numbers, got '0'"),
        ("inputs: [age]", "inputs[0]: expected a field such as {name: age, dtype: int64}, got 'age'"),
        ("inputs: [{dtype: int64}]", "inputs[0]: say its name"),
        ("inputs: [{name: a, kind: x}]", "inputs[0]: unknown key 'kind'"),
        ("inputs: [{name: a, origin: inferred}]", "inputs[0]: unknown key 'origin'"),
        ("inputs: [{name: a}, {name: b, dtype: int46}]", "inputs[1].dtype: expected one of "),
        ("inputs: [{name: a}, {name: a}]", "inputs[1].name: 'a' is there twice"),
        ("inputs: [{name: 3}]", "inputs[0].name: expected text, got 3"),
        ("inputs: [{name: ' '}]", "inputs[0].name: expected 1 to 200 printable characters, got ' '"),
        ('inputs: [{name: "a\\u0007b"}]', "inputs[0].name: expected 1 to 200 printable characters"),
        ("inputs: [{name: a, shape: 3}]", "inputs[0].shape: expected a list of integers, got 3"),
        ("inputs: [{name: a, shape: [0]}]", "inputs[0].shape: every length must be at least 1"),
        ("inputs: [{name: a, shape: [999999, 999999]}]", "inputs[0].shape: more than 268435456 elements"),
        ("inputs: [{name: a, range: [2, 1]}]", "inputs[0].range: expected [lowest, highest], got [2, 1]"),
        ("inputs: [{name: a, range: [0, .inf]}]", "inputs[0].range: expected [lowest, highest], got [0, inf]"),
        ("inputs: [{name: a, range: [1]}]", "inputs[0].range: expected a list of 2 numbers, got a list"),
        ("inputs: [{name: a, dtype: string, range: [0, 1]}]", "inputs[0].range: a field of dtype string has none"),
        (
            "inputs: [{name: a, dtype: string, categories: [true, no]}]",
            "inputs[0].categories[0]: expected a value of dtype string, got true; put it in quotes",
        ),
        (
            "inputs: [{name: a, dtype: int64, categories: [1, 2.5]}]",
            "inputs[0].categories[1]: expected a value of dtype",
        ),
        ("inputs: [{name: a, categories: []}]", "inputs[0].categories: name at least one"),
        ("inputs: &all [*all]", "line 1: aliases (&, *) are not taken here"),
    ],
)
def test_what_a_manifest_may_not_say_is_refused_in_line_of_sight(text: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        manifest(tmp_path, text).fields("float64")
    assert str(caught.value).startswith(f"model.yaml: {complaint}")


def test_inputs_may_be_said_in_short_in_a_manifest_too(tmp_path: Path) -> None:
    assert manifest(tmp_path, "inputs: 3").fields("float32") == parse_inputs("3", "float32")
    assert manifest(tmp_path, "inputs: 3x8x8").fields("float32") == parse_inputs("3x8x8", "float32")
    with pytest.raises(ConfigurationError, match=r"^model\.yaml: inputs: .*: expected a dtype"):
        manifest(tmp_path, "inputs: 'a:int46'").fields("float32")


@given(st.integers(1, 300), st.none() | DTYPES)
def test_a_count_stands_for_so_many_numbers(count: int, dtype: DType | None) -> None:
    fields = parse_inputs(f"{count}:{dtype}" if dtype else f"{count}", "float32")
    assert [field.name for field in fields] == [f"f{i}" for i in range(count)]
    assert {field.dtype for field in fields} == {dtype or "float32"}
    assert all(field.shape == () and field.origin == "declared" for field in fields)


@given(st.lists(st.integers(1, 30) | st.none(), min_size=2, max_size=4))
def test_a_shape_stands_for_one_tensor(lengths: list[int | None]) -> None:
    (field,) = parse_inputs("x".join("?" if length is None else str(length) for length in lengths))
    assert (field.name, field.shape) == ("input", tuple(lengths))


@given(st.lists(st.tuples(NAMES, DTYPES, SHAPES), min_size=1, max_size=8, unique_by=lambda column: column[0]))
def test_columns_are_said_by_name_dtype_and_shape(columns: list[tuple[str, DType, tuple[int | None, ...]]]) -> None:
    shapes = ["x".join("?" if n is None else str(n) for n in shape) for _, _, shape in columns]
    words = [f"{name}:{dtype}:{said}" for (name, dtype, _), said in zip(columns, shapes, strict=True)]
    fields = parse_inputs(",".join(word.rstrip(":") for word in words))
    assert [(field.name, field.dtype, field.shape) for field in fields] == columns


@given(st.text(max_size=40))
def test_any_other_text_is_refused_in_one_sentence(text: str) -> None:
    outcome = fields_or_complaint(text)
    if isinstance(outcome, str):
        assert outcome.startswith("inputs")
        assert "\n" not in outcome
    else:
        assert len({field.name for field in outcome}) == len(outcome) > 0


def fields_or_complaint(text: str) -> tuple[Field, ...] | str:
    try:
        return parse_inputs(text)
    except ConfigurationError as error:
        return str(error)


def test_words_that_other_yaml_takes_for_booleans_are_the_labels_that_they_spell(tmp_path: Path) -> None:
    said = manifest(tmp_path, "output: {labels: [no, yes]}\ninputs: [{name: a, nullable: yes}]")
    assert said.output.labels == ("no", "yes")
    assert said.fields("float64")[0].nullable is True
