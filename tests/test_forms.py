import json
from base64 import b64encode
from urllib.parse import parse_qsl, quote, urlencode

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mock_epay.errors import BadField
from mock_epay.web import forms
from mock_epay.web.forms import basic_credentials, read_fields

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"
JSON = "application/json"
SCOPE = " webapi usermanagement email_send verification statement statistics payment"

ASKED = {
    "grant_type": "client_credentials",
    "scope": SCOPE,
    "client_id": "test",
    "client_secret": "U01gQZVL##lJ$NhJ&+%41=",
    "invoiceID": "000000001",
    "description": "Тест – қ 😀",
    "postLink": "",
}


def part(name: str, text: str, boundary: str = "b", more: str = "") -> str:
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n{more}\r\n{text}\r\n'


def parts(fields: dict[str, str], boundary: str = "b", more: str = "") -> bytes:
    listed = "".join(part(name, text, boundary, more) for name, text in fields.items())
    return f"{listed}--{boundary}--\r\n".encode()


def refused(content_type: str, body: bytes) -> BadField:
    with pytest.raises(BadField) as raised:
        read_fields(content_type, body)
    return raised.value


def ways() -> list[tuple[str, str, bytes]]:
    """Return the same fields as the clients that people use write them."""
    curl = "------------------------d74496d66958873e"
    postman = "--------------------------691301234567890123456789"
    chromium = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
    firefox = "---------------------------9051914041544843365972754266"
    dotnet = "b93dcbee-5a6f-4b0c-9f3c-5c8ad8f2c2d1"
    return [
        ("curl -F", f"multipart/form-data; boundary={curl}", parts(ASKED, curl)),
        ("Postman", f"multipart/form-data; boundary={postman}", parts(ASKED, postman)),
        ("Chromium", f"multipart/form-data; boundary={chromium}", parts(ASKED, chromium)),
        ("Firefox", f"multipart/form-data; boundary={firefox}", parts(ASKED, firefox)),
        (
            "HttpClient",
            f'Multipart/Form-Data; charset=utf-8; boundary="{dotnet}"',
            parts(ASKED, dotnet, "Content-Type: text/plain; charset=utf-8\r\n"),
        ),
        ("small letters", MULTIPART, parts(ASKED).replace(b"Content-Disposition", b"content-disposition")),
        ("no line behind the end", MULTIPART, parts(ASKED).removesuffix(b"\r\n")),
        ("curl --data-urlencode", URLENCODED, urlencode(ASKED, quote_via=quote).encode()),
        ("URLSearchParams", f"{URLENCODED};charset=UTF-8", urlencode(ASKED).encode()),
        ("no type", "", urlencode(ASKED).encode()),
        ("capitals", URLENCODED.upper(), urlencode(ASKED).encode()),
        ("fetch", JSON, json.dumps(ASKED).encode()),
        ("fetch, not escaped", f"{JSON}; charset=utf-8", json.dumps(ASKED, ensure_ascii=False).encode()),
    ]


@pytest.mark.parametrize(("content_type", "body"), [way[1:] for way in ways()], ids=[way[0] for way in ways()])
def test_the_same_fields_are_read_however_a_client_writes_them(content_type: str, body: bytes) -> None:
    assert read_fields(content_type, body) == ASKED


@pytest.mark.parametrize("body", [b"scope=+webapi+payment", b"scope=%20webapi%20payment", b"scope= webapi payment"])
def test_the_blank_before_a_scope_is_kept(body: bytes) -> None:
    assert read_fields(URLENCODED, body) == {"scope": " webapi payment"}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (URLENCODED, b"amount=100&amount=200"),
        (MULTIPART, (part("amount", "100") + part("amount", "200") + "--b--").encode()),
        (JSON, b'{"amount": 100, "amount": 200}'),
    ],
)
def test_of_a_repeated_field_the_last_counts(content_type: str, body: bytes) -> None:
    assert read_fields(content_type, body) == {"amount": "200"}


