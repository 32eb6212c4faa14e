"""Firefox and WebKit as Debian has them, both as a driver of Selenium's."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from selenium.webdriver.common.options import ArgOptions
from selenium.webdriver.remote.client_config import ClientConfig
from selenium.webdriver.remote.command import Command
from selenium.webdriver.remote.remote_connection import RemoteConnection
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.webkitgtk.options import Options
from selenium.webdriver.webkitgtk.service import Service
from support import PATIENCE_S, eventually

FIREFOX: Final = "firefox-esr"
WEBKIT_DRIVER: Final = "/usr/bin/WebKitWebDriver"
MINI_BROWSERS: Final = "lib/*/webkit2gtk-4.*/MiniBrowser"
WIDTH, HEIGHT = 1100, 900

PREFERENCES: Final = {
    "marionette.port": 0,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "ui.caretBlinkTime": 0,
}

# What Selenium calls a command, and what Firefox does: the way geckodriver goes.
MARIONETTE: Final = {
    Command.NEW_SESSION: "WebDriver:NewSession",
    Command.QUIT: "WebDriver:DeleteSession",
    Command.GET: "WebDriver:Navigate",
    Command.GO_BACK: "WebDriver:Back",
    Command.GO_FORWARD: "WebDriver:Forward",
    Command.REFRESH: "WebDriver:Refresh",
    Command.GET_CURRENT_URL: "WebDriver:GetCurrentURL",
    Command.FIND_ELEMENT: "WebDriver:FindElement",
    Command.FIND_ELEMENTS: "WebDriver:FindElements",
    Command.CLEAR_ELEMENT: "WebDriver:ElementClear",
    Command.CLICK_ELEMENT: "WebDriver:ElementClick",
    Command.SEND_KEYS_TO_ELEMENT: "WebDriver:ElementSendKeys",
    Command.GET_ELEMENT_TEXT: "WebDriver:GetElementText",
    Command.GET_ELEMENT_ATTRIBUTE: "WebDriver:GetElementAttribute",
    Command.GET_ELEMENT_PROPERTY: "WebDriver:GetElementProperty",
    Command.W3C_GET_ACTIVE_ELEMENT: "WebDriver:GetActiveElement",
    Command.W3C_EXECUTE_SCRIPT: "WebDriver:ExecuteScript",
    Command.W3C_EXECUTE_SCRIPT_ASYNC: "WebDriver:ExecuteAsyncScript",
    Command.W3C_ACTIONS: "WebDriver:PerformActions",
    Command.SWITCH_TO_FRAME: "WebDriver:SwitchToFrame",
    Command.SET_WINDOW_RECT: "WebDriver:SetWindowRect",
    Command.SCREENSHOT: "WebDriver:TakeScreenshot",
}


class Engine(Protocol):
    """A browser that can be started in a folder of its own."""

    def __call__(
        self, folder: Path, *, dark: bool = False, scripts: bool = True
    ) -> AbstractContextManager[WebDriver]: ...


class Marionette(RemoteConnection):
    """The protocol that is built into Firefox: numbered JSON, each text behind its length, over one connection."""

    def __init__(self, port: int) -> None:
        super().__init__(client_config=ClientConfig(f"http://127.0.0.1:{port}"))
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S * 3)
        self._stream = self._socket.makefile("rb")
        self._sent = 0
        self._receive()  # it introduces itself

    def execute(self, command: str, params: dict[str, Any]) -> dict[str, Any]:
        """Ask for a command of Selenium's and return the answer as Selenium expects it of a driver."""
        error, result = self.ask(MARIONETTE[command], _as_firefox_has_it(command, params))
        if error:
            return {"status": 500, "value": json.dumps({"value": error})}
        return {"value": result["value"] if isinstance(result, dict) and set(result) == {"value"} else result}

    def ask(self, command: str, params: dict[str, Any]) -> tuple[Any, Any]:
        """Send one command of Firefox's own and return its error, if any, and its result."""
        self._sent += 1
        text = json.dumps([0, self._sent, command, params]).encode()
        self._socket.sendall(b"%d:%b" % (len(text), text))
        _, number, error, result = self._receive()
        assert number == self._sent
        return error, result

    def close(self) -> None:
        """Hang up."""
        self._stream.close()
        self._socket.close()

    def _receive(self) -> Any:
        length = b""
        while (sign := self._stream.read(1)) != b":":
            assert sign, "Firefox has hung up"
            length += sign
        return json.loads(self._stream.read(int(length)))


