"""What the documents claim, held against the program: they rot otherwise."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from webapp.cli import parser
from webapp.services.rates import LIMITS, Rate
from webapp.settings import PREFIX, WebSettings

REPO = Path(__file__).parents[2]
README = (REPO / "README.md").read_text()
DOCUMENTS = [REPO / "README.md", *sorted((REPO / "docs").rglob("*.md"))]


def settings_table() -> str:
    """Return the settings as README's table shows them."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in WebSettings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        lines.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines)


def test_docs_settings_table_is_the_programs_own() -> None:
    assert settings_table() in README


def test_docs_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (REPO / "Makefile").read_text(), re.MULTILINE))
    named = {
        target for path in DOCUMENTS for target in re.findall(r"`make ([a-z-]+)", path.read_text())
    }
    assert named
    assert named <= targets


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"`(overread [a-z]+(?: [a-z]+(?=[ `]))?)", README)))
)
def test_docs_every_command_exists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([*command.split()[1:], "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: " + command)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(REPO).as_posix())
def test_docs_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(REPO).as_posix())
def test_docs_paths_exist(path: Path) -> None:
    named = re.findall(r"`((?:webapp|inference|storage|tests|docs)/[\w./-]+)`", path.read_text())
    assert [name for name in named if not (REPO / name).exists()] == []


def test_docs_every_named_test_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (REPO / "docs/security.md").read_text()))
    sources = [path.read_text() for path in (REPO / "tests").rglob("test_*.py")]
    written = {name for source in sources for name in re.findall(r"def (test_\w+)", source)}
    assert named
    assert named <= written


def test_docs_rates_are_the_programs_own() -> None:
    minutes = {1: "a minute", 10: "in ten minutes", 60: "an hour"}

    def told(rate: Rate) -> str:
        return f"{rate.times:,} {minutes[rate.period // timedelta(minutes=1)]}"

    expected = [
        f"| {what.value} | {told(limit.person)} | {told(limit.network)} | {limit.reason} |"
        for what, limit in LIMITS.items()
    ]
    table = (REPO / "docs/security.md").read_text().partition("<!-- rates:")[2].splitlines()[3:]
    assert table[: len(expected)] == expected
    assert table[len(expected)] == ""