def test_values_of_json_are_read_as_they_are_written() -> None:
    body = b'{"amount": 100.00, "big": 1e5, "cardSave": true, "recurrent": false, "name": null}'

    read = read_fields(JSON, body)

    assert read == {"amount": "100.00", "big": "1e5", "cardSave": "true", "recurrent": "false", "name": ""}


def test_an_empty_body_has_no_fields_where_it_says_nothing_else() -> None:
    assert read_fields("", b"") == read_fields(URLENCODED, b"") == {}


def test_a_field_without_an_equals_sign_is_blank() -> None:
    assert read_fields(URLENCODED, b"scope&postLink=&grant_type=x") == {"scope": "", "postLink": "", "grant_type": "x"}


def test_a_part_without_a_name_is_passed_over() -> None:
    nameless = "--b\r\nContent-Disposition: form-data\r\n\r\nlost\r\n--b\r\nContent-Type: text/plain\r\n\r\nlost\r\n"

    assert read_fields(MULTIPART, (nameless + part("amount", "100") + "--b--").encode()) == {"amount": "100"}


@pytest.mark.parametrize(
    "option",
    ['filename="name=no.txt"', "filename=a", 'FileName="a"', 'filename="\\"; filename=b'],
)
def test_a_file_is_refused_by_the_name_of_its_field(option: str) -> None:
    wrong = refused(MULTIPART, parts({"data": "Text"}).replace(b'"data"', f'"data"; {option}'.encode()))

    assert (wrong.field, wrong.value, wrong.status) == ("data", None, 400)
    assert wrong.message == (
        "data is missing: a field with a text; it came as a file, since its part has a filename "
        "(assumed: RFC 7578, section 4.2)"
    )


@pytest.mark.parametrize("option", ['filename=""', "filename=", "x=filename", 'x="; filename=a"'])
def test_without_a_filename_it_is_no_file(option: str) -> None:
    assert read_fields(MULTIPART, parts({"data": "x"}).replace(b'"data"', f'"data"; {option}'.encode())) == {
        "data": "x"
    }


def head(*lines: str) -> bytes:
    """Return a body whose one part has these lines, and that with its name, in its head."""
    return parts({"amount": "100"}, more="".join(f"{line}\r\n" for line in lines))


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param(MULTIPART, parts({"n" * 100: "100"}), id="a name"),
        pytest.param(MULTIPART, parts({"n." * 50: "100"}), id="a name with dots"),
        pytest.param(MULTIPART, head(*["Content-Type: text/plain"] * 5), id="lines in the head"),
        pytest.param(MULTIPART, head("Content-Type: " + "x" * 988), id="a line in the head"),
        pytest.param(
            "multipart/form-data; boundary=" + "b" * 70, parts({"amount": "100"}, "b" * 70), id="the boundary"
        ),
    ],
)
def test_the_most_that_a_part_may_have_is_taken(content_type: str, body: bytes) -> None:
    assert list(read_fields(content_type, body).values()) == ["100"]


@pytest.mark.parametrize(
    ("content_type", "body", "why"),
    [
        (MULTIPART, parts({"n" * 101: "100"}), "the name of a part has more than 100 bytes"),
        (MULTIPART, parts({"қ" * 51: "100"}), "the name of a part has more than 100 bytes"),
        (MULTIPART, head(*["Content-Type: text/plain"] * 6), "a part has more than 6 lines in its head"),
        (MULTIPART, head(*["X: y"] * 5000), "a part has more than 6 lines in its head"),
        (MULTIPART, head("Content-Type: " + "x" * 1000), "a line in the head of a part has more than 1000 bytes"),
        (MULTIPART, head("x" * 1001 + ": y"), "a line in the head of a part has more than 1000 bytes"),
        ("multipart/form-data; boundary=" + "b" * 71, parts(ASKED, "b" * 71), "the boundary has more than 70 bytes"),
        (MULTIPART, parts({f"f{n}": "" for n in range(101)}), "too many parts"),
    ],
)
def test_what_is_too_much_of_a_part_is_refused_with_the_limit(content_type: str, body: bytes, why: str) -> None:
    assert (refused(content_type, body).rule or "").endswith(f"; {why}")


