"""Why something about settings of the platform is refused."""

from raven_scan.kernel.contacts import LONGEST_CONTACT
from raven_scan.kernel.errors import Invalid, NotFound
from raven_scan.platform_settings.types import PlatformSettingName

_SHOWN = 100


def make_setting_not_found(name: str) -> NotFound:
    known = ", ".join(PlatformSettingName)
    return NotFound(
        "setting.not_found",
        f"{name[:_SHOWN]!r} is no setting that is changed while the server runs.",
        hint=f"Such are: {known}. All others are environment variables of the server: `raven settings --all`.",
        parameters={"name": ascii(name[:_SHOWN]), "known": list(PlatformSettingName)},
    )


def make_bad_contact(problem: str) -> Invalid:
    return Invalid(
        "setting.bad_value",
        f"This cannot be the contact: it {problem}.",
        hint=f"Write 1 to {LONGEST_CONTACT} printable characters in one line, as 'it@example.org, ext. 42'.",
        parameters={"name": PlatformSettingName.CONTACT.value},
    )
