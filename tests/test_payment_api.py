import json
import random
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright
from support import CHROMIUM, CHROMIUM_FLAGS

from mock_epay import lz

SCRIPT = Path(__file__).parents[1] / "mock_epay" / "static" / "payform" / "payment-api.js"
SANDBOX = "https://epay.test"
ORDER: dict[str, object] = {
    "invoiceId": "000000001",
    "backLink": "https://example.kz/success.html?order=1",
    "failureBackLink": "",
    "postLink": "https://example.kz/",
    "language": "rus",
    "description": "Тест",
    "terminal": "67e34d63-102f-4bd1-898e-370781d0074d",
    "amount": 100,
    "currency": "KZT",
    "cardSave": True,
    "accountId": "testuser1",
    "auth": {
        "access_token": "DCEB8O_ZM5U7SO_T_U5EJQ",
        "expires_in": 7200,
        "refresh_token": "",
        "scope": "payment",
        "token_type": "Bearer",
    },
    "shopsOwn": {"deep": ["x", None]},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    visits: list[str]
    warnings: list[str]
    globals: list[str] | None = None
    result: Any = None
    threw: str | None = None


Shop = Callable[..., Outcome]


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    """A page without a browser: tell it code, get what the code led to."""
    helper = Path(__file__).parent / "js" / "shop.js"
    pipe = subprocess.PIPE
    with subprocess.Popen(["node", helper], stdin=pipe, stdout=pipe, text=True, encoding="utf-8") as node:
        assert node.stdin
        assert node.stdout
        to_node, from_node = node.stdin, node.stdout

        def visit(
            code: str,
            *,
            current: str | None = f"{SANDBOX}/payform/payment-api.js",
            scripts: tuple[str, ...] = (),
            data: object = None,
        ) -> Outcome:
            case = {"code": code, "current": current, "scripts": scripts, "data": data}
            to_node.write(json.dumps(case) + "\n")
            to_node.flush()
            return Outcome(**json.loads(from_node.readline()))

        yield visit


def test_a_proper_order_opens_the_page_with_all_its_fields_and_no_remark(shop: Shop) -> None:
    outcome = shop("halyk.pay(data, () => {}, 3)", data=ORDER)

    assert outcome == Outcome(
        visits=[f"{SANDBOX}/payform/?params={lz.compress(lz.flatten(ORDER))}"], warnings=[], globals=["halyk"]
    )


def test_published_vectors_are_packed_bit_for_bit(shop: Shop) -> None:
    outcome = shop('halyk.pay({invoiceId: "000000001", amount: 100})')

    assert outcome.visits == [f"{SANDBOX}/payform/?params=JYOwbg9sDGCmCSATAvABnR9BGAZAQwFsIBXEAF2S3SA"]


def test_thousands_of_texts_are_packed_as_the_reference_packs_them(shop: Shop) -> None:
    chance = random.Random(484)
    signs = ["ab", "abcdef=&%", "Тест ", "".join(map(chr, range(0x80, 0x180))), "😀\0\uffff\ud83d", "a😀я"]
    texts = ["".join(chance.choices(chance.choice(signs), k=chance.randrange(80))) for _ in range(4_000)]

    # Keys travel unescaped, so a key can be any text at all.
    code = "data.forEach((text) => halyk.pay({[text]: ''})); data.map((text) => pack(text + '='))"
    outcome = shop(code, data=texts)

    assert [visit.partition("?params=")[2] for visit in outcome.visits] == outcome.result
    assert outcome.result == [lz.compress(text + "=") for text in texts]


def test_a_long_text_is_packed_as_the_reference_packs_it(shop: Shop) -> None:
    outcome = shop("halyk.pay({data}); pack('data=' + data)", data="order-" * 10_000)

    assert outcome.visits == [f"{SANDBOX}/payform/?params={outcome.result}"]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ("{}", ""),
        ("{a: undefined, b: null, c: ''}", "a=&b=&c="),
        ("{a: true, b: false, c: 0.1 + 0.2, d: 1e21, e: -0}", "a=true&b=false&c=0.30000000000000004&d=1e%2B21&e=0"),
        ("{a: 10n, b: Symbol('s')}", "a=10&b=Symbol(s)"),
        ("{a: NaN, b: -Infinity}", "a=NaN&b=-Infinity"),
        ('{a: "Тест -_.!~*\'()/"}', "a=%D0%A2%D0%B5%D1%81%D1%82%20-_.!~*'()%2F"),
        ("{a: {b: {c: '&'}, d: null}}", "a=b%3Dc%253D%252526%26d%3D"),
        ("{a: ['x', 'y'], b: new Date(0)}", "a=0%3Dx%261%3Dy&b="),
        ("{z: 1, a: 2, 'x&y': 3}", "z=1&a=2&x&y=3"),
        ("Object.create({inherited: 1}, {hidden: {value: 1}})", ""),
        ("['x']", "0=x"),
    ],
)
def test_objects_are_flattened_as_documented(shop: Shop, fields: str, text: str) -> None:
    outcome = shop(f"halyk.pay({fields})")

    assert [lz.decompress(visit.partition("?params=")[2]) for visit in outcome.visits] == [text]
    assert outcome.threw is None


