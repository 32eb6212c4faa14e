"""The manifest for Kubernetes says what the sandbox understands; there is no cluster here to try it in."""

from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from mock_epay import settings
from mock_epay.server import running
from mock_epay.settings import Settings
from mock_epay.store.homes import store_at
from mock_epay.store.sql import SqlStore

MANIFEST: Final = Path(__file__).parent.parent / "docker" / "kubernetes.yaml"


@pytest.fixture(scope="module")
def kinds() -> dict[str, Any]:
    """Return the documents of the manifest by their kind."""
    return {document["kind"]: document for document in yaml.safe_load_all(MANIFEST.read_text("utf-8"))}


@pytest.fixture(scope="module")
def container(kinds: dict[str, Any]) -> Any:
    (one,) = kinds["Deployment"]["spec"]["template"]["spec"]["containers"]
    return one


def test_two_replicas_share_a_postgresql(kinds: dict[str, Any], container: Any) -> None:
    assert kinds["Deployment"]["spec"]["replicas"] == 2
    secret = kinds["Secret"]
    assert [source["secretRef"]["name"] for source in container["envFrom"]] == [secret["metadata"]["name"]]
    url = secret["stringData"]["MOCK_EPAY_STORE"]
    assert url.startswith("postgresql://")
    assert isinstance(store_at(url), SqlStore)


def test_its_variables_are_settings(kinds: dict[str, Any], container: Any) -> None:
    environment = kinds["Secret"]["stringData"] | {one["name"]: one["value"] for one in container["env"]}
    assert list(settings.unknown_variables(environment)) == []
    assert all(isinstance(text, str) for text in environment.values())
    (port,) = container["ports"]
    assert str(port["containerPort"]) == environment["MOCK_EPAY_PORT"]
    assert environment["MOCK_EPAY_HOST"] == "0.0.0.0"


def test_the_service_leads_to_the_pods(kinds: dict[str, Any], container: Any) -> None:
    labels = kinds["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert kinds["Service"]["spec"]["selector"] == labels == kinds["Deployment"]["spec"]["selector"]["matchLabels"]
    (port,) = kinds["Service"]["spec"]["ports"]
    assert port["targetPort"] in {one["name"] for one in container["ports"]}


def test_its_probes_are_answered_without_a_token_and_by_address(container: Any) -> None:
    ports = {one["name"] for one in container["ports"]}
    probes = [container[name] for name in ("startupProbe", "readinessProbe")]
    with running(Settings(port=0, control_token="hush")) as sandbox:
        for probe in probes:
            asked = probe["httpGet"]
            answer = httpx.get(sandbox.url + asked["path"], headers={"Host": "10.0.0.5:8080"})
            assert answer.is_success, answer.text
            assert asked["port"] in ports
    assert container["livenessProbe"]["tcpSocket"]["port"] in ports
