"""What a hostile page, shop or stranger may try with a sandbox on a developer's machine."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx
import pytest
from browsing import PATIENCE_MS, Customer, fill, pay, pay_page, sees
from cabins import enter, sign_in
from playwright.sync_api import Browser, Page, expect, sync_playwright
from support import (
    APPROVES,
    CHALLENGED,
    CHROMIUM,
    CHROMIUM_FLAGS,
    LOCKED,
    PATIENCE_S,
    SHOP_ID,
    Shop,
    action,
    encrypted,
)
from worlds import CONTROL, World, of

from mock_epay import records
from mock_epay.server import Sandbox

EVIL: Final = "evil.example"
MARKUP: Final = "'\"><img src=x onerror=evil()></script><script>evil()</script><svg/onload=evil()>{{7*7}}${evil()}"
ONE: Final = "000000001"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run Chromium in a network in which `evil.example` leads to this machine, as DNS rebinding has it."""
    expect.set_options(timeout=PATIENCE_MS)
    flags = [*CHROMIUM_FLAGS, f"--host-resolver-rules=MAP {EVIL} 127.0.0.1"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield started
        started.close()


@dataclass
class Site:
    """A server of somebody hostile: an empty page at each address, and an answer to postlinks that is meant to harm."""

    port: int
    heard: list[str] = field(default_factory=list)

    def origins(self) -> dict[str, str]:
        """Return from where it attacks: another site, another port of this machine, another name for that."""
        return {host: f"http://{host}:{self.port}" for host in (EVIL, "127.0.0.1", "localhost")}


@contextmanager
def hostile_site() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known.heard.append(self.path)
            self._answer(200, b"<!doctype html><title>Evil</title><body></body>")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(400, MARKUP.encode())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("X-Evil", MARKUP)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known = Site(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE_S)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with hostile_site() as started:
        yield started


@pytest.fixture
def victim(browser: Browser) -> Iterator[Page]:
    """Give a page of somebody who lets every page reach this machine."""
    context = browser.new_context(permissions=["local-network-access"])
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


@pytest.fixture
def member(shop: Shop) -> World:
    """Give a world with a payment in it, and the cabinet's user of its merchant."""
    shop.buy(LOCKED)
    of(shop).get("/wait", until="postlink.delivered", timeout_s=PATIENCE_S)  # so all has happened
    return World(shop.http, of(shop).facts | {"email": shop.merchant.email, "password": shop.merchant.password})


# What a page may try with an address of the control API; what it returns is what it has got out of it.
FORM: Final = """([url, kind]) => new Promise((done) => {
  const frame = Object.assign(document.createElement("iframe"), { name: "hidden" });
  const form = Object.assign(document.createElement("form"), { action: url, method: "post", enctype: kind });
  form.target = "hidden";
  form.append(Object.assign(document.createElement("input"), { name: '{"name": "', value: 'Evil"}' }));
  document.body.replaceChildren(frame, form);
  frame.addEventListener("load", () => done(frame.contentDocument && frame.contentDocument.body.textContent));
  form.submit();
})"""
ELEMENT: Final = """([url, name, where]) => new Promise((done) => {
  const node = Object.assign(document.createElement(name), { rel: "stylesheet", [where]: url });
  node.addEventListener("load", () => done("loaded"));
  node.addEventListener("error", () => done(null));
  document.body.append(node);
})"""
FETCH: Final = """([url, options]) => fetch(url, options)
  .then((answer) => answer.text(), () => null).then((text) => text || null)"""
LINE: Final = """([url, kind]) => new Promise((done) => {
  const line = kind === "EventSource" ? new EventSource(url, { withCredentials: true })
    : new WebSocket(url.replace("http", "ws"));
  const end = (told) => { line.close(); done(told); };
  Object.assign(line, { onopen: () => end("open"), onmessage: () => end("message"), onerror: () => end(null) });
})"""
BEACON: Final = "([url]) => { navigator.sendBeacon(url, '{}'); return null; }"

WITH: Final = {"credentials": "include"}
ATTEMPTS: Final[dict[str, tuple[str, str, list[Any]]]] = {
    "a form": ("/reset", FORM, ["application/x-www-form-urlencoded"]),
    "a form with parts": ("/reset", FORM, ["multipart/form-data"]),
    "a form whose text is JSON": ("", FORM, ["text/plain"]),
    "a form that pays": ("/payments", FORM, ["text/plain"]),
    "fetch without CORS": ("/reset", FETCH, [WITH | {"method": "POST", "mode": "no-cors"}]),
    "fetch without CORS, JSON as text": (
        "/payments",
        FETCH,
        [WITH | {"method": "POST", "mode": "no-cors", "body": "{}"}],
    ),
    "fetch with a preflight": ("", FETCH, [WITH | {"method": "DELETE"}]),
    "fetch of JSON": (
        "/script",
        FETCH,
        [WITH | {"method": "POST", "headers": {"Content-Type": "application/json"}, "body": "{}"}],
    ),
    "fetch to read": ("/events", FETCH, [WITH]),
    "fetch of the credentials": ("", FETCH, [WITH]),
    "a beacon": ("/reset", BEACON, []),
    "a script": ("/events", ELEMENT, ["script", "src"]),
    "a style sheet": ("/events", ELEMENT, ["link", "href"]),
    "an image": ("/events", ELEMENT, ["img", "src"]),
    "a stream of events": ("/events", LINE, ["EventSource"]),
    "a WebSocket": ("/events", LINE, ["WebSocket"]),
}


@pytest.mark.parametrize(
    "host", [EVIL, *(pytest.param(host, marks=pytest.mark.slow) for host in ("127.0.0.1", "localhost"))]
)
def test_a_page_of_another_origin_gets_nothing_and_changes_nothing(
    victim: Page, sandbox: Sandbox, site: Site, member: World, host: str
) -> None:
    sign_in(victim, sandbox.url, member)
    before = member.dump()
    victim.goto(site.origins()[host])
    world = f"{sandbox.url}{CONTROL}/merchants/{member.client_id}"
    got = {name: victim.evaluate(script, [world + path, *rest]) for name, (path, script, rest) in ATTEMPTS.items()}

    assert {name: text for name, text in got.items() if text} == {}
    assert member.dump() == before
    # The same from a page of the sandbox itself does reach it, so these attempts were true ones.
    victim.goto(f"{sandbox.url}/demo")
    assert "client_secret" in victim.evaluate(FETCH, [world, WITH])
    assert victim.evaluate(LINE, [f"{world}/events", "EventSource"]) == "open"


def test_a_name_that_was_made_to_lead_here_opens_no_door(victim: Page, sandbox: Sandbox, member: World) -> None:
    port = urlsplit(sandbox.url).port
    before = member.dump()
    world = f"{CONTROL}/merchants/{member.client_id}"
    statuses = "(paths) => Promise.all(paths.map(([path, method]) => fetch(path, { method }).then((it) => it.status)))"
    asked = [
        [world, "GET"],
        [f"{world}/reset", "POST"],
        [world, "DELETE"],
        [f"{CONTROL}/session", "GET"],
        ["/cabinet", "GET"],
    ]
    answer = victim.goto(f"http://{EVIL}:{port}/cabinet")
    assert answer is not None
    assert (answer.status, answer.json()["field"]) == (403, "Host")
    assert victim.evaluate(statuses, asked) == [403] * len(asked)
    assert victim.evaluate(LINE, [f"{world}/events", "EventSource"]) is None
    assert member.dump() == before

    victim.goto(f"http://epay.localhost:{port}/cabinet")  # a name that is nobody else's
    assert victim.evaluate(statuses, asked[:1]) == [200]


# What may stand in a frame of a strange page.


def framed(page: Page, address: str) -> bool:
    """Return whether a page shows this address in a frame."""
    page.evaluate(
        """(url) => new Promise((done) => {
          const frame = Object.assign(document.createElement("iframe"), { src: url });
          frame.addEventListener("load", done);
          document.body.replaceChildren(frame);
        })""",
        address,
    )
    frame = page.locator("iframe").element_handle().content_frame()
    assert frame is not None
    return str(frame.evaluate("location.protocol")) != "chrome-error:"


def test_only_the_widget_can_be_laid_under_somebodys_clicks(
    victim: Page, site: Site, shop: Shop, member: World
) -> None:
    url, client_id = shop.sandbox.url, member.client_id
    asking = action(shop.open(token=shop.token(invoiceID="000000003"), invoiceId="000000003"))
    challenge = shop.http.post(asking, data=CHALLENGED, follow_redirects=True).url.path
    page = action(shop.open(token=shop.token(invoiceID="000000002"), invoiceId="000000002"))
    short = "?isShortForm=true"
    places = {
        "/": False,
        "/cabinet": False,
        f"/cabinet/{client_id}": False,
        f"/cabinet/{client_id}/invoices/{ONE}": False,
        f"/cabinet/{client_id}/settings": False,
        "/demo": False,
        "/demo/orders/1/thanks": False,
        "/docs": False,
        page: False,
        page + short: True,
        challenge: False,
        challenge + short: True,
        "/payform/nowhere": False,
    }
    victim.goto(site.origins()[EVIL])
    assert {path: framed(victim, url + path) for path in places} == places


def test_no_page_lies_about_as_a_file_without_its_headers(http: httpx.Client) -> None:
    assert "frame-ancestors 'none'" in http.get("/docs").headers["content-security-policy"]
    for folder in ("docs/static", "payform/static", "cabinet/static", "demo/static", "acs/static"):
        for name in ("index.html", "reference.html", ""):
            assert http.get(f"/{folder}/{name}").status_code == 404


# Markup in all that is shown.


def visit(customer: Customer) -> Page:
    """Open a page that notices when words of others are run."""
    page = customer.page()
    page.expose_function("evil", lambda: customer.complaints.append("somebody's words were run"))
    return page


@pytest.mark.slow
def test_markup_in_an_order_stays_text_wherever_customers_see_it(customer: Customer, shop: Shop) -> None:
    merchant = records.replace(shop.merchant, name=MARKUP)
    shop.sandbox.do(shop.sandbox.bank.store.add_merchant(merchant))
    words = {
        "description": MARKUP,
        "name": MARKUP,
        "data": MARKUP,
        "accountId": MARKUP,
        "email": "<img/src=x/onerror=evil()>@x",
    }
    page = visit(customer)
    page.goto(pay_page(shop, **words))
    sees(page, "open")
    expect(page.get_by_test_id("description")).to_have_text(MARKUP)
    expect(page.get_by_test_id("page")).to_contain_text("<svg/onload=evil()>")
    fill(page, CHALLENGED | {"name": MARKUP, "email": "<b>@<b>"})
    page.get_by_test_id("pay").click()
    sees(page, "challenge")
    expect(page.get_by_test_id("shop")).to_contain_text(MARKUP)
    page.get_by_test_id("code").fill("<b>")
    page.get_by_test_id("confirm").click()
    sees(page, "challenge")
    page.get_by_test_id("cancel").click()
    sees(page, "declined", 473)
    page.get_by_test_id("try-again").click()
    pay(page)
    sees(page, "approved", 0)
    assert page.locator("img[src=x], script:not([src]):not([type])").count() == 0


@pytest.mark.slow
def test_markup_in_a_payment_by_a_shops_own_form_stays_text_on_its_last_page(customer: Customer, shop: Shop) -> None:
    merchant = records.replace(shop.merchant, name=MARKUP)
    shop.sandbox.do(shop.sandbox.bank.store.add_merchant(merchant))
    order = shop.order(description=MARKUP, accountId=MARKUP, backLink=None, failureBackLink=None, postLink=None)
    order |= {"terminalId": order.pop("terminal"), "cryptogram": encrypted(shop.http, APPROVES, shop.terminal)}
    token = shop.token()["access_token"]
    paid = shop.http.post("/payment/cryptopay", json=order, headers={"Authorization": f"Bearer {token}"}).json()
    page = visit(customer)
    page.goto(f"{customer.sandbox}/payform/outcome/{paid['id']}")
    sees(page, "approved", 0)
    expect(page.get_by_test_id("page")).to_contain_text(MARKUP)


CABINET_VIEWS: Final = ("", f"/invoices/{ONE}", "/script", "/settings", "/new", "/clock", "/handler")


@pytest.fixture
def soiled(world: World, site: Site) -> World:
    """Give a world in which whatever takes text is full of markup; its shop's answers are as well."""
    post_link = f"http://127.0.0.1:{site.port}/{quote(MARKUP, safe='')}"
    words = {"description": MARKUP, "account_id": MARKUP, "name": MARKUP, "data": MARKUP, "secret_hash": MARKUP}
    world.do("PATCH", "", {"name": MARKUP, "postlink_retry_s": []})
    world.do(
        "POST",
        "/script",
        {"rules": [{"match": {"description": MARKUP, "account_id": MARKUP}, "then": {"reason_code": 484}}]},
    )
    world.pay(invoice_id=ONE, post_link=post_link, **words)
    world.do("POST", "/script", {"decisions": [{"reason_code": 484, "invoice_id": "000000002"}]})
    world.do("POST", "/faults", {"faults": [{"at": "token", "status": 503}]})
    world.get("/wait", until="postlink.failed", timeout_s=PATIENCE_S)
    world.do("POST", "/postlinks/latest/resend", {"text": MARKUP})
    return world


@pytest.mark.slow
@pytest.mark.parametrize("view", CABINET_VIEWS)
def test_markup_stays_text_in_the_cabinet(customer: Customer, soiled: World, view: str) -> None:
    page = visit(customer)
    enter(page, customer.sandbox, soiled, view, state="invoice" if "invoices" in view else "")
    page.wait_for_load_state("networkidle")
    for more in page.locator("details:not([open]) > summary").all():
        if more.is_visible():
            more.click()
    assert page.locator("img[src=x], svg[onload], main script").count() == 0
    if view in CABINET_VIEWS[:2]:
        expect(page.get_by_test_id("page")).to_contain_text("<svg/onload=evil()>")


# The sender, the shop, and addresses.


@pytest.mark.slow
def test_markup_in_what_the_demo_shop_is_told_stays_text(customer: Customer, http: httpx.Client) -> None:
    wish = {"product": "tea", "quantity": 1, "language": "rus", "cardSave": False, "name": MARKUP}
    number = http.post("/demo/orders", json=wish).json()["order"]
    notice = {"invoiceId": number, "code": MARKUP, "id": MARKUP, "reason": MARKUP}
    assert http.post("/demo/postlink", json=notice, headers={"User-Agent": MARKUP}).status_code == 400
    page = visit(customer)
    page.goto(f"{customer.sandbox}/demo/orders/{number}/thanks?{quote(MARKUP)}")
    expect(page.get_by_test_id("page").or_(page.locator("body")).first).to_contain_text("<svg/onload=evil()>")


@pytest.mark.slow
def test_the_reference_loads_no_document_of_somebody_elses(customer: Customer, site: Site) -> None:
    theirs = f"http://{EVIL}:{site.port}/openapi.json"
    page = visit(customer)
    page.goto(f"{customer.sandbox}/docs?url={theirs}&configUrl={theirs}&urls={theirs}#/{quote(MARKUP)}")
    expect(page.locator(".opblock").first).to_be_visible()
    assert site.heard == [] or "/openapi.json" not in site.heard


ADDRESSES: Final = (
    "/payform/?params={}",
    "/payform/?params=N4&lang={}&panel={}&autofill={}&isShortForm={}",
    "/payform/{}",
    "/payform/outcome/{}",
    "/payform/p2p?params={}",
    "/redirect/invoice-link/{}",
    "/acs/{}",
    "/cabinet?next={}&lang={}",
    "/cabinet/{}",
    "/cabinet/{}/nowhere",
    "/cabinet/test/invoices/{}",
    "/demo?{}",
    "/demo/orders/{}/thanks",
    "/{}",
    "/schemas/{}.json",
    "/check-status/payment/transaction/{}",
    CONTROL + "/merchants/{}",
)


@pytest.mark.slow
def test_markup_in_addresses_stays_text(customer: Customer) -> None:
    customer.expected += ["status of 4", "status of 501"]
    page = visit(customer)
    for address in ADDRESSES:
        page.goto(customer.sandbox + address.replace("{}", quote(MARKUP, safe="")))
        if address.startswith("/cabinet"):  # where scripts go on
            page.wait_for_load_state("networkidle")
        assert page.locator("img[src=x], svg[onload]").count() == 0, address


# Addresses to be led to.

SCHEMES: Final = (
    "javascript:evil()",
    "JaVaScRiPt:evil()",
    " javascript:evil()",
    "java\tscript:evil()",
    "java\nscript:evil()",
    "\x01javascript:evil()",
    "javascript://shop.kz/%0aevil()",
    "data:text/html,<script>evil()</script>",
    "vbscript:evil()",
    "blob:https://shop.kz/1",
    "file:///etc/passwd",
    "ftp://shop.kz/",
    "//evil.example/",
    "/\\evil.example",
    "\\\\evil.example",
    "https:evil.example",
    "http:///evil.example",
    "http://",
    "http://?",
    "evil.example",
    "http://shop.kz/\r\nX-Evil: 1",
    "http://shop.kz/ x",
    "\ud800http://shop.kz/",
)


@pytest.mark.parametrize("link", SCHEMES, ids=ascii)
def test_an_address_that_is_none_of_a_shop_is_led_to_by_no_door(shop: Shop, link: str) -> None:
    token = shop.token()
    own = shop.order(backLink=link, postLink=None, failureBackLink=None)
    own |= {"terminalId": own.pop("terminal"), "cryptogram": encrypted(shop.http, APPROVES, shop.terminal)}
    lasting = {"shop_id": SHOP_ID, "invoice_id": "000000002", "amount": 10, "currency": "KZT", "description": "x"}
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    doors = {
        "own form": sent(shop, "/payment/cryptopay", own, bearer),
        "invoice link": sent(shop, "/invoice", lasting | {"back_link": link}, bearer),
        "postlink of one": sent(shop, "/invoice", lasting | {"post_link": link}, bearer),
        "control API": sent(shop, f"{CONTROL}/merchants/{shop.merchant.client_id}/payments", {"back_link": link}),
        "token": sent(shop, "/oauth2/token", shop.request(invoiceID="000000003", postLink=link)),
    }
    if link.isprintable() or "\ud800" not in link:
        for name in ("backLink", "failureBackLink", "postLink", "failurePostLink"):
            doors[name] = shop.open(token=token, **{name: link})
        term = {"PaReq": "x", "MD": token["access_token"], "TermUrl": link}
        doors["TermUrl"] = shop.http.post("/acs", data=term)
    assert {name: answer.status_code for name, answer in doors.items()} == dict.fromkeys(doors, 400)
    for answer in doors.values():
        assert f'href="{link}' not in answer.text
        assert "x-evil" not in answer.headers


def sent(shop: Shop, address: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> httpx.Response:
    """Send JSON that may hold what only JSON can."""
    kind = {"Content-Type": "application/json"}
    return shop.http.post(address, content=json.dumps(body), headers=kind | (headers or {}))


@pytest.mark.slow
@pytest.mark.parametrize(
    "wish",
    [
        "//evil.example/cabinet/{}",
        "/\\evil.example/cabinet/{}",
        "https://evil.example/cabinet/{}",
        "javascript:evil()//cabinet/{}",
        "http://[",
        "//[",
        "/\t/evil.example/cabinet/{}",
        "@evil.example/cabinet/{}",
        "/cabinet/{}/../../demo",
        "/cabinet/{}x",
        "",
    ],
)
def test_who_signs_in_stays_in_their_cabinet(customer: Customer, world: World, wish: str) -> None:
    page = visit(customer)
    sign_in(page, customer.sandbox, world)
    page.goto(f"{customer.sandbox}/cabinet?next={quote(wish.replace('{}', world.client_id), safe='')}")
    page.wait_for_url(f"{customer.sandbox}/cabinet/{world.client_id}")
    expect(page.get_by_test_id("page")).to_have_attribute("data-state", "empty")


# Tricks with what stands in an address.

TRICKS: Final = {
    "NUL": "a%00b",
    "line break": "%0d%0aX-Evil:%201%0d%0a%0d%0a",
    "up": "..%2f..%2f..%2fetc%2fpasswd",
    "up, backwards": "..%5c..%5c..%5cetc%5cpasswd",
    "up, twice encoded": "%252e%252e%252fetc",
    "dots": "..",
    "slash": "%2f",
    "two slashes": "%2f%2fevil.example%2f",
    "not UTF-8": "%ff%fe",
    "half a pair": "%ed%a0%80",
    "percent": "%",
    "turned": "%e2%80%ae",
    "long": "x" * 6000,
    "quote": "'%20OR%20'1'='1",
    "pattern": "%25%5f",
    "digits of another script": "%d9%a1%d9%a2%d9%a3%d9%a4%d9%a5%d9%a6",
}
IDS: Final = (
    "/check-status/payment/transaction/{}",
    "/check-status/payment/transactionId/{}",
    "/cards/{}",
    "/terminals/{}",
    "/payform/{}",
    "/payform/outcome/{}",
    "/payform/static/{}",
    "/payform/reasons/{}.json",
    "/payform/payment-api.js?client_id={}",
    "/acs/{}",
    "/redirect/invoice-link/{}",
    "/schemas/{}.json",
    "/schemas/samples/{}.json",
    "/docs/static/{}",
    "/demo/static/{}",
    "/demo/orders/{}",
    "/demo/orders/{}/thanks",
    "/cabinet/static/{}",
    "/cabinet/{}/",
    "/cabinet/{}/invoices/{}",
    CONTROL + "/merchants/{}",
    CONTROL + "/merchants/{}/events",
    CONTROL + "/merchants/test/transactions/{}",
    CONTROL + "/merchants/test/postlinks/{}",
    CONTROL + "/merchants/test/invoices/{}",
    CONTROL + "/merchants/test/invoices?q={}&limit=1",
    CONTROL + "/merchants/test/invoices?ids={}",
    CONTROL + "/qr?text=http://a/{}",
)


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS.keys())
def test_a_trick_in_an_id_finds_nothing_and_breaks_nothing(shop: Shop, trick: str) -> None:
    headers = {"Authorization": f"Bearer {shop.status_token()}"}
    for address in IDS:
        answer = shop.http.get(address.replace("{}", trick), headers=headers)
        assert answer.status_code < 500, address
        assert "root:" not in answer.text
        assert "x-evil" not in answer.headers
        assert "location" not in answer.headers or urlsplit(answer.headers["location"]).netloc in {
            "",
            shop.http.base_url.netloc.decode(),
        }


BREAKS: Final = "x\r\nX-Evil: 1\r\n\r\n<script>evil()</script>"


def test_line_breaks_in_words_do_not_reach_a_header(shop: Shop) -> None:
    words: dict[str, Any] = {"description": BREAKS[:40], "data": BREAKS, "accountId": BREAKS, "paymentType": BREAKS}
    page = shop.open(**words)
    assert page.status_code == 200
    hints = page.headers["x-mock-epay-hints"]
    assert hints.isascii()
    assert "X-Evil" in hints  # the hint repeats the value, on one line
    asked = shop.http.post(
        f"/oauth2/token?lang={quote(BREAKS)}", json=shop.request(invoiceID="000000002", scope=f"payment {BREAKS}")
    )
    named = shop.http.get(f"/cabinet/{quote(BREAKS)}/")
    outcome = shop.http.get(f"/payform/?params=N4&lang={quote(BREAKS)}")
    for answer in (page, asked, named, outcome):
        assert "x-evil" not in answer.headers


@pytest.mark.parametrize("name", ["client_id", "terminal"])
def test_a_line_break_at_the_end_of_a_name_breaks_its_rule_too(http: httpx.Client, name: str) -> None:
    answer = http.post(f"{CONTROL}/merchants", json={name: "67e34d63-102f-4bd1-898e-370781d0074e\n"})
    assert (answer.status_code, answer.json()["field"]) == (400, name)


@pytest.mark.parametrize("name", ["client_secret", "password", "email", "name", "seed"])
def test_half_of_a_surrogate_pair_makes_no_merchant_that_stops_the_others(http: httpx.Client, name: str) -> None:
    kind = {"Content-Type": "application/json"}
    answer = http.post(f"{CONTROL}/merchants", content=json.dumps({name: "a\ud800"}), headers=kind)
    assert (answer.status_code, answer.json()["field"]) == (400, "body")
    stranger = http.post(f"{CONTROL}/session", json={"email": "nobody@example.kz", "password": "x"})
    assert stranger.status_code == 401


@pytest.mark.parametrize("origin", ["http://[", "null", "http://evil.example", "evil", "//", "http://[::1]:x"])
def test_the_demo_shop_takes_no_order_from_an_origin_that_is_not_its_own(http: httpx.Client, origin: str) -> None:
    assert http.post("/demo/orders", json={"product": "tea"}, headers={"Origin": origin}).status_code == 403
