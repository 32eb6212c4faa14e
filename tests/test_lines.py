"""Connections to shops that are kept for a moment, because another notice follows."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from support import PATIENCE_S

from mock_epay.postlinks.letters import Post
from mock_epay.postlinks.roads import Roads
from mock_epay.postlinks.tries import Letter, Outcome

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CLOSE: Final = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@dataclass
class Shop:
    """A shop that keeps its connections, and knows when they end."""

    answers: list[bytes]
    hasty: bool = False  # answers what it has only begun to hear
    connections: int = 0
    ended: asyncio.Queue[None] = field(default_factory=asyncio.Queue)
    url: str = ""
    visits: list[Any] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.visits.append(asyncio.current_task())
        while head := await self._head(reader):
            if not self.hasty:
                await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
            writer.write(self.answers.pop(0))
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        self.ended.put_nowait(None)

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""

    async def end(self) -> None:
        """Wait until one more connection has ended."""
        await asyncio.wait_for(self.ended.get(), PATIENCE_S)


@asynccontextmanager
async def trade(*answers: bytes) -> AsyncIterator[tuple[Shop, Callable[[], Awaitable[Outcome]], Post]]:
    """Have a shop with these answers, a way to post a notice to it while more are to follow, and who does that."""
    shop, post = Shop(list(answers)), Post(Roads())
    server = await asyncio.start_server(shop.serve, "127.0.0.1", 0)
    shop.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"

    async def bring() -> Outcome:
        return await post.carry(Letter(url=shop.url, body=b"{}", patience_s=PATIENCE_S, keep=True))

    async with server:
        yield shop, bring, post
        post.close()
        await asyncio.wait_for(asyncio.gather(*shop.visits), PATIENCE_S)


async def _twice() -> None:
    async with trade(OK, OK) as (shop, bring, post):
        assert [(await bring()).answer, (await bring()).answer] == ["ok", "ok"]
        assert shop.connections == 1
        post.close()
        await shop.end()


async def _at_once() -> None:
    async with trade(OK, OK, OK) as (shop, bring, _):
        await asyncio.gather(bring(), bring())
        assert shop.connections == 2
        assert (await bring()).result == "delivered"
        assert shop.connections == 2


async def _for_a_moment() -> None:
    async with trade(OK, OK) as (shop, bring, _):
        await bring()
        await shop.end()  # by the sandbox, for nothing more came
        assert (await bring()).result == "delivered"
        assert shop.connections == 2


async def _not_if_it_closes() -> None:
    async with trade(CLOSE, OK) as (shop, bring, _):
        await bring()
        await shop.end()
        assert (await bring()).result == "delivered"
        assert shop.connections == 2


async def _not_if_it_babbles() -> None:
    async with trade(OK + OK, OK) as (shop, bring, _):
        await bring()
        await shop.end()
        assert (await bring()).result == "delivered"
        assert shop.connections == 2


async def _not_if_it_babbles_later() -> None:
    async with trade(OK, OK) as (shop, bring, post):
        await bring()
        [[line]] = post._kept.values()
        line.data_received(b"and another thing")
        await shop.end()
        assert (await bring()).result == "delivered"
        assert shop.connections == 2


async def _one_of_two_ends() -> None:
    async with trade(OK, OK, OK) as (shop, bring, post):
        await asyncio.gather(bring(), bring())
        [lines] = post._kept.values()
        babbler, _ = lines
        babbler.data_received(b"and another thing")
        await shop.end()
        assert (await bring()).result == "delivered"
        assert shop.connections == 2
        await shop.end()  # by the sandbox, which has let go of the other before
        assert not post._kept


def test_who_answers_before_all_is_said_is_told_no_more() -> None:
    async def told() -> Outcome:
        async with trade(OK) as (shop, _, post):
            shop.hasty = True
            slow = Letter(url=shop.url, body=b"{}", patience_s=PATIENCE_S, slow_s=20 * PATIENCE_S)
            return await asyncio.wait_for(post.carry(slow), PATIENCE_S)

    assert asyncio.run(told()).result == "delivered"


@pytest.mark.parametrize(
    "story",
    [
        _twice,
        _at_once,
        _for_a_moment,
        _not_if_it_closes,
        _not_if_it_babbles,
        _not_if_it_babbles_later,
        _one_of_two_ends,
    ],
)
def test_a_connection_serves_the_next_notice(story: Callable[[], Awaitable[None]]) -> None:
    async def told() -> None:
        await story()

    asyncio.run(told())
