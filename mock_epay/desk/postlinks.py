"""Postlinks in a developer's hands: looked at, sent once more, let go, called off."""

import json
from collections.abc import Mapping, Sequence

from mock_epay.bank import notices as queue
from mock_epay.errors import CONTROL_API, BadField, Conflict
from mock_epay.model import Attempt, Delivery, DeliveryState, Wait
from mock_epay.records import Record, field, replace
from mock_epay.store import Work


class Notice(Record, kw_only=True):
    """A postlink with each try to deliver it."""

    delivery: Delivery
    attempts: Sequence[Attempt]


class Changes(Record, kw_only=True):
    """What is other in a postlink that is sent once more: its address, its whole body, or fields of that.

    A field of None is taken out; what is empty leaves things as they were.
    """

    url: str = ""
    body: bytes | None = None
    fields: Mapping[str, object] = field(default_factory=dict)

    def of(self, body: bytes) -> bytes:
        """Return what becomes of a body.

        Raises:
            BadField: fields of it are to change, and it has none.

        """
        if self.body is not None or not self.fields:
            return body if self.body is None else self.body
        try:
            told = json.loads(body) | self.fields
        except (ValueError, TypeError):
            raise BadField(
                "fields", "(not shown)", "absent where the body is no JSON object; give all of it, as text", CONTROL_API
            ) from None
        kept = {name: value for name, value in told.items() if value is not None}
        return json.dumps(kept, ensure_ascii=False, default=float).encode("utf-8", "replace")


async def notice(work: Work, delivery: Delivery) -> Notice:
    """Return a postlink with its tries."""
    return Notice(delivery=delivery, attempts=await work.find(Attempt, "delivery_id", delivery.id))


async def notices(work: Work, deliveries: Sequence[Delivery]) -> Sequence[Notice]:
    """Return postlinks, each with its tries."""
    tries = await work.find_each(Attempt, "delivery_id", [one.id for one in deliveries])
    return [Notice(delivery=one, attempts=tries[one.id]) for one in deliveries]


async def fitting(work: Work, *, invoice_id: str = "", transaction_id: str = "", state: str = "") -> Sequence[Notice]:
    """Return all postlinks, or those that fit, oldest first.

    Raises:
        BadField: there is no such state.

    """
    if state and state not in set(DeliveryState):
        raise BadField("state", state, f"one of {', '.join(DeliveryState)}", CONTROL_API)
    of = await work.find(Delivery, "invoice_id", invoice_id) if invoice_id else await work.all(Delivery)
    fit = [one for one in of if transaction_id in {"", one.transaction_id} and state in {"", one.state}]
    return await notices(work, fit)


async def resend(work: Work, old: Delivery, changes: Changes) -> Notice:
    """Send a postlink once more, as it was or changed, as a postlink of its own.

    Raises:
        Conflict: what it said is not kept.

    """
    if not (old.body or changes.body or work.merchant.keep_bodies):
        rule = "needed, for what that postlink said is not kept: keep_bodies is 0"
        raise Conflict("text", None, rule, CONTROL_API)
    sent = await queue.again(work, old, url=changes.url or old.url, body=changes.of(old.body))
    return await notice(work, sent)


async def release(work: Work, delivery: Delivery) -> Notice:
    """Let a postlink go now that is held, or waits for its time.

    Raises:
        Conflict: there is nothing more to be sent.

    """
    return await notice(work, queue.release(work, _unsent(delivery)))


async def cancel(work: Work, delivery: Delivery) -> Notice:
    """Let a postlink never go out, or not again.

    Raises:
        Conflict: there is nothing more to be sent.

    """
    cancelled = replace(_unsent(delivery), state=DeliveryState.CANCELLED, due_at=None, waits_for=Wait.NOTHING)
    work.save(cancelled)
    work.record("postlink.cancelled", cancelled.invoice_id, delivery=cancelled.id, url=cancelled.url)
    return await notice(work, cancelled)


def _unsent(delivery: Delivery) -> Delivery:
    if delivery.state not in {DeliveryState.HELD, DeliveryState.QUEUED}:
        raise Conflict("state", delivery.state, "held or queued: there is nothing more to be sent", CONTROL_API)
    return delivery
