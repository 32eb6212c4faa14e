"""What the README gives CI systems, carried out as they do, and what an image for another processor is built from."""

import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from image.containers import IMAGE, ROOT, call, engine, free_port, host_gateway

from mock_epay import ready
from mock_epay.client import EpayServer

PUBLISHED: Final = "registry.example/mock-epay"
PROCESSORS: Final = ("x86_64", "aarch64")
GLIBC: Final = (17, 28, 34)
JOB: Final = """
import os
from mock_epay import ready
from mock_epay.client import EpayServer

url = os.environ["MOCK_EPAY_URL"]
assert ready.carry_out(wait=True, timeout=20, url=url) == 0
with EpayServer(url, receiver_host="build") as server:
    merchant = server.new_merchant()
    shop = merchant.receiver()
    assert merchant.pay("000000001", post_link=shop.url).approved
    print(shop.wait(1)[0].body["code"])
"""


def _snippet(title: str) -> Any:
    (text,) = re.findall(rf"```yaml\n# {title}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return yaml.safe_load(text)


@pytest.fixture
def network() -> Iterator[str]:
    name = f"build-{os.getpid()}"
    engine("network", "create", name)
    yield name
    engine("network", "rm", "-f", name)


def test_a_workflow_of_github_finds_it_at_localhost() -> None:
    service = _snippet("GitHub Actions")["services"]["epay"]
    assert service["image"] == PUBLISHED
    (published,) = service["ports"]
    port = free_port()
    options = shlex.split(service["options"])
    # An old podman has to be told where the machine is.
    options = [word.replace("host-gateway", host_gateway().get("HOST_GATEWAY", "host-gateway")) for word in options]
    name = engine("run", "-d", "-p", f"{port}:{published.rpartition(':')[2]}", *options, IMAGE).split()[-1]
    with ExitStack() as stack:
        stack.callback(engine, "rm", "-f", name)
        assert ready.carry_out(wait=True, timeout=20, url=f"http://localhost:{port}") == 0
        server = stack.enter_context(EpayServer(f"http://localhost:{port}", receiver_host="host.docker.internal"))
        merchant = server.new_merchant()
        shop = merchant.receiver()
        post_link = shop.url.replace("host.docker.internal", "localhost")
        assert merchant.pay("000000001", post_link=post_link).approved
        assert shop.wait(1)[0].body["code"] == "ok"


def test_a_job_of_gitlab_meets_it_by_its_alias(network: str) -> None:
    job = _snippet("GitLab CI")["test"]
    (service,) = job["services"]
    assert service["name"] == PUBLISHED
    assert job["variables"]["FF_NETWORK_PER_BUILD"] == "true"
    name = engine("run", "-d", "--network", network, "--network-alias", service["alias"], IMAGE).split()[-1]
    with ExitStack() as stack:
        stack.callback(engine, "rm", "-f", name)
        variables = [word for pair in job["variables"].items() for word in ("-e", "=".join(pair))]
        here = ("--network", network, "--network-alias", "build", *variables)
        said = engine("run", "--rm", *here, "--entrypoint", "python3", IMAGE, "-c", JOB)
    assert said.split()[-1] == "ok"


@pytest.mark.parametrize("processor", PROCESSORS)
def test_all_that_goes_into_the_image_is_there_for_each_processor(processor: str, tmp_path: Path) -> None:
    platforms = [word for minor in GLIBC for word in ("--platform", f"manylinux_2_{minor}_{processor}")]
    for lock in ("requirements", "build"):
        call(
            *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps"),
            *("--require-hashes", "--only-binary", ":all:", *platforms, "--python-version", "3.13"),
            *("--target", str(tmp_path), "-r", f"docker/{lock}.lock"),
        )


def test_the_bake_file_builds_what_the_dockerfile_takes() -> None:
    bake = (ROOT / "docker/bake.hcl").read_text()
    assert re.findall(r'"linux/(\w+)"', bake) == ["amd64", "arm64"]
    (args,) = re.findall(r"args += \{ (\w+) = ", bake)
    assert f"ARG {args}=" in (ROOT / "docker/Dockerfile").read_text()
    assert "type=sbom" in bake
