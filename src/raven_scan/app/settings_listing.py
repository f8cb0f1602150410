"""The use case of seeing how a server is set up."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr
from pydantic_core import to_jsonable_python

from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.masking import MASK, TextMask
from raven_scan.kernel.settings import Settings
from raven_scan.platform_settings.service import PlatformSettingService
from raven_scan.platform_settings.types import PlatformSettingName, PlatformSettingView, SettingSource


@dataclass(frozen=True, slots=True)
class SettingView:
    """A setting as it counts. `value`: JSON-able, without secrets. `is_default`: nobody has set it."""

    name: str
    value: Any
    source: SettingSource
    description: str

    @property
    def is_default(self) -> bool:
        return self.source is SettingSource.DEFAULT


class SettingsListing:
    """Settings are changed where the server is started; some while it runs."""

    def __init__(self, settings: Settings, platform_settings: PlatformSettingService) -> None:
        self._settings = settings
        self._platform_settings = platform_settings
        self._mask = TextMask(settings.list_secrets())

    def list_settings(self, actor: Actor) -> list[SettingView]:
        """All of them, in the order of docs/settings.md.

        Args:
            actor: needs `settings:view`.
        """
        actor.require(Claim.SETTINGS_VIEW)
        on_platform = [self._platform_settings.get_setting(actor, name) for name in PlatformSettingName]
        set_there = {each.variable: each for each in on_platform if each.source is SettingSource.PLATFORM}
        return [
            self._view(name, field.description or "", set_there)
            for name, field in Settings.model_fields.items()
        ]

    def _view(self, name: str, description: str, set_there: Mapping[str, PlatformSettingView]) -> SettingView:
        variable = f"RAVEN_{name.upper()}"
        found = set_there.get(variable)
        if found is not None:
            return SettingView(variable, found.value, found.source, description)
        is_set = name in self._settings.model_fields_set
        source = SettingSource.ENVIRONMENT if is_set else SettingSource.DEFAULT
        return SettingView(variable, self._show(getattr(self._settings, name)), source, description)

    def _show(self, value: Any) -> Any:
        if isinstance(value, SecretStr):
            return MASK
        if isinstance(value, tuple):
            return [self._show(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
        plain = to_jsonable_python(value)
        # Addresses may have a password in them.
        return self._mask(plain) if isinstance(plain, str) else plain