def _as_firefox_has_it(command: str, params: dict[str, Any]) -> dict[str, Any]:
    if command == Command.SWITCH_TO_FRAME and isinstance(params["id"], dict):
        (element,) = params["id"].values()
        return {"element": element}
    if command == Command.SCREENSHOT:
        return {"full": False}
    return params


@contextmanager
def firefox(folder: Path, *, dark: bool = False, scripts: bool = True) -> Iterator[WebDriver]:
    """Run Firefox without a screen."""
    looks = {"layout.css.prefers-color-scheme.content-override": 0 if dark else 1, "javascript.enabled": scripts}
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in (PREFERENCES | looks).items()]
    (folder / "user.js").write_text("\n".join(lines))
    flags = ["--headless", "--marionette", "--remote-allow-system-access", "--no-remote", "--profile", str(folder)]
    with (folder / "firefox.log").open("w") as log:
        running = subprocess.Popen([FIREFOX, *flags], stdout=log, stderr=log)
    try:
        place = folder / "MarionetteActivePort"
        eventually(lambda: place.exists() and bool(place.read_text()), PATIENCE_S * 3)
        with closing(Marionette(int(place.read_text()))) as line:
            driver = WebDriver(line, options=_Any())
            driver.set_window_rect(0, 0, WIDTH, HEIGHT)
            yield driver
            line.ask("Marionette:Quit", {"flags": ["eForceQuit"]})
            running.wait(PATIENCE_S)
    finally:
        running.kill()
        running.wait()


class _Any(ArgOptions):
    """Firefox takes what it is started with."""

    @property
    def default_capabilities(self) -> dict[str, str]:
        return {}

    def to_capabilities(self) -> dict[str, str]:
        return {}


@contextmanager
def webkit(folder: Path, *, dark: bool = False, scripts: bool = True) -> Iterator[WebDriver]:
    """Run WebKitGTK's small browser on a screen of its own."""
    options = Options()
    options.binary_location = str(next(Path("/usr").glob(MINI_BROWSERS)))
    options.add_argument("--automation")
    options.add_argument(f"--enable-javascript={str(scripts).upper()}")
    with _screen(folder) as display:
        home = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "NO_AT_BRIDGE": "1"}
        env = os.environ | home | {"DISPLAY": display, "GTK_THEME": "Adwaita:dark" if dark else "Adwaita"}
        service = Service(WEBKIT_DRIVER, env=env, log_output=str(folder / "webkit.log"))
        service.start()
        try:
            line = RemoteConnection(client_config=ClientConfig(service.service_url))
            driver = WebDriver(line, options=options)
            driver.set_window_rect(0, 0, WIDTH, HEIGHT)
            yield driver
            driver.quit()
        finally:
            service.stop()


@contextmanager
def _screen(folder: Path) -> Iterator[str]:
    """Run a screen that nobody sees, and return its name once it is there."""
    reads, writes = os.pipe()
    size = f"{WIDTH}x{HEIGHT}x24"
    flags = ["-displayfd", str(writes), "-screen", "0", size, "-nolisten", "tcp"]
    with (folder / "screen.log").open("w") as log:
        running = subprocess.Popen(["Xvfb", *flags], pass_fds=[writes], stderr=log)
    os.close(writes)
    with os.fdopen(reads) as told:
        try:
            yield f":{told.readline().strip()}"
        finally:
            running.terminate()
            running.wait(PATIENCE_S)


ENGINES: Final[dict[str, Engine]] = {"firefox": firefox, "webkit": webkit}
