"""A page in a real browser: another client that shares no code with ours."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from tests.interop.browser import Browser
from tests.serving import ChatServer, eventually

PAGE = Path(__file__).with_name("echo.html")


def test_a_web_page_connects_and_receives_its_echo(server: ChatServer, browser: Browser) -> None:
    before = server.burden()
    browser.open(f"{PAGE.as_uri()}?{quote(server.url + '/echo')}")
    browser.evaluate("window.done")
    assert browser.evaluate("document.getElementById('answer').textContent") == "hello"
    assert browser.evaluate("document.getElementById('state').textContent") == "closed"
    eventually(lambda: server.burden() == before, "the server releases the page")


def test_the_numbers_of_a_page_end_with_its_browser(server: ChatServer, browser: Browser) -> None:
    before = server.burden()
    number = browser.evaluate(
        f"new Promise((resolve) => {{"
        f"  window.socket = new WebSocket('{server.url}/counter');"
        f"  socket.onmessage = ({{ data }}) => resolve(data);"
        f"}})"
    )
    assert number == "0"
    assert server.burden() != before
    browser.kill()
    eventually(lambda: server.burden() == before, "the server releases the page")


def test_a_page_of_another_origin_is_refused(server: ChatServer, browser: Browser) -> None:
    outcome = browser.evaluate(
        f"new Promise((resolve) => {{"
        f"  const socket = new WebSocket('{server.url}/');"
        f"  socket.onopen = () => resolve('open');"
        f"  socket.onerror = () => resolve('refused');"
        f"}})"
    )
    assert outcome == "refused"
