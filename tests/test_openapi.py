"""The OpenAPI document: whole, valid, and of the routes there are; and the page that shows it."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urljoin

import httpx
import pytest
import schemathesis
from browsing import Customer, shoot
from jsonschema import Draft202012Validator
from playwright.sync_api import Locator, Page, expect
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from starlette.routing import Mount, Route
from support import Shop

from mock_epay import __version__, resources
from mock_epay.bank import Bank
from mock_epay.model import EVENTS
from mock_epay.settings import Settings
from mock_epay.store.memory import MemoryStore
from mock_epay.web import create_app

DOCUMENT: Final[dict[str, Any]] = json.loads(resources.OPENAPI.read_text("utf-8"))
METHODS: Final = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
SOURCES: Final = {"documented", "observed", "assumed", "sandbox"}
HERE: Final = "http://document/"

# Routes that are not in the document, and why.
UNDOCUMENTED: Final = {
    "/": "a page of the cabinet",
    "/payform/reasons/{language}.json": "what the pay page's tools load",
    "/ca.pem": "the certificate of the sandbox's authority",
    "/demo": "the demo shop, an outsider",
    "/demo/orders": "the demo shop, an outsider",
    "/demo/orders/{number}": "the demo shop, an outsider",
    "/demo/orders/{number}/failed": "the demo shop, an outsider",
    "/demo/orders/{number}/thanks": "the demo shop, an outsider",
    "/demo/postlink": "the demo shop, an outsider",
    "/docs/swagger-ui.css": "a file of a page",
    "/docs/swagger-ui-bundle.js": "a file of a page",
    "/acs/static": "files of a page",
    "/demo/static": "files of a page",
    "/docs/static": "files of a page",
    "/payform/static": "files of a page",
    "/payform": "the same as /payform/, which says so",
}


def _operations(kind: str = "paths") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Return the operations there are: address, method and what is said of them."""
    for address, item in DOCUMENT[kind].items():
        for method in METHODS & item.keys():
            yield address, method, item[method]


def _addresses(path: str) -> list[str]:
    """Return the addresses of a path, one for each of its servers."""
    servers = DOCUMENT["paths"][path].get("servers", DOCUMENT["servers"])
    return [server["url"].rstrip("/") + path for server in servers]


