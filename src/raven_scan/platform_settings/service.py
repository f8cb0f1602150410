"""The use cases of settings that are changed while the server runs."""

from raven_scan.access.audit import Target, record
from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.contacts import check_contact
from raven_scan.kernel.database import Database
from raven_scan.kernel.revisions import check_revision
from raven_scan.kernel.settings import Settings
from raven_scan.platform_settings import errors, repository
from raven_scan.platform_settings.contact import CurrentContact
from raven_scan.platform_settings.models import PlatformSetting
from raven_scan.platform_settings.types import PlatformSettingName, PlatformSettingView, SettingSource

_VARIABLE = "RAVEN_CONTACT"


class PlatformSettingService:
    """What an administrator sets counts; where they set nothing, the environment variable does.

    Args:
        database: where they are kept.
        settings: what the server was started with.
        clock: tells when something was changed.
        contact: told of changes.
    """

    def __init__(self, database: Database, settings: Settings, clock: Clock, contact: CurrentContact) -> None:
        self._database = database
        self._variable_value = settings.contact
        self._clock = clock
        self._contact = contact

    def get_setting(self, actor: Actor, name: str) -> PlatformSettingView:
        """Needs `settings:view`. Raises NotFound: no such setting is changed while the server runs."""
        actor.require(Claim.SETTINGS_VIEW)
        known = _find_name(name)
        with self._database.reading() as session:
            return self._make_view(known, repository.find_setting(session, known))

    def change(
        self, actor: Actor, name: str, value: str | None, *, expected: int | None = None
    ) -> PlatformSettingView:
        """Sets it or unsets it, from now on and on every server.

        Args:
            actor: needs `settings:view` and `settings:edit`.
            name: of the setting.
            value: None unsets it, so that the environment variable counts again.
            expected: the revision that the caller saw.

        Raises:
            Invalid: it cannot have this value.
            NotFound: no such setting is changed while the server runs.
            Stale: it was changed since.
        """
        actor.require(Claim.SETTINGS_VIEW)
        actor.require(Claim.SETTINGS_EDIT)
        known = _find_name(name)
        after = None if value is None else _read_contact(value)
        with self._database.transaction() as session:
            found = repository.hold_setting(session, known)
            current = self._make_view(known, found)
            check_revision("setting", f"The setting {known.value}", current.revision, expected)
            before = None if found is None else found.value
            if before == after:
                return current
            stored = repository.store_setting(
                session,
                {
                    "name": known.value,
                    "value": after,
                    "revision": current.revision + 1,
                    "changed_by": actor.name,
                    "changed_by_id": actor.id,
                    "changed_at": self._clock.now(),
                },
            )
            target = Target("setting", None, known.value)
            record(session, actor, "setting.changed", target, old=before, new=after)
            changed = self._make_view(known, stored)
        self._contact.find_changed()
        return changed

    def _make_view(self, name: PlatformSettingName, row: PlatformSetting | None) -> PlatformSettingView:
        value = self._variable_value if row is None or row.value is None else row.value
        source = SettingSource.DEFAULT if value is None else SettingSource.ENVIRONMENT
        return PlatformSettingView(
            name=name,
            value=value,
            source=source if row is None or row.value is None else SettingSource.PLATFORM,
            variable=_VARIABLE,
            variable_value=self._variable_value,
            revision=0 if row is None else row.revision,
            changed_by=None if row is None else row.changed_by,
            changed_at=None if row is None else row.changed_at,
        )


def _find_name(name: str) -> PlatformSettingName:
    try:
        return PlatformSettingName(name)
    except ValueError:
        raise errors.make_setting_not_found(name) from None


def _read_contact(text: str) -> str:
    plain = text.strip()
    try:
        check_contact(plain)
    except ValueError as error:
        raise errors.make_bad_contact(str(error)) from None
    return plain
