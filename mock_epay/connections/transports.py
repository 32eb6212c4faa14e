"""What stands between a connection and its socket."""

import asyncio
from typing import Final

_GATHERED: Final = 64 * 1024  # bytes that wait for the end of a turn


class Gathered:
    """A transport that writes all of a turn of the loop at its end, when the application has dealt with every request.

    A write is a system call, the dearest part, and wakes the client; what runs between two of them runs half as fast.
    It knows too which of the two sides is to wait for the other.
    """

    __slots__ = ("_kept", "_loop", "_room", "_size", "_transport", "full", "is_closing", "unread")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._kept: list[bytes] = []
        self._size = 0
        self._room = asyncio.Event()
        self.is_closing = transport.is_closing
        self.full = False  # the client does not take what was written
        self.unread = False  # nothing is read for now

    def write(self, data: bytes) -> None:
        """Write at the end of the turn, or at once if that would be too much."""
        if not self._kept:
            self._loop.call_soon(self._flush)
        self._kept.append(data)
        self._size += len(data)
        if self._size > _GATHERED:
            self._flush()

    def write_eof(self) -> None:
        """Write all, and say that there will be no more, if it can be said."""
        self._flush()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def close(self) -> None:
        """Write all, and close."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever is still to be written."""
        self._transport.abort()

    def unwritten(self) -> int:
        """Return how many bytes are still to go out."""
        return self._size + self._transport.get_write_buffer_size()

    def fill(self) -> None:
        """Note that the client does not take what was written."""
        self.full = True
        self._room.clear()

    def drain(self) -> None:
        """Note that the client has taken what was written, or is gone; who waits for that goes on."""
        self.full = False
        self._room.set()

    async def drained(self) -> None:
        """Wait until the client has taken what was written."""
        await self._room.wait()

    def pause(self) -> None:
        """Read no more for now."""
        if not self.unread:
            self.unread = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.unread:
            self.unread = False
            self._transport.resume_reading()

    def _flush(self) -> None:
        if self._kept:
            data, self._kept, self._size = b"".join(self._kept), [], 0
            self._transport.write(data)
