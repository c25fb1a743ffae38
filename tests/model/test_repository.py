"""The repository: from what the operator names to what is served, and to what is refused and why."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from penstock.configuration import load
from penstock.errors import ConfigurationError
from penstock.model.repository import Resolved, resolve
from penstock.model.source import ModelSource
from penstock.model.trust import Lock, digest_of, read_lock


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(*files: str, text: str = "x") -> None:
    for file in files:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(text)


def pin(*files: str, lock: str = "penstock.lock") -> None:
    old = read_lock(Path(lock).absolute())
    old.updated([], {Path(file).resolve(): digest_of(Path(file)) for file in files}).write()


def resolved(*arguments: str, flags: dict[str, list[str]] | None = None, yaml: str | None = None) -> Resolved:
    if yaml is not None:
        write("penstock.yaml", text=yaml)
    return resolve(arguments, load(Path("penstock.yaml") if yaml is not None else None, flags))


def only(*arguments: str, flags: dict[str, list[str]] | None = None, yaml: str | None = None) -> ModelSource:
    (source,) = resolved(*arguments, flags=flags, yaml=yaml).sources
    return source


def reason(source: ModelSource) -> tuple[str, str]:
    assert source.refusal is not None
    return source.refusal.code, source.refusal.message


def refusals(sources: Sequence[ModelSource]) -> dict[str, str | None]:
    return {source.name: source.refusal.code if source.refusal else None for source in sources}


# ------------------------------------------------------------------ what is named
def test_a_file_on_the_command_line_is_the_operators_word(world: Path) -> None:
    write("model.pkl")
    source = only("model.pkl")
    assert (source.name, source.version, source.operator_named, source.refusal) == ("model", "1", True, None)
    assert source.artifact.path == str(world / "model.pkl")
    assert (source.artifact.trusted, source.artifact.pinned, source.artifact.root) == (True, None, str(world))


def test_a_name_may_stand_before_a_path() -> None:
    write("model.pkl", "a=b.onnx")
    assert [source.name for source in resolved("iris=model.pkl", "x=a=b.onnx").sources] == ["iris", "x"]


def test_a_file_with_an_equals_sign_in_its_name_is_a_file() -> None:
    write("a=b.onnx")
    with pytest.raises(ConfigurationError, match=r"'a=b' is no name for a model .* choose one: my_model=a=b\.onnx"):
        resolved("a=b.onnx")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["modle.pkl"], "modle.pkl: no such file or directory; did you mean 'model.pkl'?"),
        (["nowhere/x.pkl"], "nowhere/x.pkl: no such file or directory"),
        (["https://a.b/c.pkl"], "https://a.b/c.pkl: no such file or directory; nothing is fetched: download it first"),
        (["a b=model.pkl"], "'a b' is no name for a model: use letters, digits, '_', '-' and '.', 64 at most"),
        (["iris="], "iris=: say where the model is: iris=PATH"),
        (
            ["model.pkl", "sub/model.pkl"],
            "two models are called 'model' (model.pkl and sub/model.pkl): give one of them",
        ),
        (["my model.pkl"], "'my model' is no name for a model (letters, digits, '_', '-' and '.', 64 at most); choose"),
    ],
)
def test_what_cannot_be_meant_is_told_to_the_operator(arguments: list[str], complaint: str) -> None:
    write("model.pkl", "sub/model.pkl", "my model.pkl")
    with pytest.raises(ConfigurationError) as caught:
        resolved(*arguments)
    assert str(caught.value).startswith(complaint)


def test_of_several_versions_the_newest_is_loaded_and_the_others_are_told() -> None:
    write("models/iris/2/m.onnx", "models/iris/10/m.onnx", "models/iris/9/m.onnx", "models/cancer/m.onnx")
    found = resolved("models")
    assert [source.version for source in found.models["iris"]] == ["2", "9", "10"]
    assert [(source.name, source.version) for source in found.sources] == [("cancer", "1"), ("iris", "10")]
    assert found.notices == ("iris: loading version 10, and not 2, 9 (load is latest:1)",)


@pytest.mark.parametrize(
    ("settings", "loaded"),
    [
        ("load: {latest: 2}", ["9", "10"]),
        ("load: all", ["2", "9", "10"]),
        ("load: [2, '9']", ["2", "9"]),
        ("load: 9", ["9"]),
        ("route: {default: 2}", ["2", "10"]),
        ("route: {canary: {version: 9, percent: 5}}", ["9", "10"]),
    ],
)
def test_versions_are_loaded_that_are_asked_for_or_that_the_route_names(settings: str, loaded: list[str]) -> None:
    write("iris/2/m.onnx", "iris/10/m.onnx", "iris/9/m.onnx")
    assert [
        source.version for source in resolved(yaml=f"models: {{iris: {{path: iris, {settings}}}}}").sources
    ] == loaded


MEANINGLESS = [
    ("route: {canary: {percent: 5}}", "iris: route.canary.version: name the version that is to be the canary"),
    ("route: {canary: {sticky: X-ID}}", "iris: route.canary.version: name the version that is to be the canary"),
    ("route: {canary: {guard: {error_percent: 1}}}", "iris: route.canary.version: name the version that is to be the"),
    ("route: {shadow: {percent: 5}}", "iris: route.shadow.version: name the version that is to be the shadow"),
    ("route: {canary: {version: latest}}", "iris: route.canary.version: name the version that is to be the canary: 'l"),
    ("route: {shadow: {version: canary}}", "iris: route.shadow.version: name the version that is to be the shadow: 'c"),
    ("route: {default: 1, canary: {version: 1}}", "iris: route.canary.version: the canary has to be another version"),
    ("route: {default: 2, shadow: {version: 2}}", "iris: route.shadow.version: the shadow has to be another version"),
]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ("load: [2, 3]", "iris: load: there is no version '3', only 1, 2"),
        ("route: {default: 10}", "iris: route.default: there is no version '10', only 1, 2"),
        ("load: newest", "iris: load: there is no version 'newest', only 1, 2"),
        ("load: {latest: 0}", "penstock.yaml: models.iris.load: expected latest: N, all, or a list of versions"),
        ("load: {newest: 1}", "penstock.yaml: models.iris.load: expected latest: N, all, or a list of versions"),
        ("load: [1.0]", "penstock.yaml: models.iris.load: expected latest: N, all, or a list of versions"),
        (
            "route: {canary: {percent: 101}}",
            "penstock.yaml: models.iris.route.canary.percent: expected a number from 0",
        ),
        (
            "route: {canary: {sticky: 'X User'}}",
            "penstock.yaml: models.iris.route.canary.sticky: expected the name of a",
        ),
        *MEANINGLESS,
    ],
)
def test_a_version_that_is_not_there_is_none_to_load_or_route_to(settings: str, complaint: str) -> None:
    write("iris/1/m.onnx", "iris/2/m.onnx")
    with pytest.raises(ConfigurationError) as caught:
        resolved(yaml=f"models: {{iris: {{path: iris, {settings}}}}}")
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize(("settings", "complaint"), MEANINGLESS)
def test_a_route_that_cannot_be_meant_is_refused_in_a_live_edit_too(settings: str, complaint: str) -> None:
    write("iris/1/m.onnx", "iris/2/m.onnx")
    before = resolved(yaml="models: {iris: {path: iris}}")
    write("penstock.yaml", text=f"models: {{iris: {{path: iris, {settings}}}}}")
    with pytest.raises(ConfigurationError) as caught:
        resolve((), load(Path("penstock.yaml")), before)
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize("part", ["canary", "shadow"])
def test_a_canary_or_a_shadow_that_is_not_there_keeps_nobody_from_starting(part: str) -> None:
    write("iris/1/m.onnx", "iris/2/m.onnx")
    found = resolved(yaml=f"models: {{iris: {{path: iris, load: all, route: {{{part}: {{version: v2}}}}}}}}")
    assert [source.version for source in found.sources] == ["1", "2"]
    assert found.notices == (
        f"iris: route.{part}.version: there is no version 'v2', only 1, 2: there is no {part} until it is there",
    )


def test_what_cannot_be_a_name_is_passed_over() -> None:
    write("models/iris/1/m.onnx", "models/bad name/m.onnx", "models/iris/not\na version/m.onnx")
    found = resolved("models")
    assert [source.name for source in found.sources] == ["iris"]
    assert [notice.partition(" (")[0] for notice in found.notices] == [
        "passed over: 'bad name' is no name for a model",
        "passed over: 'not\\na version' is no name for a version of iris",
    ]


def test_a_file_configures_models_and_flags_apply_to_all() -> None:
    write("a.onnx", "models/b/1/m.onnx")
    found = resolved(
        yaml="models: {a: {path: a.onnx, replicas: 2}, b: {path: models/b}}",
        flags={"models.*.device": ["cpu"], "models.*.inputs": ["4"]},
    )
    assert [(source.name, source.artifact.device) for source in found.sources] == [("a", "cpu"), ("b", "cpu")]
    assert found.settings.models["a"].replicas == 2
    assert [len(source.artifact.inputs) for source in found.sources] == [4, 4]


def test_the_settings_have_an_entry_for_each_model_that_is_served() -> None:
    write("a.onnx", "b.onnx")
    found = resolved("b.onnx", yaml="models: {a: {path: a.onnx}}")
    assert {name: model.path for name, model in found.settings.models.items()} == {
        source.name: source.settings.path for source in found.sources
    }


def test_the_default_model_must_be_one_that_is_served() -> None:
    write("iris.onnx")
    assert resolved("iris.onnx", flags={"default_model": ["iris"]}).settings.default_model == "iris"
    with pytest.raises(ConfigurationError, match=r"^default_model: there is no model 'irs'; did you mean 'iris'\?$"):
        resolved("iris.onnx", flags={"default_model": ["irs"]})
    with pytest.raises(ConfigurationError, match=r"^default_model: there is no model 'xyz', only iris$"):
        resolved("iris.onnx", flags={"default_model": ["xyz"]})


def test_one_model_that_cannot_be_resolved_never_hides_the_others() -> None:
    write("models/good/m.onnx", "models/keras/m.h5", "models/none/README", "models/two/a.pkl", "models/two/b.pkl")
    write("models/odd/model.yaml", text="artifact: [")
    write("good.onnx")
    assert refusals(resolved("models").sources) == {
        "good": None,
        "keras": "unsupported_artifact",
        "none": "unsupported_artifact",
        "odd": "configuration_error",
        "two": "unsupported_artifact",
    }
    assert refusals(resolved(yaml="models: {a: {path: good.onnx}, b: {path: gone}}").sources) == {
        "a": None,
        "b": "configuration_error",
    }


# ------------------------------------------------------------------ the artifact
@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["m/README"], "{here}/m holds no artifact: expected a file that ends in .pkl, "),
        (
            ["m/a.pkl", "m/b.onnx"],
            "{here}/m holds 2 artifacts (a.pkl, b.onnx): give each model a directory of its own (a/a.pkl), name",
        ),
        (["m/net.keras"], "{here}/m/net.keras: .keras files are not served as they are: export the model to ONNX"),
    ],
)
def test_a_directory_without_one_artifact_says_what_is_missing(files: list[str], message: str, world: Path) -> None:
    write(*files)
    assert reason(only("m"))[1].startswith(message.format(here=world))


def test_what_is_no_regular_file_is_refused() -> None:
    os.mkfifo("pipe.pkl")
    assert reason(only("pipe.pkl"))[1].endswith("pipe.pkl is not a regular file")


def test_a_manifest_says_which_file_it_is_and_what_it_takes(world: Path) -> None:
    write("m/model.yaml", text="artifact: net.onnx\ninputs: 3x8x8\nexamples: golden.json")
    write("m/net.onnx", "m/other.onnx", "m/golden.json", "m/examples.json")
    artifact = only("m").artifact
    assert artifact.path == str(world / "m/net.onnx")
    assert artifact.examples == str(world / "m/golden.json")
    assert [(field.shape, field.dtype, field.origin) for field in artifact.inputs] == [
        ((3, 8, 8), "float32", "declared")
    ]


def test_examples_beside_the_artifact_are_found(world: Path) -> None:
    write("m/net.onnx", "m/examples.json")
    assert only("m").artifact.examples == str(world / "m/examples.json")
    assert only("m").artifact.reference is None


def test_the_training_data_beside_the_artifact_is_found_or_the_one_that_the_manifest_names(world: Path) -> None:
    write("m/net.onnx", "m/reference.json", "m/mine.json")
    assert only("m").artifact.reference == str(world / "m/reference.json")
    write("m/model.yaml", text="artifact: net.onnx\nreference: mine.json")
    assert only("m").artifact.reference == str(world / "m/mine.json")


def test_inputs_on_the_command_line_win_over_the_manifest() -> None:
    write("m/model.yaml", text="inputs: 3")
    write("m/net.onnx")
    assert len(only("m", flags={"models.*.inputs": ["7"]}).artifact.inputs) == 7


@pytest.mark.parametrize("key", ["artifact: {}", "examples: {}", "reference: {}", "code: ['{}']", "transform: ['{}']"])
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/etc/passwd", "expected a path within the model's directory, got '/etc/passwd'"),
        ("../secret.onnx", "expected a path within the model's directory, got '../secret.onnx'"),
        ("a/../../x.onnx", "expected a path within the model's directory, got 'a/../../x.onnx'"),
        (".hidden.onnx", "'.hidden.onnx': names that begin with a dot are ignored"),
        ("gone.onnx", "there is no 'gone.onnx' in "),
        ("link.onnx", "is a link that leaves "),
    ],
)
def test_a_manifest_names_nothing_outside_its_directory(key: str, path: str, message: str, world: Path) -> None:
    write("m/net.onnx", "secret.onnx", "m/.hidden.onnx", "x.onnx")
    Path("m/link.onnx").symlink_to(world / "secret.onnx")
    write("m/model.yaml", text="artifact: net.onnx\n" if not key.startswith("artifact") else "")
    with Path("m/model.yaml").open("a") as file:
        file.write(key.format(path))
    assert message in reason(only("m"))[1]


@pytest.mark.parametrize(
    "link", ["models/iris", "models/iris/1", "models/iris/1/model.onnx", "models/iris/1/model.yaml"]
)
def test_a_link_out_of_the_repository_is_refused(link: str, world: Path) -> None:
    write("models/good/model.onnx", "outside/1/model.onnx", "outside/model.onnx", "outside/model.yaml")
    if link.endswith("yaml"):
        write("models/iris/1/model.onnx")
    Path(link).parent.mkdir(parents=True, exist_ok=True)
    Path(link).symlink_to(world / "outside" / (Path(link).name if "." in link else ""))
    code, message = reason(resolved("models").sources[1])
    assert code == "untrusted_artifact"
    assert "is a link that leaves" in message


def test_links_within_the_repository_are_followed(world: Path) -> None:
    write("models/..data/v7.onnx")
    Path("models/iris").mkdir()
    Path("models/iris/model.onnx").symlink_to("../..data/v7.onnx")  # as Kubernetes mounts a volume
    assert only("models").artifact.path == str(world / "models/..data/v7.onnx")


# ------------------------------------------------------------------ trust
@pytest.mark.parametrize(("file", "kind"), [("m.pkl", "a pickle"), ("m.joblib", "a pickle"), ("m.pt", "a TorchScript")])
def test_what_runs_code_needs_a_pin_in_a_directory(file: str, kind: str, world: Path) -> None:
    write(f"models/iris/{file}")
    code, message = reason(only("models"))
    assert code == "untrusted_artifact"
    assert message.startswith(f"{world}/models/iris/{file} is {kind}")
    assert message.endswith("if you trust it, run: penstock lock models")
    pin(f"models/iris/{file}")
    source = only("models")
    assert (source.refusal, source.artifact.trusted) == (None, True)
    assert source.artifact.pinned == digest_of(Path(f"models/iris/{file}"))


@pytest.mark.parametrize("file", ["m.onnx", "m.skops"])
def test_what_runs_no_code_needs_no_pin(file: str) -> None:
    write(f"models/iris/{file}")
    source = only("models")
    assert (source.refusal, source.artifact.trusted) == (None, False)


def test_a_pin_is_checked_by_whoever_reads_the_bytes() -> None:
    """Only the host reads the artifact; what is pinned is handed on, whatever lies there by now."""
    write("models/iris/m.pkl")
    pin("models/iris/m.pkl")
    pinned = digest_of(Path("models/iris/m.pkl"))
    write("models/iris/m.pkl", text="another")
    assert only("models").artifact.pinned == pinned


def test_a_file_that_the_configuration_names_needs_a_pin_too() -> None:
    write("m.pkl")
    yaml = "models: {a: {path: m.pkl}}"
    assert reason(only(yaml=yaml))[1].endswith("run: penstock lock penstock.yaml")
    pin("m.pkl")
    assert only(yaml=yaml).refusal is None


def test_the_lock_may_lie_elsewhere() -> None:
    write("models/iris/m.pkl")
    pin("models/iris/m.pkl", lock="vault/my.lock")
    flags = {"lock": ["vault/my.lock"]}
    assert only("models", flags=flags).refusal is None
    write("models/iris/2/n.pkl", "other/m.pkl")
    assert reason(only("other", flags=flags))[1].endswith("run: penstock lock --lock vault/my.lock other")


def test_a_lock_within_the_models_is_refused() -> None:
    write("models/iris/m.pkl")
    with pytest.raises(ConfigurationError, match="whoever can exchange a model could vouch for it"):
        resolved("models", flags={"lock": ["models/penstock.lock"]})


def test_a_named_file_is_held_to_the_lock_that_is_named() -> None:
    write("m.pkl")
    Lock(Path("penstock.lock").absolute(), {"m.pkl": "0" * 64}).write()
    assert only("m.pkl").artifact.pinned is None
    assert only("m.pkl", flags={"lock": ["penstock.lock"]}).artifact.pinned == "0" * 64


def test_code_in_a_directory_needs_pins_even_where_the_artifact_needs_none(world: Path) -> None:
    write("models/iris/m.onnx", "models/iris/features.py", "models/iris/lib/__init__.py", "models/iris/lib/a.py")
    write("models/iris/model.yaml", text="code: [features.py, lib]")
    write("models/iris/lib/.hidden.py", "models/iris/lib/notes.txt")
    assert reason(only("models"))[1].startswith(f"{world}/models/iris/features.py is code of the model, and loading it")
    pin("models/iris/features.py", "models/iris/lib/__init__.py")
    assert reason(only("models"))[1].startswith(f"{world}/models/iris/lib/a.py is code of the model")
    pin("models/iris/lib/a.py")
    source = only("models")
    assert source.refusal is None
    assert source.artifact.code_pins.keys() == {
        f"{world}/models/iris/{name}" for name in ("features.py", "lib/__init__.py", "lib/a.py")
    }


def test_transforms_are_files_of_the_model_and_pickles_among_them_need_a_pin(world: Path) -> None:
    write("models/iris/m.onnx", "models/iris/scaler.pkl", "models/iris/pca.skops")
    write("models/iris/model.yaml", text="transform: [scaler.pkl, pca.skops]\ninputs: 4")
    code, message = reason(only("models"))
    assert code == "untrusted_artifact"
    assert message.startswith(f"{world}/models/iris/scaler.pkl is a pickle, and loading it runs whatever is in it")
    pin("models/iris/scaler.pkl")
    source = only("models")
    assert source.refusal is None
    assert [(each.path, each.format) for each in source.artifact.transforms] == [
        (f"{world}/models/iris/scaler.pkl", "pickle"),
        (f"{world}/models/iris/pca.skops", "skops"),
    ]
    assert source.artifact.beside == {f"{world}/models/iris/scaler.pkl": digest_of(Path("models/iris/scaler.pkl"))}
    assert source.artifact.inputs[0].dtype == "float64", "what transforms compute in, and not what graphs do"


def test_a_transform_is_no_model() -> None:
    write("m/model.pkl", "m/scaler.pkl", "m/net.onnx", "m/model.yaml")
    pin("m/model.pkl", "m/scaler.pkl")
    write("m/model.yaml", text="transform: [scaler.pkl, net.onnx]")
    assert "transform[1]: 'net.onnx' is onnx: a transform is a fitted object" in reason(only("m"))[1]
    write("m/model.yaml", text="transform: [scaler.pkl]")
    Path("m/net.onnx").unlink()
    source = only("m")
    assert (source.refusal, Path(source.artifact.path).name) == (None, "model.pkl")


def test_an_artifact_that_is_named_alone_is_served_without_its_manifest_and_that_is_told(world: Path) -> None:
    write("m/model.onnx", "m/model.yaml", text="transform: [scaler.pkl]")
    assert resolved("m/model.onnx").notices == (
        f"model: model.yaml beside it is not read; to have what it says, name {world}/m",
    )


def test_a_predictor_is_the_model_and_what_lies_beside_it_is_its_own(world: Path) -> None:
    write("models/net/predictor.py", "models/net/weights.pt", "models/net/model.pkl", "models/net/helper.py")
    code, message = reason(only("models"))
    assert code == "untrusted_artifact"
    assert message.startswith(f"{world}/models/net/predictor.py is a Python program, and loading it runs whatever")
    pin("models/net/predictor.py")
    artifact = only("models").artifact
    assert (artifact.format, artifact.trusted, artifact.root) == ("predictor", True, f"{world}/models/net")
    assert only("models/net/helper.py").artifact.format == "predictor", "named by the operator"


def test_a_predictor_may_have_another_name_or_be_mere_code() -> None:
    write("m/serve.py", "m/predictor.py", "m/model.onnx")
    write("m/model.yaml", text="artifact: serve.py")
    pin("m/serve.py", "m/predictor.py")
    assert Path(only("m").artifact.path).name == "serve.py"
    write("m/model.yaml", text="code: [predictor.py]")
    assert Path(only("m").artifact.path).name == "model.onnx"


def test_code_on_the_command_line_is_the_operators_word_and_pinned_as_it_is(world: Path) -> None:
    write("m.pkl", "lib/features.py")
    artifact = only("m.pkl", flags={"models.*.code_path": ["lib"]}).artifact
    assert artifact.code == (str(world / "lib"),)
    assert artifact.code_pins == {str(world / "lib/features.py"): digest_of(Path("lib/features.py"))}


def test_code_that_the_configuration_names_needs_a_pin() -> None:
    write("m.onnx", "features.py")
    yaml = "models: {a: {path: m.onnx, code_path: [features.py]}}"
    assert reason(only(yaml=yaml))[0] == "untrusted_artifact"
    pin("features.py")
    assert only(yaml=yaml).refusal is None


def test_code_that_is_not_there_is_told() -> None:
    write("m.pkl")
    assert reason(only("m.pkl", flags={"models.*.code_path": ["gone.py"]}))[1].endswith("(code_path)")


def test_a_link_in_the_code_that_leaves_it_is_refused(world: Path) -> None:
    write("m.pkl", "lib/a.py", "elsewhere.py")
    Path("lib/b.py").symlink_to(world / "elsewhere.py")
    assert "is a link that leaves" in reason(only("m.pkl", flags={"models.*.code_path": ["lib"]}))[1]


def test_a_link_in_a_circle_hides_nothing() -> None:
    write("models/iris/1/m.onnx")
    Path("models/loop").symlink_to("loop")
    assert refusals(resolved("models").sources)["iris"] is None


# ------------------------------------------------------------------ again, while it serves
def again(before: Resolved, *arguments: str) -> Resolved:
    return resolve(arguments, load(), before)


def test_what_can_be_found_no_more_stays_as_it_was_and_the_others_are_read_anew(world: Path) -> None:
    write("a/1/m.onnx", "b/1/m.onnx")
    before = resolved("a", "b")
    (world / "a" / "1" / "m.onnx").unlink()
    (world / "a" / "1").rmdir()
    write("b/2/m.onnx")
    after = again(before, "a", "b")
    assert {name: [each.version for each in versions] for name, versions in after.models.items()} == {
        "a": ["1"],
        "b": ["1", "2"],
    }
    assert any("holds no models any more: it stays as it was" in notice for notice in after.notices)


def test_a_directory_keeps_the_shape_that_it_had(world: Path) -> None:
    write("m/1/m.onnx", "m/2/m.onnx")
    before = resolved("m")
    write("m/backup/notes.txt", "m/stray.onnx")
    (world / "m" / "latest").symlink_to("2")
    after = again(before, "m")
    assert [each.version for each in after.models["m"]] == ["backup", "1", "2"]
    assert any("'latest' is a label" in notice for notice in after.notices)
