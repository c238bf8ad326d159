"""What a policy service may answer: anything."""

import asyncio

from hypothesis import example, given
from hypothesis import strategies as st
from policyd import DEFAULT, TIMEOUT, about, asking, echo, policyd

from ccert.postfix import parse_action

_PIECE = st.sampled_from(
    [b"action=", b"OK", b"REJECT a", b"DUNNO", b"HOLD", b"550", b"PREPEND X: y", b"\n", b"\n\n",
     b"\r\n", b"\0", b"\xff", b"=", b" ", b"x=y\n", b"action", b"\xe2\x80\xa8", b"x" * 17000],
)  # fmt: skip
_ANSWER = st.one_of(
    st.binary(max_size=40),
    st.lists(_PIECE | st.binary(max_size=3), max_size=8).map(b"".join),
    st.builds(
        b"action=%b\n\n".__mod__, st.text(max_size=20).map(lambda t: t.encode("utf-8", "replace"))
    ),
)


@given(_ANSWER)
@example(b"action=OK\n\naction=OK\n\n")
@example(b"action=OK\n")
@example(b"action=550\n\n")
@example(b"\n\naction=OK\n\n")
def test_any_answer(path, octets):
    """It is an action that the service sent, and ccert supports, or the default: no exception.

    The next client gets its own answer, whatever came before.
    """

    async def react(connection, request) -> None:
        if request["recipient"] == "first":
            await connection.send(octets)
            if b"\n\n" not in b"\n" + octets:  # it would be waited for
                connection.close()
        else:
            await echo(connection, request)

    async def main() -> tuple[str, str]:
        async with policyd(path, react), asking(path) as client:
            return await client.ask(about("first")), await client.ask(about("second"))

    first, second = asyncio.run(asyncio.wait_for(main(), TIMEOUT))
    parse_action(first)
    assert first == DEFAULT or f"action={first}\n" in octets.decode()
    assert second == "REJECT second"
