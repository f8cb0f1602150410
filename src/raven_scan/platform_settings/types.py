"""Settings that are changed while the server runs."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class PlatformSettingName(StrEnum):
    CONTACT = "contact"


class SettingSource(StrEnum):
    """Who said what a setting is: `platform`, an administrator while the server ran; `environment`, the variable that
    the server was started with; `default`, nobody.
    """

    PLATFORM = "platform"
    ENVIRONMENT = "environment"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class PlatformSettingView:
    """A setting as it counts.

    Attributes:
        value: what counts; None where nobody said.
        variable: the environment variable that counts where nothing was set on the platform.
        variable_value: what the server was started with; None where it was not set.
        revision: grows with every change; 0 where nobody has changed it.
        changed_by, changed_at: of the last change on the platform, unsetting included.
    """

    name: PlatformSettingName
    value: str | None
    source: SettingSource
    variable: str
    variable_value: str | None
    revision: int
    changed_by: str | None
    changed_at: datetime | None