def test_python_and_the_script_write_the_same_text(shop: Shop) -> None:
    tricky = ORDER | {"amount": 1500.5, "recurrent": False, "name": None, "data": '{"a":[1,"Ә"]}', "list": [[], {}]}

    outcome = shop("halyk.pay(data)", data=tricky)

    assert outcome.visits == [f"{SANDBOX}/payform/?params={lz.compress(lz.flatten(tricky))}"]


INVOICE = "the bank takes a string of 6 to 15 digits"
LINK = "the bank takes an http or https address"
LANGUAGE = "the bank takes rus, kaz or eng"
TERMINAL = "the bank takes the uuid of a terminal"
AMOUNT = "the bank takes a number above 0"
CURRENCY = "the bank takes three capital letters, such as KZT"
CARD_SAVE = "the bank takes a Boolean"
AUTH = "the bank takes the whole token answer"


@pytest.mark.parametrize(
    ("change", "remark"),
    [
        ("invoiceId: undefined", f"invoiceId is missing, {INVOICE}"),
        ("invoiceId: 1000000", f"invoiceId is 1000000, {INVOICE}"),
        ("invoiceId: '12345'", f'invoiceId is "12345", {INVOICE}'),
        ("invoiceId: '1234567890123456'", f'invoiceId is "1234567890123456", {INVOICE}'),
        ("invoiceId: 'A-10001'", f'invoiceId is "A-10001", {INVOICE}'),
        ("invoiceId: '123456\\n'", f'invoiceId is "123456\\n", {INVOICE}'),
        ("invoiceId: {}", f"invoiceId is an object, {INVOICE}"),
        ("invoiceId: () => 1", f"invoiceId is a function, {INVOICE}"),
        ("invoiceId: 1000000n", f"invoiceId is 1000000, {INVOICE}"),
        ("invoiceId: 'x'.repeat(61)", f'invoiceId is "{"x" * 60}…", {INVOICE}'),
        ("invoiceId: data.auth.access_token", f'invoiceId is "…", {INVOICE}'),
        ("invoiceId: 'very-secret', client_secret: 'very-secret'", f'invoiceId is "…", {INVOICE}'),
        ("invoiceIdAlt: 8564546", f"invoiceIdAlt is 8564546, {INVOICE}"),
        ("invoiceIdAlt: 'x'", f'invoiceIdAlt is "x", {INVOICE}'),
        ("backLink: ''", f"backLink is missing, {LINK}"),
        ("backLink: 'example.kz/ok?token=1'", f'backLink is "example.kz/ok…", {LINK}'),
        ("backLink: '/ok#1\\n2'", f'backLink is "/ok…", {LINK}'),
        ("backLink: new URL('https://example.kz')", f"backLink is an object, {LINK}"),
        ("failureBackLink: 'javascript:alert(1)'", f'failureBackLink is "javascript:alert(1)", {LINK}'),
        ("postLink: null", f"postLink is missing, {LINK}"),
        ("postLink: 'ftp://me:word@example.kz/'", f'postLink is "ftp://…@example.kz/", {LINK}'),
        ("failurePostLink: 'http://'", f'failurePostLink is "http://", {LINK}'),
        ("language: undefined", f"language is missing, {LANGUAGE}"),
        ("language: 'de'", f'language is "de", {LANGUAGE}'),
        ("language: 'русский'", f'language is "русский", {LANGUAGE}'),
        ("language: 1", f"language is 1, {LANGUAGE}"),
        ("description: undefined", "description is missing, the bank requires it"),
        ("description: 'x'.repeat(126)", "description is 126 bytes long, the bank takes at most 125"),
        ("description: 'ы'.repeat(63)", "description is 126 bytes long, the bank takes at most 125"),
        ("description: '😀'.repeat(32)", "description is 128 bytes long, the bank takes at most 125"),
        ("terminal: ''", f"terminal is missing, {TERMINAL}"),
        ("terminal: '98467'", f'terminal is "98467", {TERMINAL}'),
        ("amount: undefined", f"amount is missing, {AMOUNT}"),
        ("amount: '100'", f'amount is "100", {AMOUNT}'),
        ("amount: 0", f"amount is 0, {AMOUNT}"),
        ("amount: -1", f"amount is -1, {AMOUNT}"),
        ("amount: NaN", f"amount is NaN, {AMOUNT}"),
        ("amount: 100n", f"amount is 100, {AMOUNT}"),
        ("amount: -1, paymentType: 'cardVerification'", f"amount is -1, {AMOUNT}"),
        ("currency: undefined", f"currency is missing, {CURRENCY}"),
        ("currency: 'тенге'", f'currency is "тенге", {CURRENCY}'),
        ("cardSave: 'true'", f'cardSave is "true", {CARD_SAVE}'),
        ("cardSave: 1", f"cardSave is 1, {CARD_SAVE}"),
        ("cardSave: null", f"cardSave is missing, {CARD_SAVE}"),
        ("accountId: ''", "accountId is missing, the bank requires it with cardSave"),
        ("auth: undefined", f"auth is missing, {AUTH}"),
        ("auth: null", f"auth is missing, {AUTH}"),
        ("auth: 'DCEB8O_ZM5U7SO_T_U5EJQ'", f"auth is a bare string, {AUTH}"),
        ("auth: 7", f"auth is a bare number, {AUTH}"),
        ("auth: Promise.resolve(data.auth)", f"auth is a Promise that was not awaited, {AUTH}"),
        (
            "auth: {access_token: 'DCEB8O_ZM5U7SO_T_U5EJQ', token_type: 'Bearer'}",
            f"auth is an object without expires_in, refresh_token, scope, {AUTH}",
        ),
    ],
)
def test_a_broken_rule_is_one_remark_and_the_page_opens_all_the_same(shop: Shop, change: str, remark: str) -> None:
    outcome = shop(f"halyk.pay(Object.assign(data, {{{change}}}))", data=ORDER)

    assert outcome.warnings == [f"[mock-epay] halyk.pay: {remark}"]
    assert len(outcome.visits) == 1
    assert outcome.threw is None