def test_of_two_names_of_a_part_the_last_counts() -> None:
    assert read_fields(MULTIPART, head('Content-Disposition: form-data; name="data"')) == {"data": "100"}


def test_what_looks_like_a_boundary_inside_a_value_is_text() -> None:
    assert read_fields(MULTIPART, parts({"data": "--b \r\n-b\r\n--a\r\n- -b"})) == {"data": "--b \r\n-b\r\n--a\r\n- -b"}


@pytest.mark.parametrize(
    "content_type", ["text/plain", "text/plain; charset=utf-8", "multipart/mixed; boundary=b", "x"]
)
def test_another_type_is_refused_with_those_that_are_taken(content_type: str) -> None:
    wrong = refused(content_type, b"amount=100")

    assert (wrong.field, wrong.value) == ("Content-Type", content_type.partition(";")[0])
    assert wrong.rule == "multipart/form-data, application/x-www-form-urlencoded or application/json"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param("multipart/form-data", parts(ASKED), id="no boundary named"),
        pytest.param("multipart/form-data; boundary=", parts(ASKED), id="an empty boundary"),
        pytest.param("multipart/form-data; boundary=other", parts(ASKED), id="another boundary"),
        pytest.param("multipart/form-data; boundary=" + "b" * 1000, parts(ASKED), id="a boundary without measure"),
        pytest.param(MULTIPART, parts(ASKED).removesuffix(b"--b--\r\n"), id="no closing boundary"),
        pytest.param(MULTIPART, parts(ASKED)[:-3], id="half a closing boundary"),
        pytest.param(MULTIPART, parts(ASKED)[:100], id="cut short"),
        pytest.param(MULTIPART, b"", id="nothing"),
        pytest.param(MULTIPART, b"amount=100", id="urlencoded in truth"),
        pytest.param(MULTIPART, b"--b\r\nno header\r\n\r\n100\r\n--b--\r\n", id="a line that is no header"),
        pytest.param(MULTIPART, b"--b\r\n: x\r\n\r\n100\r\n--b--\r\n", id="a header without a name"),
        pytest.param(MULTIPART, parts({"amount": "x"}).replace(b"x", b"\xff"), id="a value not in UTF-8"),
        pytest.param(MULTIPART, parts({"x": "100"}).replace(b'"x"', b'"\xff"'), id="a name not in UTF-8"),
        pytest.param(MULTIPART, parts({f"f{n}": "" for n in range(101)}), id="too many parts"),
    ],
)
def test_a_broken_multipart_body_is_refused_with_the_rule(content_type: str, body: bytes) -> None:
    wrong = refused(content_type, body)

    assert (wrong.field, wrong.source, wrong.status) == ("body", "multipart/form-data", 400)
    assert (wrong.rule or "").startswith("at most 100 parts in UTF-8, as RFC 7578 says, each with a name ")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"&".join(b"a=1" for _ in range(101)), id="too many fields"),
        pytest.param(b"description=%D0", id="escaped, not UTF-8"),
        pytest.param(b"description=\xd0", id="not UTF-8"),
        pytest.param(b"description=\xd2\xe5\xf1\xf2", id="windows-1251"),
    ],
)
def test_a_broken_urlencoded_body_is_refused_with_the_rule(body: bytes) -> None:
    wrong = refused(URLENCODED, body)

    assert (wrong.field, wrong.rule, wrong.source) == ("body", "at most 100 form fields in UTF-8", URLENCODED)


@pytest.mark.parametrize("content_type", [URLENCODED, MULTIPART])
def test_a_hundred_fields_are_taken(content_type: str) -> None:
    fields = {f"f{number}": str(number) for number in range(100)}
    body = urlencode(fields).encode() if content_type == URLENCODED else parts(fields)

    assert read_fields(content_type, body) == fields


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"null", b"\xff", b"[" * 100_000, b'{"a":[' * 100_000])
def test_what_is_not_a_json_object_is_refused(body: bytes) -> None:
    assert refused(JSON, body).field == "body"


