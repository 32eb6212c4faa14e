"""What the bank writes, in its own spelling."""

import json
from collections.abc import Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from functools import cache
from hashlib import sha256
from typing import Final
from urllib.parse import quote

from mock_epay import resources
from mock_epay.dialects import SPELLINGS, Spelling
from mock_epay.errors import Refusal
from mock_epay.model import (
    CardMask,
    Challenge,
    Hint,
    InvoiceLink,
    Language,
    Merchant,
    SavedCard,
    Status,
    StatusAnswer,
    Terminal,
    Token,
    Transaction,
)

_SPOKEN: Final[dict[Language, str]] = {"rus": "RU", "kaz": "KZ", "eng": "EN"}
# What stands for a card where none was tried.
NO_CARD: Final = CardMask(first="000000", last="0000", brand="", issuer="")
# check-status: the code and its words for each status, and the number that stands for it.
FOUND, REJECTED, NOT_FOUND, RETRY, NO_TERMINAL, IN_PROGRESS, FOREIGN = "100", "101", "102", "103", "104", "107", "109"
_MESSAGES: Final = {
    FOUND: "transaction found, see statusName",
    REJECTED: "transaction rejected",
    NOT_FOUND: "no transaction for this invoice",
    RETRY: "the outcome is not known yet, ask again",
    NO_TERMINAL: "the token was asked for without a terminal",
    IN_PROGRESS: "transaction in progress",
    FOREIGN: "the terminal does not belong to this client",
}
_RESULTS: Final = {
    Status.NEW: IN_PROGRESS,
    Status.FINGERPRINT: IN_PROGRESS,
    Status.THREE_DS: IN_PROGRESS,
    Status.REJECT: REJECTED,
    Status.FAILED: REJECTED,
}
_LONGEST_HEADER: Final = 4096  # bytes; clients and proxies refuse headers that are much longer
_STATUS_IDS: Final = {status: str(number) for number, status in enumerate(Status, start=1)}


def token_response(token: Token, spelling: Spelling) -> dict[str, object]:
    """Write the answer to a token request."""
    ttl_s = int((token.expires_at - token.issued_at).total_seconds())
    return {
        "access_token": token.value,
        "expires_in": str(ttl_s) if spelling.ttl_is_text else ttl_s,
        "refresh_token": "",
        "scope": token.request.scope,
        "token_type": "Bearer",
    }


def postlink(
    transaction: Transaction, secret_hash: str, spelling: Spelling = SPELLINGS["documented"]
) -> dict[str, object]:
    """Write the notice of an attempt that is decided, field by field as the document prints it."""
    order, mask, payer, place = transaction.order, transaction.card, transaction.payer, transaction.place
    approved = transaction.approved
    body: dict[str, object] = {
        "id": transaction.id,
        "dateTime": _local(transaction.decided_at or transaction.created_at, digits=spelling.second_digits),
        "invoiceId": order.invoice_id,
        "invoiceIdAlt": order.invoice_id_alt,
        "amount": number(order.amount),
        "currency": order.currency,
        "terminal": order.terminal,
        "accountId": order.account_id,
        "description": order.description.replace(" ", spelling.blank),
        "language": order.language if spelling.language_as_sent else _SPOKEN[order.reads],
        "cardMask": (mask or NO_CARD).short(spelling.mask_digits),
        "cardType": mask.brand if mask and spelling.card_type else "",
        "issuer": mask.issuer if mask else "",
        "reference": transaction.reference,
        "secure": "yes" if transaction.secure else "no",
        "tokenRecipient": "",
        "code": "ok" if approved else "error",
        "reason": spelling.success_reason if approved else reason(transaction.reason_code, order.reads),
        "reasonCode": transaction.reason_code,
        "name": payer.name,
        "email": payer.email,
        "phone": payer.phone,
        "ip": place.ip,
        "ipCountry": place.country,
        "ipCity": place.city,
        "ipRegion": "",
        "ipDistrict": "",
        "ipLongitude": place.longitude,
        "ipLatitude": place.latitude,
    }
    if approved:
        body["cardId"] = transaction.card_id
    extras = {
        "secret_hash": secret_hash,
        "data": order.data,
        "approvalCode": transaction.approval_code if spelling.approval_code else "",
    }
    body |= {name: text for name, text in extras.items() if text}
    return dict(sorted(body.items())) if spelling.alphabetical else body