@pytest.mark.parametrize(
    "change",
    [
        *(f"language: '{language}'" for language in ("kaz", "ENG", "ru", "KK", "kz", "EN", "ru-RU", "KK-kz")),
        "amount: 0, paymentType: 'cardVerification', currency: 'USD'",
        "amount: 0.01",
        "description: 'ы'.repeat(62)",
        "invoiceIdAlt: ''",
        "invoiceIdAlt: '8564546'",
        "invoiceId: '123456789012345'",
        "cardSave: undefined, accountId: undefined",
        "cardSave: false, accountId: ''",
        "failurePostLink: 'HTTP://localhost:8000'",
        "terminal: data.terminal.toUpperCase()",
    ],
)
def test_what_the_bank_takes_is_not_remarked_upon(shop: Shop, change: str) -> None:
    assert shop(f"halyk.pay(Object.assign(data, {{{change}}}))", data=ORDER).warnings == []


def test_all_remarks_come_at_once_and_name_the_function_that_was_called(shop: Shop) -> None:
    outcome = shop("halyk.cardverification({language: 'rus', amount: 0})")

    fields = ["invoiceId", "backLink", "postLink", "description", "terminal", "amount", "currency", "auth"]
    assert [line.split(" is ")[0] for line in outcome.warnings] == [
        f"[mock-epay] halyk.cardverification: {field}" for field in fields
    ]


