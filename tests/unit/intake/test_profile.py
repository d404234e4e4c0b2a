"""The allow-list as data: sound, explained, and within what PS3.15 allows."""

import json
from pathlib import Path
from typing import Final

import pytest
from pydicom.datadict import dictionary_VR, keyword_for_tag

from storage.intake.profile import explain, profile

# What Table E.1-1 lets the Basic Profile keep in some form: pseudonyms, empty values, and
# patient characteristics, whose option the rebuilt object declares (113108).
REPLACED: Final = frozenset(["uid", "empty", "pseudonym", "fixed"])


def test_every_entry_names_an_element_of_the_standard() -> None:
    for entry in profile().entries.values():
        assert keyword_for_tag(entry.tag) == entry.keyword
        assert entry.vr in dictionary_VR(entry.tag)
        assert entry.reason
        assert entry.section.startswith("PS3.")


def test_no_free_text_is_kept() -> None:
    for entry in profile().entries.values():
        if entry.vr not in ("CS", "DS", "IS", "US", "SS", "AS", "AT", "UI", "SQ", "OW"):
            assert entry.kind in (*REPLACED, "words")


def test_a_sequence_holds_only_elements_with_an_entry() -> None:
    keywords = {entry.keyword for entry in profile().entries.values()}
    for entry in profile().entries.values():
        assert set(entry.holds) <= keywords


def test_the_explanation_has_a_line_for_every_entry_and_for_all_others() -> None:
    lines = explain().splitlines()
    assert len(lines) == len(profile().entries) + 3
    assert "| (0010,0020) | PatientID | LO | a keyed pseudonym |" in explain()
    assert "| (0018,0060) | KVP | DS | numbers from 1 to 1000; else no value |" in explain()
    assert lines[-1].startswith("| all others |")


@pytest.mark.shared
def test_what_the_standard_wants_gone_is_not_kept(shared: Path) -> None:
    table = json.loads((shared / "ps3.15-table-e1-1.json").read_text(encoding="utf-8"))
    listed = {row["id"].lower(): row for row in table}
    for entry in profile().entries.values():
        row = listed.get(f"{entry.tag:08x}")
        if row is not None and entry.kind not in REPLACED:
            assert row.get("rtnPatCharsOpt") == "K", entry.keyword
