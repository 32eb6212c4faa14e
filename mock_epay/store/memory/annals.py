"""What has happened in a world, in order and by invoice: the latest events as they are, the others in blocks."""

from collections.abc import Sequence
from typing import Final

from mock_epay.model import Event
from mock_epay.store.memory.blocks import EACH, fold, unfold
from mock_epay.store.memory.index import Index
from mock_epay.store.memory.shelves import FRESH

_FORM: Final = list[Event]


class Annals:
    """Events, numbered on from `before`; the oldest can be forgotten."""

    def __init__(self, before: int) -> None:
        self.last = before
        self._forgotten = before  # events up to this number are
        self._fresh: list[Event] = []
        # Blocks by the number before that of their first event, without a gap, each with the invoices that are in it;
        # and in which of them an invoice is.
        self._blocks: dict[int, tuple[bytes, tuple[str, ...]]] = {}
        self._blocks_of: Index[int] = Index()

    def __len__(self) -> int:
        return self.last - self._forgotten

    @property
    def _folded(self) -> int:
        """The number up to which events are in blocks, or forgotten."""
        return self.last - len(self._fresh)

    def add(self, events: Sequence[Event]) -> None:
        """Keep what has happened."""
        self._fresh += events
        self.last += len(events)
        while len(self._fresh) >= FRESH + EACH:
            self._fold()

    def after(self, number: int) -> list[Event]:
        """Return the events that came after the one with this number."""
        number, folded = max(number, self._forgotten), self._folded
        if number >= folded:
            return self._fresh[number - folded :]
        first = number - (number - folded) % EACH
        events = [event for start in range(first, folded, EACH) for event in unfold(self._blocks[start][0], _FORM)]
        return events[number - first :] + self._fresh

    def of(self, invoice_id: str) -> list[Event]:
        """Return what happened to an invoice."""
        blocks = [unfold(self._blocks[start][0], _FORM) for start in self._blocks_of.of(invoice_id)]
        events = [event for block in (*blocks, self._fresh) for event in block if event.invoice_id == invoice_id]
        return [event for event in events if event.number > self._forgotten]

    def forget(self, count: int) -> None:
        """Let go of so many of the oldest events."""
        self._forgotten += count
        while self._blocks and (start := next(iter(self._blocks))) + EACH <= self._forgotten:
            for invoice_id in self._blocks.pop(start)[1]:
                self._blocks_of.remove(invoice_id, start)
        if self._forgotten > self._folded:
            del self._fresh[: self._forgotten - self._folded]

    def _fold(self) -> None:
        """Make a block of the oldest of the latest."""
        start, events = self._folded, self._fresh[:EACH]
        invoices = tuple(dict.fromkeys([event.invoice_id for event in events]))
        self._blocks[start] = fold(events), invoices
        for invoice_id in invoices:
            self._blocks_of.add(invoice_id, start)
        del self._fresh[:EACH]
