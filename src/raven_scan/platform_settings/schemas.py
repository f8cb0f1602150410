"""Settings that are changed while the server runs, over REST."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from raven_scan.platform_settings.types import PlatformSettingName, SettingSource


class PlatformSettingOut(BaseModel):
    """A setting as it counts; `value`: null where nobody said.

    `source`: `platform` where it was set while the server ran, else `environment`, or `default` where nobody set it.
    `variable`, `variable_value`: what counts where nothing is set on the platform.
    """

    model_config = ConfigDict(from_attributes=True)

    name: PlatformSettingName
    value: str | None
    source: SettingSource
    variable: str
    variable_value: str | None
    revision: int
    changed_by: str | None
    changed_at: datetime | None


class PlatformSettingEdit(BaseModel):
    model_config = ConfigDict(extra="forbid")

    value: Annotated[
        str | None, Field(description="null unsets it, so that the environment variable counts again.")
    ]
