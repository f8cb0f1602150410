"""The parts of one's own account, each with an address."""

from nicegui import ui

from raven_scan.access.types import Claim
from raven_scan.web.marks import list_places
from raven_scan.web.viewer import Viewer


def list_account_places(viewer: Viewer) -> list[tuple[str, str]]:
    """Addresses and names."""
    t = viewer.texts
    places = [("/account", t("Your account")), ("/account/tokens", t("API tokens"))]
    if viewer.may(Claim.TRAINING_RUN_VIEW):
        places.append(("/account/subscriptions", t("Subscriptions")))
    return places


def show_account_places(viewer: Viewer, here: str) -> None:
    ui.html(list_places(list_account_places(viewer), here, viewer.texts("Your account")), sanitize=False)
