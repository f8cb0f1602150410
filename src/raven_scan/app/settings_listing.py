"""The use case of seeing how a server is set up."""

from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr
from pydantic_core import to_jsonable_python

from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.masking import MASK, TextMask
from raven_scan.kernel.settings import Settings


@dataclass(frozen=True, slots=True)
class SettingView:
    """A setting. `value`: JSON-able, without secrets. `is_default`: nobody has set it."""

    name: str
    value: Any
    is_default: bool
    description: str


class SettingsListing:
    """Settings are changed where the server is started, and nowhere else."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._mask = TextMask(settings.list_secrets())

    def list_settings(self, actor: Actor) -> list[SettingView]:
        """All of them, in the order of docs/settings.md.

        Args:
            actor: needs `settings:view`.
        """
        actor.require(Claim.SETTINGS_VIEW)
        return [
            SettingView(
                name=f"RAVEN_{name.upper()}",
                value=self._show(getattr(self._settings, name)),
                is_default=name not in self._settings.model_fields_set,
                description=field.description or "",
            )
            for name, field in Settings.model_fields.items()
        ]

    def _show(self, value: Any) -> Any:
        if isinstance(value, SecretStr):
            return MASK
        if isinstance(value, tuple):
            return [self._show(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
        plain = to_jsonable_python(value)
        # Addresses may have a password in them.
        return self._mask(plain) if isinstance(plain, str) else plain
