"""What de-identification keeps, as a person may ask for it."""

from pathlib import Path

from storage.intake.profile import explain, profile
from tests.flow.terminal import Overread

DOCUMENT = Path(__file__).parents[2] / "docs" / "deidentification.md"


def test_the_profile_is_printed_without_an_installation(overread: Overread, tmp_path: Path) -> None:
    ran = overread("deid", "--explain")

    assert (ran.code, ran.err) == (0, "")
    assert ran.out == explain()
    assert not (tmp_path / "data").exists()


def test_a_program_gets_every_kept_element(overread: Overread) -> None:
    shown = overread("deid", "--explain", "--json").json

    assert shown["edition"] == profile().edition
    assert [int(row["tag"], 16) for row in shown["kept"]] == list(profile().entries)


def test_the_document_holds_the_table_that_the_command_prints() -> None:
    assert DOCUMENT.read_text().endswith("overread deid --explain` -->\n" + explain())