def status_response(answer: StatusAnswer) -> dict[str, object]:
    """Write the answer of check-status."""
    merchant, transaction = answer.merchant, answer.transaction
    code = answer.result or (_RESULTS.get(transaction.status, FOUND) if transaction else NOT_FOUND)
    return {
        "resultCode": code,
        "resultMessage": _MESSAGES[code],
        "transaction": _status_transaction(transaction, merchant) if transaction else None,
    }


def operation_response(message: str) -> dict[str, object]:
    """Write the answer to an operation that was carried out."""
    return {"code": 0, "message": message}


def card_payment(transaction: Transaction, challenge: Challenge | None, *, base_url: str) -> dict[str, object]:
    """Write the answer to a payment that a shop's server has asked for; `base_url` is where the sandbox was met."""
    order, payer = transaction.order, transaction.payer
    access = quote(challenge.token, safe="") if challenge else ""
    return {
        "id": transaction.id,
        "accountId": order.account_id,
        "amount": number(order.amount),
        "amountBonus": 0,
        "currency": order.currency,
        "description": order.description,
        "email": payer.email,
        "invoiceID": order.invoice_id,
        "language": order.language,
        "phone": payer.phone,
        "reference": transaction.reference,
        "intReference": transaction.int_reference,
        "secure3D": challenge
        and {
            "paReq": challenge.pa_req,
            "md": challenge.id,
            "action": f"{base_url}/acs",
            "termURL": f"{base_url}/api/payments/cards/confirmPayment?Access={access}",
        },
        "cardID": transaction.card_id,
        "fee": 0,
        "approvalCode": transaction.approval_code,
        "code": 0,
        "status": transaction.status.value,
    }


def saved_cards(cards: Sequence[SavedCard], merchant: Merchant) -> list[dict[str, object]]:
    """Write the list of an account's saved cards."""
    digits = SPELLINGS[merchant.dialect].mask_digits
    return [
        {
            "ID": card.id,
            "TransactionId": card.transaction_id,
            "MerchantID": merchant.client_id,
            "CardHash": sha256(card.id.encode()).hexdigest(),  # of nothing but the id
            "CardMask": card.mask.short(digits),
            "PayerName": card.holder,
            "Reference": card.reference,
            "IntReference": card.int_reference,
            "Token": "",
            "Terminal": card.terminal,
            "CreatedDate": _local(card.created_at, digits=6),
            "PaymentAvailable": card.active,
            "AccountID": card.account_id,
        }
        for card in cards
    ]


def invoice_link(link: InvoiceLink, merchant: Merchant, base_url: str) -> dict[str, object]:
    """Write the answer to a request for an invoice link; the real server was seen to give back the whole request."""
    spelling = SPELLINGS[merchant.dialect]
    order, asked = link.order, link.asked
    told: dict[str, object] = {
        "id": link.id,
        "invoice_url": f"{base_url}/api/redirect/invoice-link/{link.id}",
        "status": spelling.link_status,
        "invoice_id": order.invoice_id,
        "amount": number(order.amount),
        "currency": order.currency,
        "expire_date": _local(link.expires_at, digits=6),
    }
    if spelling.link_echo:
        told |= {
            "shop_id": asked.shop_id,
            "invoice_alt": "",
            "language": order.language,
            "description": order.description,
            "account_id": order.account_id,
            "recipient_contact": order.email,
            "recipient_contact_sms": order.phone,
            "notifier_contact": "",
            "notifier_contact_sms": asked.notifier_sms,
            "expire_period": asked.period,
            "post_link": order.post_link,
            "failure_post_link": order.failure_post_link,
            "back_link": order.back_link,
            "failure_back_link": order.failure_back_link,
            "created_date": _local(link.created_at, digits=6),
            "updated_date": "0001-01-01T00:00:00Z",
            "merchant_id": merchant.client_id,
            "terminal_id": order.terminal,
            "card_save": order.card_save,
            "data": order.data,
        }
    return told