@pytest.mark.parametrize("operation", ["p2p", "aft", "oct"])
def test_operations_that_are_not_simulated_go_to_their_own_address(shop: Shop, operation: str) -> None:
    outcome = shop(f"halyk.{operation}(data)", data=ORDER)

    assert outcome.visits == [f"{SANDBOX}/payform/{operation}?params={lz.compress(lz.flatten(ORDER))}"]
    [line] = outcome.warnings
    assert line.startswith(f"[mock-epay] halyk.{operation}: the sandbox does not simulate this operation")


@pytest.mark.parametrize("nothing", ["undefined", "null", "'order'", "7", "10n", "() => 1", ""])
def test_what_is_no_object_opens_nothing(shop: Shop, nothing: str) -> None:
    outcome = shop(f"halyk.pay({nothing})")

    [line] = outcome.warnings
    assert line.endswith("the bank takes a payment object; nothing is opened")
    assert (outcome.visits, outcome.threw) == ([], None)


@pytest.mark.parametrize(
    "hostile",
    [
        "(() => { const order = {}; order.order = order; return order; })()",
        "{auth: (() => { const list = []; list.push(list); return list; })()}",
        "{get amount() { throw new Error('DCEB8O_ZM5U7SO_T_U5EJQ'); }}",
        "{auth: {get access_token() { throw 'DCEB8O_ZM5U7SO_T_U5EJQ'; }}}",
        "{description: '\\ud83d'}",
        "new Proxy({}, {ownKeys() { throw null; }})",
    ],
)
def test_what_cannot_be_written_opens_nothing_and_throws_nothing(shop: Shop, hostile: str) -> None:
    for function in ("pay", "p2p"):
        outcome = shop(f"halyk.{function}({hostile})")

        [line] = outcome.warnings
        assert line.endswith("or a broken text; nothing is opened")
        assert "DCEB8O" not in line
        assert (outcome.visits, outcome.threw) == ([], None)


def test_what_cannot_be_checked_is_opened_all_the_same(shop: Shop) -> None:
    outcome = shop("halyk.pay({auth: new Proxy({}, {has() { throw new Error('no'); }})})")

    assert outcome.warnings == ["[mock-epay] halyk.pay: the payment object is too strange to be checked"]
    assert (len(outcome.visits), outcome.threw) == (1, None)


def test_a_getter_is_read_once(shop: Shop) -> None:
    outcome = shop(
        "let read = 0; halyk.pay(Object.defineProperty(data, 'amount', {enumerable: true, get: () => ++read})); read",
        data=ORDER,
    )

    assert outcome.result == 1
    assert "amount=1&" in lz.decompress(outcome.visits[0].partition("?params=")[2])


def test_the_shops_object_is_left_as_it_was(shop: Shop) -> None:
    assert shop("halyk.pay(data); data", data=ORDER).result == ORDER


@pytest.mark.parametrize(
    ("current", "scripts", "page"),
    [
        (f"{SANDBOX}/payform/payment-api.js", (), f"{SANDBOX}/payform/"),
        (f"{SANDBOX}/redesign-payform/payment-api.js", (), f"{SANDBOX}/payform/"),
        ("http://localhost:8080/payform/payment-api.js?v=2#x", (), "http://localhost:8080/payform/"),
        ("https://dev.kz/epay/redesign-payform/payment-api.js", (), "https://dev.kz/epay/payform/"),
        (None, (f"{SANDBOX}/payform/payment-api.js", "https://shop.kz/app.js"), f"{SANDBOX}/payform/"),
        (
            None,
            ("https://old.kz/payform/payment-api.js", "http://[::1]/payform/payment-api.js"),
            "http://[::1]/payform/",
        ),
        ("https://shop.kz/bundle.js", (f"{SANDBOX}/payform/payment-api.js",), f"{SANDBOX}/payform/"),
        ("https://cdn.kz/payform/epay.js", ("https://shop.kz/app.js",), "https://cdn.kz/payform/"),
        ("", ("", f"{SANDBOX}/payform/payment-api.js?x=/"), f"{SANDBOX}/payform/"),
    ],
)
def test_the_page_is_found_from_where_the_script_was_loaded(
    shop: Shop, current: str | None, scripts: tuple[str, ...], page: str
) -> None:
    outcome = shop("halyk.Config()", current=current, scripts=scripts)

    assert outcome.result == {
        "pageUrL": page,
        "origin": page[: page.index("/", 8)],
        "TokenAPIConfig": {"url": page.replace("/payform/", "/oauth2/token")},
    }
    assert outcome.warnings == []


