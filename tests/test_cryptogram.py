"""Cryptograms: what a shop's own card form makes can be opened, and nothing of it gets out."""

import json
import subprocess
import traceback
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from hypothesis import given, settings
from hypothesis import strategies as st

from mock_epay import cryptogram, resources
from mock_epay.cryptogram import ForeignKeyError, Opened
from mock_epay.errors import BadField

TERMINAL: Final = "67e34d63-102f-4bd1-898e-370781d0074d"
PAN: Final = "4405639704015096"
CVC: Final = "815"
INSIDE: Final = {"hpan": PAN, "expDate": "0125", "cvc": CVC, "terminalId": TERMINAL}
# What a form in a page or a shop in Node does; the key and the text come on standard input.
NODE: Final = """
const { key, text } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const { publicEncrypt, constants } = require("crypto");
const sealed = publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, Buffer.from(text));
process.stdout.write(sealed.toString("base64"));
"""


@cache
def ours() -> RSAPublicKey:
    key = load_pem_public_key(cryptogram.public_key().encode())
    assert isinstance(key, RSAPublicKey)
    return key


@cache
def another() -> RSAPublicKey:
    return generate_private_key(65537, 4096).public_key()


def sealed(text: bytes, key: RSAPublicKey | None = None) -> str:
    return b64encode((key or ours()).encrypt(text, PKCS1v15())).decode()


def made(inside: object = INSIDE, key: RSAPublicKey | None = None) -> str:
    return sealed(json.dumps(inside).encode(), key)


def refused(text: str) -> BadField:
    """Return the refusal; it must not give away what it is about."""
    with pytest.raises(BadField) as caught:
        cryptogram.decrypt(text)
    refusal = caught.value
    told = "".join(traceback.format_exception(refusal)) + repr(refusal) + repr(vars(refusal))
    assert refusal.__context__ is None
    for secret in (PAN, CVC, "0125", "5096", "4405"):
        assert secret not in told.replace(TERMINAL, "")
    return refusal


def test_the_key_is_a_good_one_of_4096_bits_and_in_the_documented_form() -> None:
    text = (resources.DATA / "sandbox_key.pem").read_bytes()
    key = load_pem_private_key(text, None)
    assert isinstance(key, RSAPrivateKey)
    assert key.key_size == 4096
    assert key.public_key() == ours()
    first, *_, last = cryptogram.public_key().splitlines()
    assert first == "-----BEGIN RSA PUBLIC KEY-----"
    assert last == "-----END RSA PUBLIC KEY-----"
    assert cryptogram.public_key().endswith("-\n")
    assert cryptogram.public_key() is cryptogram.public_key()


def test_the_field_is_spelt_in_two_ways() -> None:
    assert cryptogram.FIELD_SPELLINGS[0] == "cryptogram"
    assert cryptogram.FIELD_SPELLINGS[1].encode() == b"\xd1\x81ryptogram"


@settings(max_examples=20, deadline=None)
@given(
    st.from_regex(r"[0-9]{12,19}", fullmatch=True, alphabet=st.characters(codec="ascii")),
    st.from_regex(r"(0[1-9]|1[0-2])[0-9]{2}", fullmatch=True, alphabet=st.characters(codec="ascii")),
    st.from_regex(r"[0-9]{3,4}", fullmatch=True, alphabet=st.characters(codec="ascii")),
    st.uuids().map(str),
)
def test_what_is_put_in_comes_out(pan: str, expiry: str, cvc: str, terminal: str) -> None:
    opened = cryptogram.decrypt(made({"hpan": pan, "expDate": expiry, "cvc": cvc, "terminalId": terminal, "more": 1}))
    assert (opened.card.pan, opened.card.cvc, opened.terminal_id) == (pan, cvc, terminal)
    assert opened.card.expiry == f"{expiry[:2]}/{expiry[2:]}"


def test_what_comes_out_does_not_show_the_card() -> None:
    opened = cryptogram.decrypt(made())
    assert repr(opened) == f"Opened(card=Card(), terminal_id='{TERMINAL}')"


@pytest.mark.parametrize(
    "spell",
    [
        lambda text: text.rstrip("="),
        lambda text: text.replace("+", " "),
        lambda text: f"\n {text}\n",
        lambda text: "\r\n".join(text[start : start + 64] for start in range(0, len(text), 64)),
        lambda text: text.replace("+", "-").replace("/", "_"),
    ],
)
def test_base64_is_taken_in_any_spelling(spell: Callable[[str], str]) -> None:
    text = next(text for text in iter(made, "") if "+" in text and "/" in text)
    assert cryptogram.decrypt(spell(text)).card.pan == PAN


