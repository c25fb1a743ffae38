"""The reference of all settings, in Markdown, made from their declarations: docs/configuration.md."""

from msgspec import inspect

from penstock.cli.arguments import GROUPS
from penstock.option import Option, of_stores, options
from penstock.values import expected, to_text

HEAD = """\
# Configuration

Every setting can be given as a flag, as an environment variable, or in `penstock.yaml`; flags count more than the
environment, the environment more than the file, and the file more than the defaults. `penstock config` shows what is in
force and where it came from. A variable that is empty counts as one that is not set. Lists are separated by commas in
a variable; a flag may be given again instead. Sizes are bytes, or text such as `64KiB`, `16MiB`, `1GB`. Relative paths
start at the directory of the file that they stand in, and on the command line at the working directory, which is never
searched for anything by itself.

`--config penstock.yaml`, or `PENSTOCK_CONFIG`, or `penstock serve penstock.yaml` names the file:

```yaml
server: {host: 0.0.0.0, port: 8000}
limits: {rows: 1000, body: 16MiB}
default_model: iris
models:
  iris:
    path: models/iris            # an artifact, a model's directory, or a directory of its versions
    batching: {max_rows: 64, max_wait_ms: 0}
    queue: {rows: 4096}
  cancer:
    path: models/cancer/model.onnx
    replicas: 2
```

This page is made from the declarations by `penstock config --reference > docs/configuration.md`.
"""
OF_STORES = """\
In `penstock.yaml` these stand under the name of a store, from which [features](context.md) come; only a file
can say them.
"""
OF_MODELS = """\
In `penstock.yaml` these stand under the name of a model; as a flag or a variable they apply to every model.
"""


def reference() -> str:
    """The whole page."""
    parts = [HEAD]
    for group, title in GROUPS.items():
        parts.append(f"## {title.capitalize()}\n")
        if group == "models":
            parts.append(OF_MODELS)
        rows = [_row(option) for option in options().values() if option.group == group]
        parts.append(
            "\n".join(["| setting | flag and variable | default | takes | |", "|---|---|---|---|---|", *rows]) + "\n"
        )
    parts += ["## Stores\n", OF_STORES]
    rows = [_store(option) for option in of_stores()]
    parts.append("\n".join(["| setting | default | takes | |", "|---|---|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def _store(option: Option) -> str:
    """Of a setting that has no flag."""
    default = to_text(option.annotation, option.default)
    takes = expected(inspect.type_info(option.annotation))
    return f"| `{option.path}` | {f'`{default}`' if default else ''} | {takes} | {option.help} |"


def _row(option: Option) -> str:
    default = to_text(option.annotation, option.default)
    takes = expected(inspect.type_info(option.annotation))
    names = f"`{option.flag}` `{option.variable}`"
    cells = (f"`{option.path}`", names, f"`{default}`" if default else "", takes, option.help)
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