@pytest.mark.parametrize(
    ("current", "scripts"),
    [
        (None, ()),
        (None, ("https://shop.kz/app.js", "https://shop.kz/my-payment-api.js")),
        ("blob:https://shop.kz/payment-api.js", ("file:///payment-api.js",)),
    ],
)
def test_a_script_that_came_from_nowhere_says_so_and_opens_nothing(
    shop: Shop, current: str | None, scripts: tuple[str, ...]
) -> None:
    outcome = shop("halyk.pay(data); halyk.Config()", current=current, scripts=scripts, data=ORDER)

    assert outcome.warnings == [
        "[mock-epay] no script element leads to payment-api.js, so the pay page cannot be found",
        "[mock-epay] halyk.pay: the address of the sandbox is unknown, nothing is opened",
    ]
    assert outcome.result == {"pageUrL": "", "origin": "", "TokenAPIConfig": {"url": ""}}
    assert (outcome.visits, outcome.threw) == ([], None)


# From here on in a real browser, whose every request is answered below.

SHOP = "https://shop.test"
WIDGET = "#mock-epay-widget"
STRICT = f"default-src 'none'; script-src {SANDBOX} {SHOP}; frame-src {SANDBOX}"
TAG = f'<script src="{SANDBOX}/payform/payment-api.js"></script>'
TAGS = {
    "sync": TAG,
    "async": TAG.replace(" src", " async src"),
    "defer": TAG.replace(" src", " defer src"),
    "module": TAG.replace(" src", ' type="module" crossorigin src'),
    "redesign": TAG.replace("/payform/", "/redesign-payform/"),
    "late": f'<script src="{SHOP}/late.js"></script>',
}
CORS = {"Access-Control-Allow-Origin": "*"}
LATE = f"""
addEventListener("load", () => {{
  const script = document.createElement("script");
  script.src = "{SANDBOX}/payform/payment-api.js?late";
  document.head.append(script);
}});
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """The page of a shop that is as strict as a shop can be; its console keeps silent unless a test says otherwise."""
    context = chromium.new_context(viewport={"width": 1000, "height": 800})
    context.route("**/*", answer)
    page = context.new_page()
    lines: list[str] = []
    page.on("console", lambda message: lines.append(message.text))
    page.goto(f"{SHOP}/sync")
    yield page
    context.close()
    assert lines == []


def answer(route: Route) -> None:
    url = urlsplit(route.request.url)
    if url.path.endswith("/payment-api.js"):
        route.fulfill(body=SCRIPT.read_text("utf-8"), content_type="text/javascript; charset=utf-8", headers=CORS)
    elif url.path == "/late.js":
        route.fulfill(body=LATE, content_type="text/javascript")
    elif f"{url.scheme}://{url.netloc}" == SHOP:
        body = f"<!doctype html><title>shop</title><head>{TAGS.get(url.path[1:], '')}</head><button id=buy>Buy</button>"
        route.fulfill(body=body, content_type="text/html", headers={"Content-Security-Policy": STRICT})
    else:
        route.fulfill(body="<!doctype html><title>pay page</title><input>", content_type="text/html")


@pytest.mark.parametrize("way", TAGS)
def test_the_script_finds_its_page_however_it_is_loaded(page: Page, way: str) -> None:
    page.goto(f"{SHOP}/{way}")
    page.wait_for_function("() => 'halyk' in window")  # a bare expression would be evaluated, which the shop forbids

    assert page.evaluate("halyk.Config().pageUrL") == f"{SANDBOX}/payform/"


@pytest.mark.parametrize("function", ["pay", "cardverification"])
def test_paying_leaves_the_shop_in_the_same_tab(page: Page, function: str) -> None:
    page.evaluate("([name, order]) => { halyk[name](order, () => {}); }", [function, ORDER])
    page.wait_for_url(f"{SANDBOX}/**")

    assert page.url == f"{SANDBOX}/payform/?params={lz.compress(lz.flatten(ORDER))}"
    assert page.evaluate("history.length") == 3
    assert len(page.context.pages) == 1


def test_the_widget_shows_the_short_page_in_a_dialog(page: Page) -> None:
    open_widget(page)

    dialog = page.get_by_role("dialog", name="Оплата картой")
    frame = dialog.locator("iframe")
    assert dialog.get_attribute("aria-modal") == "true"
    assert frame.get_attribute("src") == f"{SANDBOX}/payform/?params={lz.compress(lz.flatten(ORDER))}&isShortForm=true"
    assert frame.get_attribute("title") == "Оплата картой"
    assert parse_qs(urlsplit(pay_page(page).url).query)["isShortForm"] == ["true"]
    assert page.url == f"{SHOP}/sync"


def test_the_widget_is_a_centred_card_on_a_desk_and_fills_a_phone(page: Page) -> None:
    open_widget(page)

    card = page.locator(f"{WIDGET} > div")
    assert card.bounding_box() == {"x": 300, "y": 40, "width": 400, "height": 720}
    assert page.locator(WIDGET).bounding_box() == {"x": 0, "y": 0, "width": 1000, "height": 800}
    page.set_viewport_size({"width": 390, "height": 700})
    expect(card).to_have_css("height", "700px")
    assert card.bounding_box() == {"x": 0, "y": 0, "width": 390, "height": 700}


@pytest.mark.parametrize("message", ['{"success":true}', '{"success":false}'])
def test_the_answer_of_the_page_reaches_the_shop_and_closes_the_widget(page: Page, message: str) -> None:
    open_widget(page)

    post(page, message)

    page.wait_for_function("() => answers.length")
    assert page.evaluate("answers") == [json.loads(message)]
    assert page.locator(WIDGET).count() == 0


def test_only_strings_of_the_page_in_the_frame_are_answers(page: Page) -> None:
    open_widget(page)
    page.evaluate(
        """(address) => new Promise((done) => {
            const other = Object.assign(document.createElement("iframe"), {src: address, id: "other"});
            other.onload = done;
            document.body.append(other);
        })""",
        f"{SANDBOX}/other",
    )
    other = next(frame for frame in page.frames if frame.url.endswith("/other"))

    # From the shop itself, from nobody, and from a frame that is of the sandbox but not the widget's.
    page.evaluate("""() => postMessage('{"success":true}', "*")""")
    page.evaluate(
        """(origin) => dispatchEvent(new MessageEvent("message", {origin, data: '{"success":true}'}))""", SANDBOX
    )
    other.evaluate("""() => parent.postMessage('{"success":true}', "*")""")
    # From the right frame, in a wrong form.
    for message in ("", "{", "null", "7", '"success"', '{"success":"true"}', '{"success":1}', '["success"]', "{}"):
        post(page, message)
    pay_page(page).evaluate("() => { parent.postMessage({success: true}, '*'); parent.postMessage(null, '*'); }")
    assert page.locator(WIDGET).count() == 1
    post(page, '{"success":false}')

    page.wait_for_function("() => answers.length")
    assert page.evaluate("answers") == [{"success": False}]


def test_a_second_call_while_the_widget_is_open_does_nothing(page: Page) -> None:
    open_widget(page)
    page.evaluate("(order) => halyk.showPaymentWidget(order, () => answers.push('second'))", ORDER)
    assert page.locator(WIDGET).count() == 1
    assert page.locator("iframe").count() == 1

    post(page, '{"success":true}')
    page.wait_for_function("() => answers.length")
    assert page.evaluate("answers") == [{"success": True}]


@pytest.mark.parametrize("name", ["Закрыть", "Жабу", "Close"])
def test_the_close_button_speaks_the_language_of_the_order(page: Page, name: str) -> None:
    language = {"Закрыть": "RU", "Жабу": "kaz", "Close": "en-US"}[name]
    open_widget(page, language=language)

    page.get_by_role("button", name=name).click()

    assert page.evaluate("answers") == [{"success": False}]
    assert page.locator(WIDGET).count() == 0


def test_escape_closes_the_widget_and_the_focus_returns(page: Page) -> None:
    page.focus("#buy")
    open_widget(page)
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Закрыть"
    page.evaluate("document.getElementById('buy').focus()")
    assert page.evaluate("document.activeElement.id") != "buy"

    page.keyboard.press("Escape")

    page.wait_for_function("() => answers.length")
    assert page.evaluate("answers") == [{"success": False}]
    assert page.evaluate("document.activeElement.id") == "buy"


def test_the_shop_does_not_scroll_below_the_widget(page: Page) -> None:
    page.evaluate("document.body.style.overflow = 'scroll'")
    overflows = "[document.documentElement.style.overflow, document.body.style.overflow]"
    open_widget(page)
    assert page.evaluate(overflows) == ["hidden", "hidden"]

    post(page, '{"success":true}')

    page.wait_for_function("() => answers.length")
    assert page.evaluate(overflows) == ["", "scroll"]


def test_the_widget_lies_above_a_dialog_of_the_shop(page: Page) -> None:
    page.evaluate("() => document.body.appendChild(document.createElement('dialog')).showModal()")
    open_widget(page)

    page.get_by_role("button", name="Закрыть").click()

    assert page.evaluate("answers") == [{"success": False}]
    assert page.evaluate("document.querySelector('dialog').open")


def test_a_callback_that_throws_leaves_nothing_behind(page: Page) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.evaluate(
        "(order) => halyk.showPaymentWidget(order, () => { answers = []; throw new Error('of the shop'); })", ORDER
    )
    pay_page(page)
    post(page, '{"success":true}')
    page.wait_for_function("() => 'answers' in window")
    assert page.locator(WIDGET).count() == 0

    open_widget(page)
    post(page, '{"success":true}')
    page.wait_for_function("() => answers.length")
    assert page.evaluate("answers") == [{"success": True}]
    assert errors == ["of the shop"]


@pytest.mark.parametrize("callback", ["undefined", "null", "'done'"])
def test_a_widget_needs_no_callback(page: Page, callback: str) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.evaluate(f"(order) => halyk.showPaymentWidget(order, {callback})", ORDER)

    post(page, '{"success":true}')

    page.wait_for_function("() => !document.querySelector('iframe')")
    assert errors == []


def test_a_callback_may_open_the_next_widget(page: Page) -> None:
    page.evaluate(
        "(order) => halyk.showPaymentWidget(order, () => halyk.showPaymentWidget({...order, language: 'eng'}))", ORDER
    )
    post(page, '{"success":false}')

    page.get_by_role("dialog", name="Card payment").wait_for()


def test_no_widget_opens_without_an_order(chromium: Browser) -> None:
    context = chromium.new_context()
    context.route("**/*", answer)
    page = context.new_page()
    page.goto(f"{SHOP}/sync")
    with page.expect_console_message() as line:
        page.evaluate("halyk.showPaymentWidget()")

    assert line.value.type == "warning"
    assert line.value.text.startswith("[mock-epay] halyk.showPaymentWidget: the argument is missing")
    assert page.locator(WIDGET).count() == 0
    context.close()


def open_widget(page: Page, **changes: object) -> None:
    page.evaluate(
        "(order) => { window.answers = []; halyk.showPaymentWidget(order, (answer) => answers.push(answer)); }",
        ORDER | changes,
    )
    pay_page(page)


def pay_page(page: Page) -> Any:
    """Wait until the frame of the widget has its page, for before that it is of the shop's origin."""
    page.frame_locator(f"{WIDGET} iframe").locator("input").wait_for()
    return next(frame for frame in page.frames if "isShortForm" in frame.url)


def post(page: Page, message: str) -> None:
    pay_page(page).evaluate("(message) => { parent.postMessage(message, '*'); }", message)
