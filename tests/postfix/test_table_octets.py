"""Tables of any octets: read, or refused with an error that an operator can use."""

import contextlib
import re
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import A, B

import ccert

_PIECE = st.sampled_from(
    [A, B.lower(), "mx.example", ".example", "*.example", "OK", "#", " ", "\t", "\n", "\r\n", "\r",
     "\ufeff", "\0", "\x85", "\u2028", "\x1c", "\N{NO-BREAK SPACE}", "REJECT", "550", "HOLD"],
)  # fmt: skip
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
_OCTETS = st.one_of(
    st.binary(max_size=60),
    st.lists(_PIECE | _TEXT, max_size=20).map("".join).map(str.encode),
)


@pytest.mark.parametrize(
    ("kind", "how"),
    [(ccert.AccessTable, {}), (ccert.AccessTable, {"actions": True}), (ccert.NameTable, {})],
    ids=["access", "actions", "names"],
)
@given(octets=_OCTETS)
def test_any_octets(tmp_path, kind, how, octets):
    """A table, or a ConfigError that names the file and is one printable line; nothing else.

    A table has no control characters but those of its form.
    """
    path = tmp_path / "table"
    path.write_bytes(octets)
    with contextlib.suppress(ccert.ConfigError):
        kind(path, **how).reload()
        assert "Cc" not in map(category, re.sub("\r?\n|\t", "", octets.decode()))
        return
    with pytest.raises(ccert.ConfigError) as error:
        kind(path, **how)
    assert str(error.value).startswith(f"{path}, line ")
    assert str(error.value).isprintable()