def test_base64_is_taken_as_urls_have_it() -> None:
    packed = ours().encrypt(json.dumps(INSIDE).encode(), PKCS1v15())
    assert cryptogram.decrypt(urlsafe_b64encode(packed).decode()).terminal_id == TERMINAL


def test_node_makes_the_same() -> None:
    given = json.dumps({"key": cryptogram.public_key(), "text": json.dumps(INSIDE)})
    text = subprocess.run(["node", "-e", NODE], input=given, capture_output=True, text=True, check=True).stdout
    assert isinstance(cryptogram.decrypt(text), Opened)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "not base64"),
        ("not base64!", "not base64"),
        (json.dumps(INSIDE), "not base64"),
        ("сертификат", "not base64"),
        ("A" * 5, "not base64"),
        (PAN, "12 bytes"),
        (b64encode(json.dumps(INSIDE).encode()).decode(), " bytes in base64"),
        (b64encode(bytes(513)).decode(), "513 bytes"),
    ],
)
def test_what_is_no_cryptogram_is_told_by_its_length(text: str, found: str) -> None:
    refusal = refused(text)
    assert not isinstance(refusal, ForeignKeyError)
    assert found in str(refusal)
    assert "512 bytes" in str(refusal)
    assert (refusal.field, refusal.code, refusal.status) == ("cryptogram", 469, 400)


def test_a_truncated_cryptogram_is_told_by_its_length() -> None:
    assert "509 bytes" in str(refused(made()[:-5]))


def test_another_key_is_told() -> None:
    for _ in range(5):
        refusal = refused(made(key=another()))
        assert isinstance(refusal, ForeignKeyError)
        assert "public.rsa" in str(refusal)
        assert "foreign_key_card" in str(refusal)
        assert (refusal.field, refusal.code) == ("cryptogram", 469)


@pytest.mark.parametrize("packed", [b"\0" * 512, b"\1" * 512, b"\xff" * 512])
def test_what_is_not_encrypted_at_all_counts_as_another_key(packed: bytes) -> None:
    assert isinstance(refused(b64encode(packed).decode()), ForeignKeyError)


def test_what_another_key_makes_of_it_may_be_short_or_no_text() -> None:
    for garbage in (b"", b"7", b"x" * 19, b"\xff" * 60, b"\1" * 60):
        assert isinstance(refused(sealed(garbage)), ForeignKeyError)


@pytest.mark.parametrize(
    "inside",
    [
        f"hpan={PAN}&cvc={CVC}",
        f"{PAN}\n0125\n{CVC}\n",
        f'{{"hpan": "{PAN}", cvc: {CVC}}}',
        f'["{PAN}", "{CVC}"]',
        "[" * 400,
    ],
)
def test_what_is_not_the_json_object_is_told(inside: str) -> None:
    refusal = refused(sealed(inside.encode()))
    assert not isinstance(refusal, ForeignKeyError)
    assert refusal.field == "cryptogram"
    assert "a JSON object with hpan, expDate, cvc, terminalId" in str(refusal)


@pytest.mark.parametrize("value", [None, "", "missing"])
@pytest.mark.parametrize(("name", "code"), [("hpan", 471), ("expDate", 457), ("cvc", 486), ("terminalId", 469)])
def test_a_field_inside_that_is_missing_is_named(name: str, code: int, value: str | None) -> None:
    others = {key: text for key, text in INSIDE.items() if key != name}
    refusal = refused(made(others if value == "missing" else others | {name: value}))
    assert (refusal.field, refusal.code, refusal.value) == (f"cryptogram.{name}", code, None)
    assert str(refusal).startswith(f"cryptogram.{name} is missing: needed, ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hpan", int(PAN)),
        ("hpan", "4405 6397 0401 5096"),
        ("hpan", "AppleToken"),
        ("hpan", PAN + "0000"),
        ("hpan", "٤٤٠٥٦٣٩٧٠٤٠١٥٠٩٦"),
        ("expDate", "01/25"),
        ("expDate", "1325"),
        ("expDate", "012025"),
        ("expDate", 125),
        ("cvc", int(CVC)),
        ("cvc", "15"),
        ("cvc", f"{CVC}15"),
        ("cvc", [CVC]),
        ("terminalId", "92061101"),
        ("terminalId", PAN),
        ("terminalId", {}),
    ],
)
def test_a_field_inside_that_is_ill_formed_is_named_and_not_shown(name: str, value: Any) -> None:
    refusal = refused(made(INSIDE | {name: value}))
    assert (refusal.field, refusal.value) == (f"cryptogram.{name}", "(not shown)")
    assert not isinstance(refusal, ForeignKeyError)
