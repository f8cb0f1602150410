"""HTML that changes while it is read."""

from nicegui import ui


class LivingHtml(ui.html, component="static/living_html.js"):
    """What is the same in new content stays: a link has the keyboard's focus still, a button that is pressed its press.

    Args:
        content: at first. What users wrote is escaped in it.
    """

    def __init__(self, content: str = "") -> None:
        super().__init__(content, sanitize=False)
