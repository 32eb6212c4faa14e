"""Bells: how whoever waits in this process learns that something has changed."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Bells:
    """One bell for each world, and one that rings with all of them."""

    def __init__(self) -> None:
        self._listeners: dict[str | None, set[asyncio.Future[None]]] = {}

    @contextmanager
    def listen(self, client_id: str | None) -> Iterator["asyncio.Future[None]"]:
        """Give a future that is done when this world's bell rings; listen before you look, and you miss nothing."""
        future = asyncio.get_running_loop().create_future()
        listeners = self._listeners.setdefault(client_id, set())
        listeners.add(future)
        try:
            yield future
        finally:
            listeners.discard(future)
            if not listeners and self._listeners.get(client_id) is listeners:
                del self._listeners[client_id]

    def ring(self, client_id: str | None) -> None:
        """Wake whoever waits for a change in this world, or in any; with None, everybody."""
        for heard in {client_id, None} if client_id is not None else set(self._listeners):
            for future in self._listeners.get(heard, ()):
                if not future.done():
                    future.set_result(None)
