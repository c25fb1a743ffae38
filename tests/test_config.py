"""The configuration: four sources, one of which wins, and complaints that say where to look."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from penstock.config import Model, Settings, Store
from penstock.configuration import load
from penstock.errors import ConfigurationError
from penstock.option import EVERY_MODEL, options
from penstock.values import format_size

# One setting of each type: its path, what may be written, and the value that this stands for.
WRITTEN: dict[str, st.SearchStrategy[tuple[str, Any]]] = {
    "server.port": st.integers(0, 65535).map(lambda n: (str(n), n)),
    "server.host": st.sampled_from(["0.0.0.0", "::1", "localhost"]).map(lambda s: (s, s)),
    "limits.body": st.integers(1, 2**40).map(lambda n: (format_size(n), n)),
    "drain.linger_s": st.floats(0, 1e6).map(lambda x: (repr(x), x)),
    "logs.format": st.sampled_from(["auto", "json", "text"]).map(lambda s: (s, s)),
}
SOURCES = ("flag", "variable", "file")


def yaml_file(folder: Path, text: str) -> Path:
    path = folder / "penstock.yaml"
    path.write_text(text)
    return path


def value_of(settings: Settings, path: str) -> Any:
    value: Any = settings
    for name in path.split("."):
        value = getattr(value, name)
    return value


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("precedence")


@given(
    said=st.fixed_dictionaries(
        {path: st.dictionaries(st.sampled_from(SOURCES), written) for path, written in WRITTEN.items()}
    )
)
def test_flags_win_over_variables_over_the_file_over_defaults(
    said: dict[str, dict[str, tuple[str, Any]]], folder: Path
) -> None:
    document: dict[str, dict[str, str]] = {}
    flags, environ = {}, {}
    for path, sources in said.items():
        group, name = path.split(".")
        if "file" in sources:
            document.setdefault(group, {})[name] = yaml.safe_load(sources["file"][0])
        if "variable" in sources:
            environ[options()[path].variable] = sources["variable"][0]
        if "flag" in sources:
            flags[path] = [sources["flag"][0]]
    configuration = load(yaml_file(folder, yaml.safe_dump(document)), flags, environ)
    origins = {each.path: each.origin for each in configuration.effective()}
    for path, sources in said.items():
        winner = next((source for source in SOURCES if source in sources), None)
        expected = sources[winner][1] if winner else options()[path].default
        names = {"flag": options()[path].flag, "variable": options()[path].variable, "file": "penstock.yaml"}
        assert value_of(configuration.settings, path) == expected
        assert origins[path] == (names[winner] if winner else "default")


def test_nothing_said_gives_the_declared_defaults() -> None:
    assert load().settings == Settings()


def test_every_setting_has_three_names() -> None:
    names = {option.path: (option.flag, option.variable) for option in options().values()}
    assert names["limits.body"] == ("--limits-body", "PENSTOCK_LIMITS_BODY")
    assert names["server.port"] == ("--port", "PENSTOCK_PORT")
    assert names["logs.file"] == ("--log-file", "PENSTOCK_LOG_FILE")
    assert names["models.*.batching.max_wait_ms"] == ("--max-wait-ms", "PENSTOCK_MAX_WAIT_MS")
    assert names["models.*.queue.rows"] == ("--queue-rows", "PENSTOCK_QUEUE_ROWS")
    assert len({flag for flag, _ in names.values()}) == len(names)


def test_every_setting_says_what_it_is_for() -> None:
    assert [option.path for option in options().values() if not option.help] == []


def test_what_is_said_of_every_model_wins_over_what_the_file_says_of_one(tmp_path: Path) -> None:
    file = yaml_file(tmp_path, "models: {a: {path: x, batching: {max_rows: 3}, replicas: 2}, b.c: {path: y}}")
    configuration = load(file, {f"{EVERY_MODEL}batching.max_rows": ["9"]}, {"PENSTOCK_DEVICE": "cpu"})
    a, b = configuration.settings.models.values()
    assert (a.batching.max_rows, a.replicas, a.device) == (9, 2, "cpu")
    assert (b.batching.max_rows, b.replicas, b.device) == (9, 1, "cpu")
    assert configuration.model("/z") == Model(path="/z", batching=a.batching, device="cpu")
    origins = {each.path: each.origin for each in configuration.effective()}
    assert origins["models.a.batching.max_rows"] == "--max-rows"
    assert origins["models.b.c.device"] == "PENSTOCK_DEVICE"
    assert origins["models.a.replicas"] == "penstock.yaml"


def test_relative_paths_start_where_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    file = yaml_file(tmp_path / "etc", "lock: my.lock\nlogs: {file: a.log}\nmodels: {a: {path: ../a, code_path: [c]}}")
    settings = load(file, {"logs.file": ["b.log"]}).settings
    assert settings.lock == str(tmp_path / "etc" / "my.lock")
    assert settings.logs.file == str(tmp_path / "here" / "b.log")
    assert settings.models["a"].path == str(tmp_path / "a")
    assert settings.models["a"].code_path == (str(tmp_path / "etc" / "c"),)


def test_stores_have_names_and_paths_that_start_where_they_are_written(tmp_path: Path) -> None:
    stores = "{a: {redis: true, prefix: 'u:', timeout_ms: 5}, b: {file: t/u.csv, key: 7}, c: {python: m:S}}"
    configuration = load(yaml_file(tmp_path, f"redis: {{url: redis://x}}\nstores: {stores}"))
    assert configuration.settings.stores == {
        "a": Store(redis=True, prefix="u:", timeout_ms=5),
        "b": Store(file=str(tmp_path / "t" / "u.csv"), key="7"),
        "c": Store(python="m:S"),
    }
    told = {each.path: (each.text, each.origin) for each in configuration.effective() if "stores.a" in each.path}
    assert told["stores.a.redis"] == ("true", "penstock.yaml")
    assert told["stores.a.python"] == ("", "default")


def test_trusted_proxies_are_addresses_and_networks() -> None:
    variable = {"PENSTOCK_TRUSTED_PROXIES": "10.0.0.0/8, 2001:DB8::1"}
    assert load(None, {}, variable).settings.server.trusted_proxies == ("10.0.0.0/8", "2001:db8::1")


def test_a_flag_that_may_be_given_again_adds_up() -> None:
    settings = load(None, {f"{EVERY_MODEL}trusted_types": ["a.B", "c.D,e.F"]}).model("x")
    assert settings.trusted_types == ("a.B", "c.D", "e.F")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("server: {prot: 80}", "server.prot: unknown setting; did you mean 'port'?"),
        ("sever: {port: 80}", "sever: unknown setting; did you mean 'server'?"),
        ("server.port: 80", "server.port: unknown setting"),
        ("server: 80", "server: expected a mapping, got 80"),
        ("server: {port: eighty}", "server.port: expected an integer from 0 to 65535, got 'eighty'"),
        (
            "server: {trusted_proxies: [10.0.0.1/8]}",
            "server.trusted_proxies: expected an address or a network such as 10.0.0.0/8, got '10.0.0.1/8'",
        ),
        (
            "server: {trusted_proxies: 10.0.0.1}",
            "server.trusted_proxies: expected a list of addresses and networks such as 10.0.0.0/8, got '10.0.0.1'",
        ),
        ("limits: {body: lots}", "limits.body: expected a size such as 16MiB, up to 1024TiB, got 'lots'"),
        ("limits: {rows: 0}", "limits.rows: expected an integer from 1 to 1000000000, got 0"),
        ("limits: {rows: 1,000}", "limits.0: unknown setting; a number is written without commas"),
        ("drain: {linger_s: -1}", "drain.linger_s: expected a number of at least 0, got -1"),
        ("drain: {linger_s: .inf}", "drain.linger_s: expected a number of at least 0, got inf"),
        ("logs: {format: xml}", "logs.format: expected one of auto, json, text, got 'xml'"),
        ("models: [iris]", "models: expected a mapping such as 'iris: {path: …}'"),
        ("models: {iris: models/iris}", "models.iris: expected a mapping, {path: 'models/iris'} say"),
        ("models: {iris: {path: x, cache: on}}", "models.iris.cache: expected a mapping, {mode: on} say"),
        ("models: {iris: {path: x, cache: true}}", "models.iris.cache: expected a mapping, {mode: on} say"),
        ("models: {iris: {path: x, cache: auto}}", "models.iris.cache: expected a mapping, {mode: auto} say"),
        (
            "models: {iris: {path: x, cache: {mode: On}}}",
            "models.iris.cache.mode: expected one of auto, off, on, got 'On'",
        ),
        ("models: {iris: {}}", "models.iris.path: say where the model is"),
        ("models: {a b: {path: x}}", "models: 'a b' is no name: use letters, digits, '_', '-' and '.'"),
        ("models: {'..': {path: x}}", "models: '..' is no name: use letters, digits, '_', '-' and '.'"),
        ("models: {1: {path: x}}", "models: 1 is no name: use letters, digits, '_', '-' and '.'"),
        (
            "models: {iris: {path: x, batching: {max_rows: many}}}",
            "models.iris.batching.max_rows: expected an integer from 1 to 1000000000, got 'many'",
        ),
        (
            "models: {iris: {path: x, device: gpu}}",
            "models.iris.device: expected auto, cpu, cuda or cuda:N, got 'gpu'",
        ),
        ("models.*: {path: x}", "models.*: unknown setting"),
        ("stores: [a]", "stores: expected a mapping such as 'users: {file: users.csv, key: user_id}'"),
        ("stores: {a: redis}", "stores.a: expected a mapping, got 'redis'"),
        ("stores: {a b: {redis: true}}", "stores: 'a b' is no name: use letters, digits, '_', '-' and '.'"),
        ("stores: {a: {rdis: true}}", "stores.a.rdis: unknown setting; did you mean 'redis'?"),
        ("stores: {a: {}}", "stores.a: say what it is: redis: true, file: users.csv, or python: module:name"),
        ("stores: {a: {redis: true, python: m:S}}", "stores.a: say what it is: redis: true,"),
        ("stores: {a: {redis: true}}", "stores.a: say where Redis is, too"),
        (
            "redis: {url: redis://x}\nstores: {a: {redis: true}}",
            "stores.a: Redis needs a prefix, and nothing else does",
        ),
        ("redis: {url: redis://x}\nstores: {a: {redis: true, prefix: ''}}", "stores.a.prefix: expected"),
        ("stores: {a: {file: u.csv, key: id, prefix: 'u:'}}", "stores.a: Redis needs a prefix, and nothing else does"),
        ("stores: {a: {file: u.txt, key: id}}", "stores.a: expected a file that ends in .csv or .parquet"),
        ("stores: {a: {file: u.csv}}", "stores.a: a table needs a key, and nothing else does"),
        ("stores: {a: {python: m:S, key: id}}", "stores.a: a table needs a key, and nothing else does"),
        ("stores: {a: {python: m}}", "stores.a.python: expected a module and a name in it, such as my_stores:Users"),
        ("stores: {a: {redis: true, timeout_ms: 0}}", "stores.a.timeout_ms: expected a number above 0, got 0"),
    ],
)
def test_a_complaint_about_the_file_names_the_setting(text: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(yaml_file(tmp_path, text))
    assert str(caught.value).startswith(f"penstock.yaml: {complaint}")


def test_a_complaint_names_the_flag_or_the_variable() -> None:
    with pytest.raises(ConfigurationError, match=r"^--port: expected an integer from 0 to 65535, got -1$"):
        load(None, {"server.port": ["-1"]})
    with pytest.raises(ConfigurationError, match=r"^PENSTOCK_PORT: expected an integer .*, got 'eighty'$"):
        load(None, {}, {"PENSTOCK_PORT": "eighty"})


@pytest.mark.parametrize("text", ["", "server:", "server: {}", "models:", "logs: {file: null}", "lock: null"])
def test_what_is_empty_counts_as_not_said(text: str, tmp_path: Path) -> None:
    assert load(yaml_file(tmp_path, text), {}, {"PENSTOCK_PORT": ""}).settings == Settings()


def test_a_word_that_yaml_takes_for_a_boolean_needs_no_quotes(tmp_path: Path) -> None:
    file = yaml_file(tmp_path, "models: {a: {path: x, compile: off, queue: {priority: off}}}")
    model = load(file).settings.models["a"]
    assert (model.compile, model.queue.priority) == ("off", "off")


def test_a_number_may_stand_for_inputs(tmp_path: Path) -> None:
    assert load(yaml_file(tmp_path, "models: {a: {path: x, inputs: 4}}")).settings.models["a"].inputs == "4"


def test_a_mistyped_variable_is_noticed_and_strangers_are_left_alone() -> None:
    strangers = {
        "PENSTOCK_SERVICE_HOST": "10.0.0.1",
        "PENSTOCK_WEATHER_STATION": "x",
        "PATH": "/bin",
        "PENSTOCK_CONFIG": "a",
    }
    assert load(None, {}, strangers).notices == ()
    notices = load(None, {}, {"PENSTOCK_LIMIT_ROWS": "7"}).notices
    assert notices == ("PENSTOCK_LIMIT_ROWS is not a setting; did you mean 'PENSTOCK_LIMITS_ROWS'?",)


def test_the_link_that_kubernetes_sets_for_a_service_called_penstock_is_no_port() -> None:
    assert load(None, {}, {"PENSTOCK_PORT": "tcp://10.0.0.1:8000"}).settings.server.port == 8000