@pytest.mark.parametrize("value", ["{}", "[]", '["a"]', '{"a": 1}'])
def test_a_json_field_that_is_no_single_value_is_refused_by_name(value: str) -> None:
    assert refused(JSON, f'{{"amount": {value}}}'.encode()).field == "amount"


def basic(client_id: str, client_secret: str) -> str:
    return "Basic " + b64encode(f"{client_id}:{client_secret}".encode()).decode()


@pytest.mark.parametrize(
    ("client_id", "client_secret"),
    [
        ("test", "yF587AV9Ms94qN2QShFzVR3vFnWkhjbAK3sG"),
        ("halykfinanceUSD", "U01gQZVL##lJ$NhJ"),
        ("EPAY-TEST-PAYMENT", "gG1uIMT$cTZJS&Lm"),
        ("shop", ":with:colons:"),
        ("shop", ""),
        ("дүкен", "құпия"),
    ],
)
def test_basic_credentials_are_read_raw_as_curl_sends_them_and_encoded_as_the_rfc_wants(
    client_id: str, client_secret: str
) -> None:
    expected = {"client_id": client_id, "client_secret": client_secret}

    assert basic_credentials(basic(client_id, client_secret)) == expected
    assert basic_credentials(basic(quote(client_id, safe=""), quote(client_secret, safe=""))) == expected


def test_the_scheme_may_be_written_in_any_case_with_blanks_around_the_rest() -> None:
    header = basic("test", "secret").replace("Basic ", "bAsIc   ") + " "

    assert basic_credentials(header) == {"client_id": "test", "client_secret": "secret"}


@pytest.mark.parametrize("header", ["", "Bearer dGVzdDpzZWNyZXQ=", "Basicdata", "dGVzdDpzZWNyZXQ="])
def test_another_kind_of_authorization_has_no_credentials(header: str) -> None:
    assert basic_credentials(header) == {}


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("Basic", id="nothing"),
        pytest.param("Basic dGVzdA==", id="no colon"),
        pytest.param("Basic test:secret", id="not base64"),
        pytest.param("Basic dGVzdDpzZWNyZXQ", id="no padding"),
        pytest.param("Basic тест", id="not ASCII"),
        pytest.param("Basic " + b64encode(b"test:\xff").decode(), id="not UTF-8"),
    ],
)
def test_a_basic_header_that_is_not_what_it_says_is_refused_without_repeating_it(header: str) -> None:
    with pytest.raises(BadField) as raised:
        basic_credentials(header)

    assert (raised.value.field, raised.value.value) == ("Authorization", None)


latin = st.text(st.characters(max_codepoint=255), max_size=40)
types = st.sampled_from(["", URLENCODED, JSON, "multipart/form-data", MULTIPART, 'multipart/form-data; boundary="b"'])
boundaries = latin.map("multipart/form-data; boundary={}".format)
scraps = st.sampled_from(
    [
        *(b"--b", b"--", b"\r\n", b"\n", b":", b'Content-Disposition: form-data; name="a"', b"; name*=utf-8''%ff"),
        *(b"=", b"&", b"%", b"{", b"}", b'"', b",", b"[", b"1e999", b"\\ud800", b"\xff", b"\0", b"a"),
    ]
)
bodies = st.binary(max_size=200) | st.lists(scraps, max_size=30).map(b"".join)


@settings(deadline=None)
@given(types | boundaries | latin, bodies)
@example(MULTIPART, b'--b\r\nContent-Disposition: form-data; name="a"; name="b"\r\n\r\n\r\n--b--tail')
@example(JSON, b'{"a": "\\ud800"}')
def test_whatever_bytes_come_they_are_text_fields_or_a_refusal(content_type: str, body: bytes) -> None:
    try:
        read = read_fields(content_type, body)
    except BadField:
        return
    assert all(type(name) is type(text) is str for name, text in read.items())