def _parts(part: Any, way: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the objects in the document, however deep, and the JSON pointers to them."""
    if isinstance(part, dict):
        yield way, part
        for name, inner in part.items():
            yield from _parts(inner, f"{way}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(part, list):
        for number, inner in enumerate(part):
            yield from _parts(inner, f"{way}/{number}")


def _references(part: Any) -> set[str]:
    return {inner["$ref"] for _, inner in _parts(part) if "$ref" in inner}


def _inside(references: set[str]) -> set[str]:
    """Return the references that lead into the document itself."""
    return {name for name in references if name.startswith("#")}


def _followed(names: set[str]) -> set[str]:
    """Return the names of schemas, and those that they refer to, however far."""
    further = {name for one in names for name in _references(resources.schema(one.removesuffix(".json")))} - names
    return _followed(names | further) if further else names


REFERENCES: Final = _references(DOCUMENT)


def test_the_document_is_valid_openapi() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"]["version"] == __version__
    schemathesis.openapi.from_path(resources.OPENAPI).validate()


def test_each_operation_says_what_it_is_and_where_we_know_it_from() -> None:
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    found = list(_operations())
    assert {tag for *_, operation in found for tag in operation["tags"]} == tags
    for address, method, operation in [*found, *_operations("webhooks")]:
        where = f"{method} {address}"
        assert operation["summary"], where
        assert operation["description"], where
        assert operation["x-source"] in SOURCES, where
        assert "security" in operation, where
        for parameter in operation.get("parameters", []):
            assert parameter["description"], where
    ids = [operation["operationId"] for *_, operation in [*found, *_operations("webhooks")]]
    assert len(ids) == len(set(ids))


def test_each_part_of_a_path_is_a_parameter() -> None:
    for path, item in DOCUMENT["paths"].items():
        named = [one["name"] for one in item.get("parameters", []) if one["in"] == "path"]
        assert named == re.findall(r"\{(\w+)\}", path), path


def test_each_answer_that_refuses_is_an_error_or_a_page() -> None:
    for address, method, operation in _operations():
        assert {"500"} <= operation["responses"].keys(), (address, method)
        for status, answer in operation["responses"].items():
            if status < "400":
                continue
            name = answer.get("$ref", "").rpartition("/")[2]
            content = (DOCUMENT["components"]["responses"][name] if name else answer)["content"]
            for kind, shown in content.items():
                wanted = {"application/json": "error.json", "text/html": "#/components/schemas/Page"}[kind]
                assert shown["schema"] == {"$ref": wanted}, (address, method, status)


def test_each_reference_leads_somewhere_and_each_schema_is_needed() -> None:
    files = REFERENCES - _inside(REFERENCES)
    assert _followed(files) == {f"{name}.json" for name in resources.schema_names()}
    components = {
        f"#/components/{kind}/{name}"
        for kind, named in DOCUMENT["components"].items()
        for name in named
        if kind != "securitySchemes"
    }
    assert REFERENCES - files == components
    schemes = {name for *_, operation in _operations() for one in operation["security"] for name in one}
    assert schemes == DOCUMENT["components"]["securitySchemes"].keys()


def test_the_control_api_asks_everybody_for_the_control_token_and_is_the_sandbox_s_own() -> None:
    for address, method, operation in _operations():
        ours = address.startswith("/_control/")
        assert operation["tags"][0].startswith("Control: ") is ours, (address, method)
        if ours and address not in {"/_control/health", "/_control/session"}:
            assert operation["security"] == [{}, {"control": []}], (address, method)
            assert operation["x-source"] == "sandbox", (address, method)
            refusals = {status: operation["responses"][status] for status in ("401", "403")}
            assert refusals == {
                "401": {"$ref": "#/components/responses/NoControlToken"},
                "403": {"$ref": "#/components/responses/ForeignVisitor"},
            }


def test_the_document_knows_each_kind_of_event() -> None:
    assert DOCUMENT["components"]["schemas"]["EventKind"]["enum"] == list(EVENTS)


def _examples() -> Iterator[tuple[str, Any]]:
    """Return the examples there are, each with the pointer to the schema beside it."""
    for way, part in _parts(DOCUMENT):
        if "schema" in part:
            shown = [one["value"] for one in part.get("examples", {}).values()]
            yield from (
                (f"{way}/schema", value) for value in [*shown, *([part["example"]] if "example" in part else [])]
            )


def test_the_examples_are_what_the_schemas_say() -> None:
    files = {f"{name}.json": resources.schema(name) for name in resources.schema_names()} | {"openapi.json": DOCUMENT}
    registry: Registry[Any] = Registry().with_contents(
        [(HERE + name, contents) for name, contents in files.items()], default_specification=DRAFT202012
    )
    examples = list(_examples())
    assert len(examples) > 50
    for way, value in examples:
        Draft202012Validator({"$ref": f"{HERE}openapi.json#{way}"}, registry=registry).validate(value)


def test_every_json_answer_that_succeeds_has_an_example() -> None:
    for address, method, operation in _operations():
        for answer in operation["responses"].values():
            for shown in answer.get("content", {}).values():
                assert {"example", "examples"} & shown.keys(), (address, method)


# The routes.


def test_the_document_has_every_route_and_no_other() -> None:
    routes = create_app(Bank(MemoryStore(), Settings())).routes
    assert all(isinstance(route, Route | Mount) for route in routes)
    found = [route.path.replace(":uuid}", "}") for route in routes if isinstance(route, Route | Mount)]
    services = {path for path in found if not path.startswith("/cabinet")}  # all of that are pages
    documented = {address for path in DOCUMENT["paths"] for address in _addresses(path)}
    assert services == documented | UNDOCUMENTED.keys()
    assert documented.isdisjoint(UNDOCUMENTED)


@pytest.mark.parametrize("path", DOCUMENT["paths"])
def test_an_address_takes_the_documented_methods_and_no_other(http: httpx.Client, path: str) -> None:
    methods = {method.upper() for method in METHODS & DOCUMENT["paths"][path].keys()}
    other = next(method for method in ("PATCH", "PUT") if method not in methods)
    for address in _addresses(path):
        response = http.request(other, re.sub(r"\{\w+\}", "8f7c1f2e-6a40-4d0c-9d0e-0f0a3f5b7c11", address))
        assert response.status_code == 405
        allowed = set(response.headers["Allow"].split(", "))
        assert allowed == methods | ({"HEAD"} if "GET" in methods else set())


def test_a_route_without_its_slash_is_the_same() -> None:
    routes = create_app(Bank(MemoryStore(), Settings())).routes
    named = {route.path: route for route in routes if isinstance(route, Route)}
    assert named["/payform"].methods == named["/payform/"].methods


# What is served.


def test_the_document_is_served_with_references_that_can_be_followed(http: httpx.Client) -> None:
    response = http.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    assert response.headers["access-control-allow-origin"] == "*"
    references = _references(response.json())
    addresses = references - _inside(references)
    assert {address.rpartition("/")[0] for address in addresses} == {"/schemas"}
    assert {address.rpartition("/")[2] for address in addresses} == REFERENCES - _inside(REFERENCES)
    for address in addresses:
        schema = http.get(address).json()
        assert schema["$id"] == address.rpartition("/")[2]
        for name in _references(schema):
            assert http.get(urljoin(address, name)).json()["$id"] == name
    assert json.loads(response.text.replace('"/schemas/', '"')) == json.loads(
        resources.OPENAPI.read_text("utf-8").replace('"/schemas/', '"')
    )


def test_the_page_loads_nothing_from_elsewhere(http: httpx.Client) -> None:
    page = http.get("/docs")
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    files = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    assert {"/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/docs/static/reference.js", "/"} <= set(files)
    for address in files:
        assert address.startswith("/")
        assert not address.startswith("//")
        assert http.get(address, follow_redirects=True).status_code == 200


# What a developer sees and does.


def _reference(customer: Customer, **options: Any) -> Page:
    page = customer.page(**options)
    page.goto(f"{customer.sandbox}/docs")
    expect(page.locator(".opblock")).to_have_count(len([*_operations(), *_operations("webhooks")]))
    return page


def _tried(page: Page, operation_id: str) -> Locator:
    """Open an operation for trying."""
    block = page.locator(f".opblock[id$='-{operation_id}']")
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    return block


def _answer(block: Locator) -> dict[str, Any]:
    """Send what is tried and return the answer."""
    block.get_by_role("button", name="Execute").click()
    live = block.locator(".live-responses-table .response")
    expect(live.locator(".response-col_status").first).to_contain_text("200")
    answer: dict[str, Any] = json.loads(live.locator(".highlight-code code").first.inner_text())
    return answer


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_developer_reads_which_services_there_are(customer: Customer, scheme: str) -> None:
    page = _reference(customer, color_scheme=scheme)
    expect(page.get_by_role("heading", name="mock-epay")).to_be_visible()
    for tag in DOCUMENT["tags"]:
        expect(page.locator(f"[data-tag='{tag['name']}']")).to_be_visible()
    shoot(page, f"docs-{scheme}")
    background = page.locator("body").evaluate("(body) => getComputedStyle(body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") is (scheme == "light")
    page.get_by_test_id("home").click()
    page.wait_for_url(f"{customer.sandbox}/**")
    expect(page).not_to_have_url(re.compile("/docs"))


def test_a_developer_tries_a_service_on_the_page(customer: Customer, shop: Shop) -> None:
    page = _reference(customer)
    block = _tried(page, "issueToken")
    asked = shop.request(invoiceID=None, amount=None, currency=None)
    block.locator("textarea").fill(json.dumps(asked))
    token = _answer(block)["access_token"]

    page.get_by_role("button", name="Authorize").first.click()
    dialog = page.locator(".dialog-ux")
    bearer = dialog.locator(".auth-container", has=page.locator("#auth-bearer-value")).filter(has_text="access_token")
    bearer.locator("#auth-bearer-value").fill(token)
    bearer.get_by_role("button", name="Apply credentials").click()
    dialog.get_by_role("button", name="Close").first.click()

    block = _tried(page, "getStatus")
    assert _answer(block)["resultCode"] == "102"
    shoot(page, "docs-tried")
