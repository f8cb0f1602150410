"""What things may be called."""

from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from raven_scan.kernel.errors import Invalid
from raven_scan.kernel.ids import parse_id
from raven_scan.kernel.names import LONGEST_NAME, check_name

ID = UUID("01a201ac-2611-7162-a36c-8244730f7e2d")


@pytest.mark.parametrize(
    "name", ["first", "a", "Deponie Süd 2024", "垃圾", "a" * LONGEST_NAME, "v1.0", "a.b", "-x", "\\"]
)
def test_takes(name: str):
    check_name("dataset", name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "empty"),
        ("a" * (LONGEST_NAME + 1), "101 characters"),
        ("a\nb", "cannot be printed"),
        ("a\0b", "cannot be printed"),
        ("\ud800", "cannot be printed"),
        ("abc\u202edef", "cannot be printed"),
        (" a", "space"),
        ("a ", "space"),
        ("a/b", "'/'"),
        ("a@1", "'@'"),
        ("..", "address"),
        (str(ID), "id"),
        (ID.hex, "id"),
        ("{" + str(ID) + "}", "id"),
        ("urn:uuid:" + str(ID), "id"),
    ],
)
def test_refuses(name: str, reason: str):
    with pytest.raises(Invalid, match=reason) as caught:
        check_name("trained_model", name)
    assert caught.value.code == "trained_model.bad_name"
    assert "trained model" in caught.value.message
    assert "\0" not in caught.value.message


@given(st.text(max_size=120))
@example("0" * 32)
def test_what_is_taken_can_be_stored_shown_and_told_from_an_id(name: str):
    try:
        check_name("training_run", name)
    except Invalid:
        return
    assert parse_id(name) is None
    assert name.encode().decode() == name
    assert "\0" not in name
    assert "/" not in name
    assert name.isprintable()
    assert 1 <= len(name) <= LONGEST_NAME


@given(st.uuids())
def test_no_id_is_a_name(id_: UUID):
    for text in (str(id_), str(id_).upper(), id_.hex):
        with pytest.raises(Invalid):
            check_name("training_run", text)
