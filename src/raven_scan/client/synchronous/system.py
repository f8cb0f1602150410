# Made from asynchronous/system.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""The system, from outside."""

from raven_scan.client.synchronous.connection import Connection
from raven_scan.kernel.system_schemas import SettingPage, SystemOut

_PATH = "/api/v1/system"


class SystemClient:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def show(self) -> SystemOut:
        """Version, database, worker, and what is missing."""
        return SystemOut.model_validate(self._connection.get(_PATH))

    def list_settings(self) -> SettingPage:
        """How the server is set up; secrets stay there."""
        return SettingPage.model_validate(self._connection.get(f"{_PATH}/settings"))
