"""`penstock serve`: what is named, served over HTTP until a signal ends it."""

from argparse import Namespace
from collections.abc import Sequence

from penstock.cli.arguments import Parser, add_settings, configuration_of, split_paths
from penstock.cli.complaint import complain
from penstock.cli.stores import demand_modules
from penstock.config import Server
from penstock.errors import ConfigurationError, FailedStart
from penstock.model.repository import Resolved, resolve

EXAMPLES = """\
examples:
  penstock serve model.pkl                      one model, called 'model', on http://127.0.0.1:8000
  penstock serve iris=model.pkl cancer.onnx     two models, called 'iris' and 'cancer'
  penstock serve models/ --host 0.0.0.0         a repository: models/iris/1/model.pkl, models/cancer/model.onnx
  penstock serve net.pt --inputs 3x224x224      an artifact that does not say what it takes
  penstock serve model.pkl --tls-cert cert.pem --tls-key key.pem
                                                over HTTPS
  penstock serve penstock.yaml --port 9000      what a file configures; flags count more

Every flag is a variable too: --max-rows is PENSTOCK_MAX_ROWS. `penstock config` shows what is in force.
"""

IN_CLEAR = "keys travel to {host} in clear text: --tls-cert and --tls-key, or a proxy (--trusted-proxies) that has them"
UNKEPT = "whoever reaches {host} may predict and read: --keys FILE asks for keys, and penstock key new makes them"


def run(words: Sequence[str]) -> int:
    """Serves; returns the exit code. Raises PenstockError."""
    namespace = _parse(words)
    arguments, file = split_paths(_named(namespace))
    configuration = configuration_of(namespace, file)
    demand_modules(configuration.settings.stores)
    resolved = resolve(arguments, configuration)
    for notice in (*configuration.notices, *resolved.notices):
        complain(notice)
    _demand_hope(resolved)
    _warn_of_strangers(configuration.settings.server, resolved)
    from penstock.supervisor.service import serve

    sources = [source for versions in resolved.models.values() for source in versions]

    def reread(before: Resolved) -> Resolved:
        return resolve(arguments, configuration_of(namespace, file), before)

    strict = len(sources) == 1 and sources[0].operator_named
    return serve(resolved, reread, strict=strict)


def _parse(words: Sequence[str]) -> Namespace:
    parser = Parser("serve", "[NAME=]PATH… | penstock.yaml  [options]", "Serve models over HTTP.", EXAMPLES)
    parser.add_argument(
        "paths",
        metavar="[NAME=]PATH",
        nargs="*",
        help="an artifact (.pkl .pickle .joblib .skops .onnx .pt, or a predictor.py), a model's directory, "
        "a repository of models, or a penstock.yaml",
    )
    parser.add_argument("--name", help="what to call the only model that is named")
    add_settings(parser)
    return parser.read(words)


def _warn_of_strangers(server: Server, resolved: Resolved) -> None:
    """Says what others could do who reach the address, or could read on the way to it."""
    if is_loopback(server.host):
        return
    if resolved.keys is None:
        complain(UNKEPT.format(host=server.host))
    elif server.tls_cert is None and not server.trusted_proxies:
        complain(IN_CLEAR.format(host=server.host))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address to listen on. A name other than localhost may be anything."""
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _named(namespace: Namespace) -> list[str]:
    """The paths, with --name as if it had been written NAME=PATH."""
    paths: list[str] = namespace.paths
    if namespace.name is None:
        return paths
    if len(paths) != 1:
        raise ConfigurationError("--name is for one path; with several, write NAME=PATH")
    return [f"{namespace.name}={paths[0]}"]


def _demand_hope(resolved: Resolved) -> None:
    """Raises where nothing is named, or nothing that is named can be served: no process needs to start for that."""
    if not resolved.models:
        raise ConfigurationError("nothing to serve: name an artifact, a directory of models, or a penstock.yaml")
    hopeless = [versions[-1] for versions in resolved.models.values() if all(source.refusal for source in versions)]
    if len(hopeless) == len(resolved.models):
        reasons = [f"cannot serve {each.name}: {each.refusal.message}" for each in hopeless if each.refusal]
        raise FailedStart("; ".join(reasons))
