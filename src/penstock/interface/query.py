"""The query string of a prediction, read strictly: a typing error is no silent default."""

from typing import NamedTuple
from urllib.parse import parse_qsl

from penstock.errors import InvalidRequest, MalformedRequest, Problem
from penstock.interface.errors import repeatable
from penstock.values import did_you_mean

PARAMETERS = ("model_version", "probabilities")
MOST_PARAMETERS = 100


class Query(NamedTuple):
    """What a prediction's query string may say."""

    version: str | None = None
    probabilities: bool = False


NO_QUERY = Query()


def read(text: bytes, header: bytes | None) -> Query:
    """The query string `text`, and X-Model-Version. Raises MalformedRequest, and InvalidRequest, which says where."""
    if not text and header is None:
        return NO_QUERY
    said = _parameters(text)
    wanted = said.get("probabilities", "false")
    if wanted not in ("true", "false"):
        raise misfit("Send true or false.", "probabilities")
    asked = said.get("model_version")
    version = header.decode("latin-1") if header is not None else asked
    if asked is not None and version != asked:
        raise misfit("Name the version that X-Model-Version names.", "model_version")
    return Query(version, wanted == "true")


def _parameters(text: bytes) -> dict[str, str]:
    if b"#" in text:
        raise MalformedRequest("The query string cannot be read.")
    try:
        pairs = parse_qsl(text.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError:
        raise MalformedRequest("The query string cannot be read.") from None
    said: dict[str, str] = {}
    for name, value in pairs:
        if name not in PARAMETERS:
            raise _unknown(name)
        if name in said:
            raise misfit("Send it once.", name)
        said[name] = value
    return said


def _unknown(name: str) -> InvalidRequest:
    known = " and ".join(PARAMETERS)
    if not repeatable(name):
        return misfit(f"A parameter is unknown; there are {known}.")
    return misfit(f"There is no such parameter{did_you_mean(name, PARAMETERS) or f'; there are {known}.'}", name)


def misfit(msg: str, *where: str) -> InvalidRequest:
    """The refusal of what stands at a parameter, or of the query as a whole."""
    place = f"At {where[0]} in the query" if where else "In the query"
    return InvalidRequest(f"{place}: {msg}", [Problem(("query", *where), msg)])
