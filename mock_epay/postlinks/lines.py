"""A connection to a shop: one notice at a time goes out on it; its answer is heard as far as it is worth hearing."""

import asyncio
import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple, cast

import httptools

_KEPT: Final = 4096  # bytes of an answer's body
_READ: Final = 65_536  # bytes of an answer's body, unpacked
_HEARD: Final = 131_072  # bytes of an answer, with its head, and as they come
_HEAD: Final = 32_768  # bytes of a head
_HEADERS: Final = 500  # in a head, and behind chunks
_ANNOUNCING: Final = {100, *range(102, 200)}  # what says that the answer is still to come
_MEASURES: Final = {b"content-length", b"transfer-encoding"}
_GZIP: Final = {b"gzip", b"x-gzip"}
_GZIP_BITS: Final = 31  # zlib's word for this form


class DisconnectedError(Exception):
    """The shop ended the connection and had not begun to answer."""


class GarbledError(Exception):
    """The shop answered with what is no HTTP, or not all of it."""


class Answer(NamedTuple):
    """What a shop answered: the first kilobytes of its body, and whether that ended in time."""

    status: int
    body: bytes
    whole: bool


class Line(asyncio.Protocol):
    """One connection, on which a request may follow when the answer to the one before is there.

    Answers that announce another one (1xx), or chunks of a byte each, would keep the parser busy without end, and with
    it everybody: what is behind `_HEARD` is left to the patience that a notice has anyway.
    """

    transport: asyncio.Transport
    rest: asyncio.TimerHandle  # ends what is kept for too long
    answer: asyncio.Future[Answer]
    silent: bool  # nothing of an answer has come yet
    reusable: bool  # the answer is there, and another request may follow
    _head: int
    _parser: httptools.HttpResponseParser | None
    _unpack: "zlib._Decompress | None"

    def __init__(self) -> None:
        self.lost = False
        self._hear()

    async def ask(self, pieces: Sequence[bytes], pause_s: float) -> Answer:
        """Send a request, with pauses between its pieces, and return what it is answered.

        Raises:
            DisconnectedError: the connection has ended before that.
            GarbledError: it is none that can be read.
            TimeoutError: somebody has given it up.

        """
        if self.answer.done():
            self._hear()
        first, *others = pieces
        self.transport.write(first)
        for piece in others:
            await asyncio.wait({self.answer}, timeout=pause_s)
            if self.answer.done():
                break
            self.transport.write(piece)
        return await self.answer

    def give_up(self) -> None:
        """Wait no longer for an answer."""
        self._fail(TimeoutError())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what one writes to."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """End an answer that lasts as long as the connection; any other is cut short."""
        self.lost, self._parser = True, None
        if self._status and not self._measured and exc is None:
            self._end(whole=True)
        else:
            self._fail(GarbledError() if self._status else DisconnectedError())

    def data_received(self, data: bytes) -> None:
        """Hear as much as is left."""
        if self._parser is None or self.answer.done():  # nobody has asked for this
            self.transport.abort()
            return
        self.silent = self._announced = False
        try:
            self._parser.feed_data(data[: self._left])
        except httptools.HttpParserUpgrade:  # to another protocol, which is nothing to a notice
            pass
        except httptools.HttpParserError:
            self._fail(GarbledError())
        self._head = 0 if self._announced else self._head + len(data)
        if self._begun and not self._status and self._head > _HEAD:
            self._fail(GarbledError())
        self._left -= len(data)
        if self._left <= 0:
            self.transport.pause_reading()

    def on_message_begin(self) -> None:
        """Note that something has begun; behind a whole answer, nothing should."""
        self._begun = True
        self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note what a header says of the body."""
        self._headers += 1
        if self._headers > _HEADERS:
            raise GarbledError
        name = name.lower()
        if name in _MEASURES:
            self._measured = True
        elif name == b"content-encoding" and value.strip().lower() in _GZIP:
            self._unpack = zlib.decompressobj(_GZIP_BITS)

    def on_headers_complete(self) -> None:
        """Note the status."""
        assert self._parser is not None
        self._status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        """Keep the beginning of the body."""
        if self._unpack is not None:
            data = self._unpack.decompress(data, _READ + 1 - self._read)
        self._body += data[: _KEPT - len(self._body)]
        self._read += len(data)
        if self._read > _READ:
            self._end(whole=False)

    def on_message_complete(self) -> None:
        """End the answer, or go on behind one that only announces it."""
        if self._status in _ANNOUNCING:
            self._announced, self._begun, self._status, self._headers = True, False, 0, 0
            return
        assert self._parser is not None
        self.reusable = self._parser.should_keep_alive()
        self._end(whole=True)

    def _hear(self) -> None:
        """Begin to listen for an answer."""
        self.answer = asyncio.get_running_loop().create_future()
        self.silent, self.reusable = True, False
        self._parser = parser = httptools.HttpResponseParser(self)
        # What servers do wrong and clients put up with.
        parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._left = _HEARD
        self._head = self._headers = self._status = self._read = 0
        self._begun = self._announced = False
        self._measured = False  # the body itself says where it ends
        self._unpack = None
        self._body = bytearray()

    def _end(self, *, whole: bool) -> None:
        if not self.answer.done():
            self.answer.set_result(Answer(self._status, bytes(self._body), whole))

    def _fail(self, wrong: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(wrong)
