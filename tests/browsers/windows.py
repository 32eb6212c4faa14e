"""What a customer does in a window of either browser, with every wait bounded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from browsing import PICTURES, WIDGET
from selenium.common.exceptions import (
    NoSuchElementException,
    NoSuchFrameException,
    NoSuchWindowException,
    StaleElementReferenceException,
)
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait
from support import APPROVES, PATIENCE_S

# What is said of a page that is just being left.
PASSING: Final = (NoSuchElementException, NoSuchFrameException, StaleElementReferenceException)

PAINTED: Final = "const [done] = arguments; requestAnimationFrame(() => requestAnimationFrame(() => done()))"


@dataclass(frozen=True, slots=True)
class Window:
    """A window of one engine; elements go by their `data-testid`."""

    engine: str
    driver: WebDriver
    scripts: bool = True

    def go(self, address: str) -> None:
        """Open an address as if it had been typed."""
        self.driver.get(address)

    def until(self, holds: Callable[[], Any], what: str) -> None:
        """Wait until something holds; what it was about is told if it never does."""
        wait = WebDriverWait(self.driver, PATIENCE_S, poll_frequency=0.02, ignored_exceptions=PASSING)
        wait.until(lambda _: holds(), f"{self.engine}: {what}, at {self.driver.current_url}")

    def find(self, test_id: str) -> WebElement:
        """Wait for an element and return it."""
        selector = f'[data-testid="{test_id}"]'
        self.until(lambda: self.driver.find_elements(By.CSS_SELECTOR, selector), f"no {test_id}")
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def count(self, selector: str) -> int:
        """Return how many elements there are now."""
        return len(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def click(self, test_id: str) -> None:
        """Click an element."""
        self.find(test_id).click()

    def type(self, test_id: str, text: str) -> None:
        """Press the keys of a text in a field that may hold one; a frame has no focus in WebKit until it is clicked."""
        field = self.find(test_id)
        field.click()
        if field.get_property("value"):
            field.clear()
        field.send_keys(text)

    def press(self, *keys: str, held: str = "") -> None:
        """Press keys one after the other, wherever the focus is, perhaps with another one held down."""
        actions = ActionChains(self.driver)
        if held:
            actions.key_down(held)
        actions.send_keys(*keys)
        if held:
            actions.key_up(held)
        actions.perform()

    def escape(self) -> None:
        """Press Escape; a frame that it closes is gone before the key is let go, which Firefox complains of."""
        with suppress(NoSuchWindowException):
            self.press(Keys.ESCAPE)

    def pay(self, card: dict[str, str] = APPROVES) -> None:
        """Type a card and send the form."""
        for name, text in card.items():
            self.type(name, text)
        self.click("pay")

    def text(self, test_id: str) -> str:
        """Return the text of an element as it is shown."""
        return self.find(test_id).text

    def value(self, test_id: str) -> Any:
        """Return what a field holds."""
        return self.find(test_id).get_property("value")

    def reads(self, test_id: str, text: str) -> None:
        """Wait for an element with this text."""
        self.until(lambda: self.find(test_id).text == text, f"{test_id} is not {text!r}")

    def sees(self, state: str, reason_code: int | str = "") -> None:
        """Wait for a page of the sandbox in this state."""
        expected = [state, str(reason_code)]
        names = ("data-state", "data-reason-code")
        self.until(lambda: [self.find("page").get_dom_attribute(name) for name in names] == expected, f"no {expected}")

    def arrives(self, address: str) -> None:
        """Wait for an address that is right to the last letter."""
        self.until(lambda: self.driver.current_url == address, f"never at {address}")

    def evaluate(self, expression: str) -> Any:
        """Return what an expression is worth in the page."""
        return self.driver.execute_script(f"return {expression}")

    def fits(self) -> None:
        """See to it that nothing has to be scrolled sideways."""
        root = "document.documentElement"
        assert self.evaluate(f"{root}.scrollWidth") == self.evaluate(f"{root}.clientWidth")

    def shoot(self, name: str) -> None:
        """Keep a picture of what is in view, once it is painted: WebKit gives the last picture that it has."""
        if self.scripts:
            self.driver.execute_async_script(PAINTED)
        PICTURES.mkdir(exist_ok=True)
        assert self.driver.save_screenshot(str(PICTURES / f"{self.engine}-{name}.png"))

    @contextmanager
    def widget(self) -> Iterator[None]:
        """Look into the widget's frame, once it is there."""
        selector = f"{WIDGET} iframe"
        self.until(lambda: self.count(selector), "no widget")
        self.driver.switch_to.frame(self.driver.find_element(By.CSS_SELECTOR, selector))
        yield
        self.driver.switch_to.default_content()
