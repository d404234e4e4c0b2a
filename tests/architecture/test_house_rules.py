"""Rules that matter here and that no linter knows. Each has a sample that breaks it."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
PACKAGES = ("webapp", "inference", "storage")


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def commits(tree: ast.AST) -> list[int]:
    """A second commit in a use case would split its change from its audit event."""
    return [
        call.lineno
        for call in _calls(tree)
        if isinstance(call.func, ast.Attribute) and call.func.attr == "commit"
    ]


def errors_nobody_raises(tree: ast.AST) -> list[int]:
    """`gr.Error(...)` without `raise` shows nothing: the person believes it worked."""
    raised = {id(node.exc) for node in ast.walk(tree) if isinstance(node, ast.Raise)}
    return [
        call.lineno
        for call in _calls(tree)
        if _name(call.func) == "gr.Error" and id(call) not in raised
    ]


def bare_columns(tree: ast.AST) -> list[int]:
    """A plain DateTime loses its offset on SQLite; a plain Enum stores names, not values."""
    return [call.lineno for call in _calls(tree) if _name(call.func) in {"DateTime", "Enum"}]


def remote_code(tree: ast.AST) -> list[int]:
    """Nothing downloaded is ever executed."""
    return [
        keyword.lineno
        for call in _calls(tree)
        for keyword in call.keywords
        if keyword.arg == "trust_remote_code"
        and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
    ]


def hub_look_ups(tree: ast.AST) -> list[int]:
    """`from_pretrained` without `local_files_only=True` may reach for a hub."""
    return [
        call.lineno
        for call in _calls(tree)
        if isinstance(call.func, ast.Attribute)
        and call.func.attr == "from_pretrained"
        and not any(
            keyword.arg == "local_files_only"
            and isinstance(keyword.value, ast.Constant)
            and keyword.value.value is True
            for keyword in call.keywords
        )
    ]


RULES: list[tuple[Callable[[ast.AST], list[int]], str, frozenset[str]]] = [
    (commits, "session.commit()", frozenset({"storage/engine.py"})),
    (errors_nobody_raises, "gr.Error('no')", frozenset()),
    (bare_columns, "column(DateTime())", frozenset({"storage/columns.py"})),
    (remote_code, "load(trust_remote_code=True)", frozenset()),
    (hub_look_ups, "Model.from_pretrained('x')", frozenset()),
]


@pytest.mark.parametrize(
    ("rule", "sample", "exempt"), RULES, ids=[rule.__name__ for rule, _, _ in RULES]
)
def test_rule_holds_and_finds_its_sample(
    rule: Callable[[ast.AST], list[int]], sample: str, exempt: frozenset[str]
) -> None:
    assert rule(ast.parse(sample)) == [1]
    broken = []
    for package in PACKAGES:
        for path in sorted((REPO / package).rglob("*.py")):
            name = path.relative_to(REPO).as_posix()
            if name in exempt or "/migrations/versions/" in name or "node_modules" in name:
                continue
            broken += [f"{name}:{line}" for line in rule(ast.parse(path.read_text()))]
    assert broken == []
