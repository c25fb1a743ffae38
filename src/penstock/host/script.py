"""What a Python file does when it is imported: a module only defines, and a training script trains again."""

import ast
from collections.abc import Iterable, Iterator

from penstock.errors import UnreadableArtifact
from penstock.host.source import Source

_BLOCKS = ("body", "orelse", "finalbody")  # of `if` and `try`, whose other parts define as the top level does
_WORKS = (ast.With, ast.AsyncWith, ast.For, ast.AsyncFor, ast.While)


def parsed(source: Source) -> ast.Module:
    """Raises UnreadableArtifact for what is not Python."""
    try:
        return ast.parse(source.data)
    except (SyntaxError, ValueError) as error:
        raise UnreadableArtifact(f"{source.path} is not valid Python: {error}") from None


def script_warning(source: Source) -> str | None:
    """The sentence for a file that does more than define, since importing it runs all that; None for a module.

    Assignments are taken for constants: a script that trains and saves shows by its calls, loops and `with`.
    """
    statements = parsed(source).body
    line = next(_works(statements), None)
    if line is None:
        return None
    guarded = ', except below `if __name__ == "__main__"`' if any(map(_is_guard, statements)) else ""
    name = source.path.name
    return (
        f"{name} is run in full at each load{guarded}, and it does more than define (line {line}): "
        f"move what the model needs into a module of its own, import that in {name}, and save the model again"
    )


def _works(statements: Iterable[ast.stmt]) -> Iterator[int]:
    """The lines of the statements that do more than import, define, assign or document."""
    for each in statements:
        if isinstance(each, _WORKS) or (isinstance(each, ast.Expr) and not isinstance(each.value, ast.Constant)):
            yield each.lineno
        elif isinstance(each, ast.If | ast.Try) and not _is_guard(each):
            for block in _BLOCKS:
                yield from _works(getattr(each, block, ()))


def _is_guard(statement: ast.stmt) -> bool:
    """Whether it is `if __name__ == "__main__":`, in either order."""
    test = statement.test if isinstance(statement, ast.If) else None
    if not isinstance(test, ast.Compare) or not isinstance(test.ops[0], ast.Eq):
        return False
    sides = {ast.unparse(side) for side in (test.left, *test.comparators)}
    return sides == {"__name__", "'__main__'"}
