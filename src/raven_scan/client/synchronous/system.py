# Made from asynchronous/system.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""The system, from outside."""

from raven_scan.client.answers import quote_ref
from raven_scan.client.synchronous.connection import Connection
from raven_scan.kernel.revisions import format_etag
from raven_scan.kernel.system_schemas import SettingPage, SystemOut
from raven_scan.platform_settings.schemas import PlatformSettingOut

_PATH = "/api/v1/system"
_SETTINGS_PATH = f"{_PATH}/settings"


class SystemClient:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def show(self) -> SystemOut:
        """Version, database, worker, and what is missing."""
        return SystemOut.model_validate(self._connection.get(_PATH))

    def list_settings(self) -> SettingPage:
        """How the server is set up; secrets stay there."""
        return SettingPage.model_validate(self._connection.get(_SETTINGS_PATH))

    def get_setting(self, name: str) -> PlatformSettingOut:
        """A setting that is changed while the server runs, such as `contact`."""
        return PlatformSettingOut.model_validate(self._connection.get(_make_path(name)))

    def set(self, name: str, value: str, *, revision: int | None = None) -> PlatformSettingOut:
        """Sets it from now on.

        Args:
            name: such as `contact`.
            value: that counts before the environment variable's.
            revision: that was read; where somebody has changed it since, it is refused.

        Raises:
            Invalid: it cannot have this value.
            NotFound: no such setting is changed while the server runs.
            Stale: it has another revision.
        """
        return self._change(name, value, revision)

    def unset(self, name: str, *, revision: int | None = None) -> PlatformSettingOut:
        """Has the environment variable count again; as `set` else."""
        return self._change(name, None, revision)

    def _change(self, name: str, value: str | None, revision: int | None) -> PlatformSettingOut:
        etag = None if revision is None else format_etag(revision)
        return PlatformSettingOut.model_validate(
            self._connection.patch(_make_path(name), {"value": value}, etag=etag)
        )


def _make_path(name: str) -> str:
    return f"{_SETTINGS_PATH}/{quote_ref(name)}"
