"""The page behind the link in mails that ends a subscription: it asks, and tells that it is done."""

from html import escape

from raven_scan.notifications.types import LinkedSubscription, SubscribedEnds, SubscribedRuns

PAGE_HEADERS = {
    # The address ends the subscription: it goes nowhere else, and is kept nowhere.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
}

_STYLE = (
    "body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 4rem auto; padding: 0 1rem; "
    "color-scheme: light dark } button { font: inherit; padding: 0.5rem 1rem }"
)
_ENDS = {
    SubscribedEnds.SUCCESS: "end in Success",
    SubscribedEnds.ERROR: "end in Error",
    SubscribedEnds.BOTH: "end",
}
_FORM = (
    '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
    "<button>Unsubscribe</button></form>"
)
_ENDED = "<p>Nothing more is sent by this subscription.</p>"


def write_question(found: LinkedSubscription | None) -> str:
    """The page that asks; `found`: what would be ended, None where it has ended already."""
    if found is None:
        return _write_page("Unsubscribed", _ENDED)
    return _write_page("Unsubscribe?", f"<p>{escape(_describe(found))}</p>{_FORM}")


def write_confirmation() -> str:
    return _write_page("Unsubscribed", _ENDED)


def _describe(found: LinkedSubscription) -> str:
    if found.runs is SubscribedRuns.ONE:
        runs, verb = f"the training run {found.run}", _ENDS[found.ends].replace("end", "ends", 1)
    else:
        whose = "all training runs" if found.runs is SubscribedRuns.ALL else "training runs of your own"
        runs, verb = whose, _ENDS[found.ends]
    to = "" if found.recipient is None else f" to {found.recipient}"
    return f"Messages{to} when {runs} {verb}."


def _write_page(title: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title} - Raven Scan</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>{title}</h1>{body}</body></html>\n"
    )
