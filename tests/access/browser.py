"""A browser of sorts: it follows redirects, keeps cookies, and fills in forms."""

from html.parser import HTMLParser
from typing import Any

import httpx


class Form(HTMLParser):
    """The last form of a page with a POST: its address, hidden fields, and the buttons that send it."""

    def __init__(self, page: httpx.Response) -> None:
        super().__init__()
        self.address = str(page.url)
        self.fields: dict[str, str] = {}
        self.buttons: list[tuple[str, str]] = []
        self.feed(page.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and given.get("action"):
            self.address = str(httpx.URL(self.address).join(given["action"]))
        if tag == "input" and given.get("type") == "hidden":
            self.fields[given.get("name", "")] = given.get("value", "")
        if tag == "button" and given.get("name"):
            self.buttons.append((given["name"], given.get("value", "")))


def send_form(browser: httpx.Client, page: httpx.Response, button: str = "", **fields: str) -> httpx.Response:
    """Fills in the form, and presses the button of that value, or the first."""
    form = Form(page)
    pressed: dict[str, Any] = {}
    for name, value in form.buttons:
        if value == button:
            pressed = {name: value}
    return browser.post(form.address, data={**form.fields, **pressed, **fields})
