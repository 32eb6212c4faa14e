"""3-D Secure: the issuer asks the cardholder for a code, in the middle of an attempt."""

from datetime import datetime
from typing import Final

from mock_epay.bank import transactions
from mock_epay.errors import BadField
from mock_epay.issuer import CODE_WRONG, THREE_DS_FAILED, Decision
from mock_epay.model import Challenge, ChallengeState, Merchant, Status, Token, Transaction
from mock_epay.records import Record, replace
from mock_epay.store import Work

SOURCE: Final = "observed: 3-D Secure of the own card form"

UNKNOWN: Final = 690  # reason code
TRIES: Final = 3


class ChallengeView(Record, kw_only=True):
    """A challenge as the issuer's page shows it."""

    challenge: Challenge
    transaction: Transaction
    merchant: Merchant
    seconds_left: int
    open: bool


def begin(
    work: Work,
    transaction: Transaction,
    decision: Decision,
    *,
    token: Token,
    expires_at: datetime,
    checkout_id: str = "",
) -> tuple[Transaction, Challenge]:
    """Ask the cardholder; what was decided waits for the answer."""
    invented = transactions.fakes(work, transaction.invoice_id, transaction.number)
    challenge = Challenge(
        id=invented.uuid("challenge"),
        transaction_id=transaction.id,
        invoice_id=transaction.invoice_id,
        checkout_id=checkout_id,
        token=token.value,
        secret_hash=token.request.secret_hash or "",
        outcome=decision.reason_code,
        code=invented.digits("one-time code", 6),
        pa_req=invented.word("PaReq"),
        pa_res=invented.word("PaRes"),
        expires_at=expires_at,
        tries_left=TRIES,
    )
    work.save(challenge)
    return transactions.ask(work, transaction), challenge


async def enter(work: Work, challenge_id: str, pa_req: str, term_url: str) -> None:
    """Note where the cardholder is to be sent back to.

    Raises:
        BadField: PaReq is not the one that belongs to MD.

    """
    challenge = await _get(work, challenge_id)
    if pa_req != challenge.pa_req:
        raise BadField("PaReq", None, "the paReq that came with this MD", SOURCE, code=THREE_DS_FAILED)
    work.save(replace(challenge, term_url=term_url))


async def view(work: Work, challenge_id: str) -> ChallengeView:
    """Return what the issuer's page shows now."""
    challenge = await _get(work, challenge_id)
    transaction = await work.get(Transaction, challenge.transaction_id)
    assert transaction is not None
    left = (challenge.expires_at - work.now).total_seconds()
    return ChallengeView(
        challenge=challenge,
        transaction=transaction,
        merchant=work.merchant,
        seconds_left=max(0, int(left)),
        open=challenge.state is ChallengeState.OPEN and transaction.status is Status.THREE_DS and left > 0,
    )


async def answer(work: Work, challenge_id: str, code: str | None) -> ChallengeView:
    """Take the cardholder's code, or None for their wish to stop; a challenge that is over stays as it is."""
    before = await view(work, challenge_id)
    if not before.open:
        return before
    challenge = before.challenge
    if code == challenge.code:
        challenge = replace(challenge, state=ChallengeState.PASSED)
    elif code is None:
        challenge = _failed(work, challenge, before.transaction, THREE_DS_FAILED)
    elif challenge.tries_left == 1:
        challenge = _failed(work, challenge, before.transaction, CODE_WRONG)
    else:
        challenge = replace(challenge, tries_left=challenge.tries_left - 1)
    work.save(challenge)
    work.record(
        "challenge.answered",
        before.transaction.invoice_id,
        transaction=challenge.transaction_id,
        state=challenge.state,
        tries_left=challenge.tries_left,
    )
    return replace(before, challenge=challenge, open=challenge.state is ChallengeState.OPEN)


async def finish(work: Work, challenge: Challenge, transaction: Transaction, reason_code: int) -> Transaction:
    """End the attempt in whose middle the challenge stood."""
    work.save(replace(challenge, settled=True))
    failed = Status.REJECT if challenge.state is ChallengeState.PASSED else Status.FAILED
    return await transactions.settle(
        work, transaction, reason_code, secure=challenge.state is ChallengeState.PASSED, failed=failed
    )


def result(challenge: Challenge) -> int:
    """Return the reason code that an answered challenge leads to."""
    return challenge.outcome if challenge.state is ChallengeState.PASSED else challenge.reason_code


def _failed(work: Work, challenge: Challenge, transaction: Transaction, reason_code: int) -> Challenge:
    """Fail a challenge; what the issuer then sends back is another PaRes than the one that passes."""
    invented = transactions.fakes(work, transaction.invoice_id, transaction.number)
    pa_res = invented.word("PaRes of a failure")
    return replace(challenge, state=ChallengeState.FAILED, reason_code=reason_code, pa_res=pa_res, tries_left=0)


async def _get(work: Work, challenge_id: str) -> Challenge:
    challenge = await work.get(Challenge, challenge_id)
    assert challenge is not None
    return challenge
