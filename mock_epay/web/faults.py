"""Faults on demand: answers that come late, are refused, broken off, or never come."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from mock_epay.bank import Bank
from mock_epay.errors import PlannedRefusal, Refusal
from mock_epay.script import Place, PlannedFault
from mock_epay.wire import contracts, outgoing

# What a server puts into the scope's extensions, so that an application can drop the connection.
DROP: Final = "mock_epay.drop"

Answer = Callable[[], Awaitable[Response]]


async def spoilt(
    bank: Bank, at: Place, client_id: str | None, answer: Answer, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the answer of a service of this merchant's, or what a planned fault makes of it."""
    fault = await bank.strike(at, client_id)
    return await answer() if fault is None else await _play(fault, answer, headers)


async def _play(fault: PlannedFault, answer: Answer, headers: Mapping[str, str] | None) -> Response:
    await asyncio.sleep(fault.delay_s)
    if fault.garbled:
        return _cut(await answer())
    if not (fault.drop or fault.status):
        return await answer()
    if fault.after:
        with suppress(Refusal):
            await answer()
    if fault.drop:
        return _Dropped()
    refusal = PlannedRefusal(
        f"a planned fault of {fault.at}: the script wants status {fault.status}", code=fault.status
    )
    body = contracts.encode("error", outgoing.error(refusal), check=False)
    return Response(body, fault.status or 0, headers=headers, media_type="application/json")


def _cut(whole: Response) -> Response:
    """Return the first half of an answer."""
    body = Path(whole.path).read_bytes() if isinstance(whole, FileResponse) else bytes(whole.body)
    headers = {name: value for name, value in whole.headers.items() if name != "content-length"}
    return Response(body[: len(body) // 2], whole.status_code, headers=headers)


class _Dropped(Response):
    """No answer at all: the connection ends."""

    async def __call__(self, scope: Scope, receive: Receive, _: Send) -> None:
        scope["extensions"][DROP]()
        while (await receive())["type"] != "http.disconnect":
            pass
