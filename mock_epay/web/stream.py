"""A world's events as a stream that goes on while they happen (server-sent events)."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mock_epay.desk import Desk
from mock_epay.store import UnknownMerchantError
from mock_epay.web import guard, views

_MEDIA_TYPE: Final = "text/event-stream"
_PING_S: Final = 15


def wanted(request: Request) -> bool:
    """Whether a request asks for a stream."""
    return _MEDIA_TYPE in request.headers.get("accept", "")


async def begin(desk: Desk, request: Request, client_id: str, after: int, *, kind: str, invoice_id: str) -> Response:
    """Tell events of a kind and an invoice, or of any, behind the one that the listener heard last, or else `after`."""
    heard = request.headers.get("last-event-id", "")
    place = await _place(desk, client_id, int(heard) if heard.isdecimal() and heard.isascii() else after)
    told = _told(desk, client_id, place, kind, invoice_id)
    return StreamingResponse(told, headers=guard.NO_STORE, media_type=_MEDIA_TYPE)


async def _place(desk: Desk, client_id: str, heard: int) -> int:
    """Return the number to go on behind; whoever has heard of more than there is has known another sandbox."""
    return heard if heard <= await desk.last_event(client_id) else 0


async def _told(desk: Desk, client_id: str, after: int, kind: str, invoice_id: str) -> AsyncIterator[str]:
    """Tell events as they happen, with a word now and then that the line is open; it ends with the merchant."""
    yield ": here are the events\n\n"
    news = asyncio.create_task(desk.news(client_id, after=after))
    try:
        while True:
            await asyncio.wait({news}, timeout=_PING_S)
            if not news.done():
                yield ": still here\n\n"
                continue
            happened = news.result()
            news = asyncio.create_task(desk.news(client_id, after=happened[-1].number))
            for event in happened:
                if event.is_of(kind, invoice_id):
                    text = json.dumps(views.event(event), ensure_ascii=False)
                    yield f"id: {event.number}\nevent: {event.kind}\ndata: {text}\n\n"
    except UnknownMerchantError:
        return
    finally:
        news.cancel()