def terminal(found: Terminal, merchant: Merchant) -> dict[str, object]:
    """Write what is known of a point of sale."""
    seller = {
        "id": merchant.client_id,
        "tradeName": merchant.name,
        "companyName": merchant.name,
        "description": "",
        "phone": "",
    }
    return {
        "id": found.id,
        "terminalId": found.tid,
        "singleMessageScheme": not found.two_stage,
        "shop": {"id": found.shop_id, "name": merchant.name, "url": "", "merchant": seller},
    }


def hint(noted: Hint) -> dict[str, str]:
    """Write a hint."""
    return {
        "rule": noted.rule,
        "field": noted.field,
        "value": noted.value,
        "why": noted.why,
        "tag": noted.tag,
    }


def hints(noted: Sequence[Hint]) -> str:
    """Write hints for an answer's header: JSON in ASCII, the last ones left out where it would be too long."""
    shown = [hint(one) for one in noted]
    while len(text := json.dumps(shown)) > _LONGEST_HEADER:
        shown.pop()
    return text


def error(refusal: Refusal) -> dict[str, object]:
    """Write a refusal."""
    facts = {"field": refusal.field, "value": refusal.value, "rule": refusal.rule, "source": refusal.source}
    return {
        "error": refusal.error,
        "error_description": refusal.message,
        "code": refusal.code,
        "message": refusal.message,
        **{name: text for name, text in facts.items() if text is not None},
    }


def number(amount: Decimal) -> int | float:
    """Return money as JSON has it: whole when it is whole."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def reason(code: int, language: Language) -> str:
    """Return the sandbox's own words for a reason code."""
    text: str = resources.table("reasons")[str(code)][language]
    return text


def reason_codes() -> list[int]:
    """Return the reason codes there are."""
    return [int(code) for code in resources.table("reasons")]


def _status_transaction(transaction: Transaction, merchant: Merchant) -> dict[str, object]:
    order, mask, payer, place = transaction.order, transaction.card, transaction.payer, transaction.place
    terminal = merchant.terminal(order.terminal)
    spelling = SPELLINGS[merchant.dialect]
    declined = transaction.reason_code != 0
    return {
        "id": transaction.id,
        "createdDate": _local(transaction.created_at, digits=6),
        "invoiceID": order.invoice_id,
        "invoiceIDAlt": order.invoice_id_alt,
        "amount": number(order.amount),
        "amountBonus": 0,
        "payoutAmount": number(transaction.payout),
        "orgAmount": number(order.amount),
        "approvalCode": transaction.approval_code,
        "data": order.data,
        "currency": order.currency,
        "terminal": terminal.tid if terminal else "",
        "terminalID": order.terminal,
        "accountID": order.account_id,
        "description": order.description,
        "language": order.language,
        "cardMask": mask.short(spelling.mask_digits) if mask else "",
        "cardType": mask.brand if mask else "",
        "issuer": mask.issuer if mask else "",
        "reference": transaction.reference,
        "reason": reason(transaction.reason_code, order.reads) if declined else "",
        "reasonCode": str(transaction.reason_code) if declined else spelling.status_success,
        "intReference": transaction.int_reference,
        "secure": transaction.secure,
        "secureDetails": "",
        "statusID": _STATUS_IDS[transaction.status],
        "statusName": transaction.status.value,
        "name": payer.name,
        "email": payer.email,
        "phone": payer.phone,
        "cardID": transaction.card_id,
        "xlsRRN": "",
        "ip": place.ip,
        "ipCountry": place.country,
        "ipCity": place.city,
        "ipRegion": "",
        "ipDistrict": "",
        "ipLatitude": place.latitude,
        "ipLongitude": place.longitude,
    }


def _local(moment: datetime, *, digits: int) -> str:
    """Write a moment in the bank's zone with so many digits behind the second."""
    text = moment.astimezone(_almaty()).isoformat(timespec="microseconds")
    return text[:26].ljust(20 + digits, "0")[: 20 + digits] + text[26:]


@cache
def _almaty() -> tzinfo:
    from zoneinfo import ZoneInfo  # noqa: PLC0415  (2 ms of each start, for moments of transactions alone)

    return ZoneInfo("Asia/Almaty")
