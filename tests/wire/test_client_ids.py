"""Client order ids as text: reversible, ours, and within every venue's bounds."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.wire.client_ids import SESSIONS, WIDTH, ClientIds

sessions = st.integers(0, SESSIONS - 1)
numbers = st.integers(0, (1 << 63) - 1)


@given(sessions, numbers, st.integers(0, 36**4 - 1))
def test_every_id_comes_back_from_its_text_after_a_restart(session, number, revision) -> None:
    text = ClientIds(session).text(number, revision)
    again = ClientIds(session)
    assert again.decode(text) == number
    assert len(text) <= 23 and (revision or len(text) == WIDTH == 18) and text.isascii() and text.isalnum()
    assert again.revision(text) == text[18:]


@given(sessions, numbers)
def test_the_uuid_form_is_a_uuid_and_comes_back(session, number) -> None:
    text = ClientIds(session).uuid(number)
    assert str(uuid.UUID(text)) == text and uuid.UUID(text).version == 8
    assert uuid.UUID(text).variant == uuid.RFC_4122
    assert ClientIds(session).decode(text) == number


@given(sessions, sessions, numbers)
def test_another_session_s_ids_are_foreign(one, other, number) -> None:
    expected = number if one == other else None
    assert ClientIds(other).decode(ClientIds(one).text(number)) == expected
    assert ClientIds(other).decode(ClientIds(one).uuid(number)) == expected


@given(st.text(max_size=50) | st.uuids().map(str) | st.from_regex(r"n[0-9a-z]{17}(r[0-9a-z]{0,5})?", fullmatch=True))
def test_any_text_is_foreign_or_the_text_of_its_id(text) -> None:
    ids = ClientIds(46655)
    number = ids.decode(text)
    if number is not None:
        assert text[:18] == ids.text(number) or text == ids.uuid(number)


def test_ids_that_cannot_be_are_refused() -> None:
    for session in (-1, SESSIONS):
        with pytest.raises(ValueError, match="session"):
            ClientIds(session)
    with pytest.raises(ValueError, match="expected 0 or more"):
        ClientIds(0).text(-1)
    assert ClientIds(0).decode("n0000" + "z" * 13) is None  # beyond 63 bits