@settings(deadline=None)
@given(latin | latin.map("Basic {}".format) | st.binary().map(lambda data: "Basic " + b64encode(data).decode()))
def test_whatever_header_comes_it_has_credentials_or_none_or_is_refused(header: str) -> None:
    try:
        read = basic_credentials(header)
    except BadField:
        return
    assert set(read) in (set(), {"client_id", "client_secret"})


texts = st.text(max_size=50) | st.sampled_from([SCOPE, "a\r\nb", "--b", "&=+%41", "\0", "--"])
names = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.[]-0123456789 ", min_size=1, max_size=20)


@settings(deadline=None)
@given(st.dictionaries(names, texts, min_size=1, max_size=20))
def test_fields_come_through_the_multipart_encoder_of_a_client_unchanged(fields: dict[str, str]) -> None:
    request = httpx.Request("POST", "http://test", files={name: (None, text) for name, text in fields.items()})

    assert read_fields(request.headers["Content-Type"], request.read()) == fields


@settings(deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=20), texts, max_size=20))
def test_fields_come_through_the_urlencoder_of_a_client_unchanged(fields: dict[str, str]) -> None:
    request = httpx.Request("POST", "http://test", data=fields)

    assert read_fields(request.headers.get("Content-Type", ""), request.read()) == fields


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=20), texts, max_size=20))
def test_fields_come_through_the_json_encoder_of_a_client_unchanged(fields: dict[str, str]) -> None:
    request = httpx.Request("POST", "http://test", json=fields)

    assert read_fields(request.headers["Content-Type"], request.read()) == fields


PIECES = st.sampled_from(
    [
        *(b"--b", b"--b--", b"\r\n", b"\r\n\r\n", b"x", b"--", b"\n", b"a=b", "қ".encode(), b"\xff"),
        *(b'Content-Disposition: form-data; name="a"', b"Content-Length: 3", b'; filename="f"', b"Content-Type: x"),
        *(part("a", "1").encode(), part("b", "2", more="Content-Length: 1\r\n").encode(), b"--b--\r\n"),
    ]
)


@settings(deadline=None, max_examples=500)
@given(pieces=st.lists(PIECES, max_size=9), whole=st.booleans())
@example(pieces=[b"--b\r\n", b'Content-Disposition: form-data; name="a"'], whole=True)
def test_what_is_read_the_quick_way_is_what_the_parser_reads(*, pieces: list[bytes], whole: bool) -> None:
    body = b"".join(pieces) + (b"--b--\r\n" if whole else b"")
    quick = forms._plain(MULTIPART, body)
    if quick is not None:
        assert quick == forms._parsed(MULTIPART, body)


@settings(deadline=None)
@given(st.dictionaries(st.text("ab_", min_size=1), st.text(st.characters(max_codepoint=126)), max_size=5))
def test_what_clients_usually_send_is_read_the_quick_way(fields: dict[str, str]) -> None:
    request = httpx.Request("POST", "http://bank/", files={name: (None, text) for name, text in fields.items()})
    if fields and not any("--" in text for text in fields.values()):
        assert forms._plain(request.headers["content-type"], request.read()) == fields


@settings(deadline=None, max_examples=300)
@given(st.text("ab=&+% é%41%d0%9f%ff", max_size=30))
def test_a_form_is_read_as_urllib_reads_it(text: str) -> None:
    try:
        expected = dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=100))
    except ValueError:
        assert refused(URLENCODED, text.encode()).field == "body"
        return
    assert read_fields(URLENCODED, text.encode()) == expected


@pytest.mark.parametrize(("fields", "taken"), [(100, True), (101, False)])
def test_a_form_has_at_most_a_hundred_fields_though_they_be_empty(fields: int, *, taken: bool) -> None:
    body = b"&" * (fields - 1)
    if taken:
        assert read_fields(URLENCODED, body) == {}
    else:
        assert refused(URLENCODED, body).rule == "at most 100 form fields in UTF-8"
