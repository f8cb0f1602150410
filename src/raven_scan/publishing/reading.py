"""What published names stand for."""

from uuid import UUID

from sqlalchemy.orm import Session

from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.database import Database
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.publishing import repository
from raven_scan.publishing.errors import make_nothing_in_use, make_withdrawn
from raven_scan.publishing.models import PublishedName, PublishedVersion
from raven_scan.publishing.references import read_name, read_name_for_anybody, read_version
from raven_scan.publishing.types import (
    HistoryEntry,
    PublishedModel,
    PublishedNameSummary,
    PublishedNameView,
    PublishedVersionView,
)

_MOST_VERSIONS = 100


class PublishedModels:
    """Published names, their versions and what became of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def resolve(self, actor: Actor, ref: str) -> PublishedModel:
        """The model that detection is to use.

        Args:
            actor: needs `detection:create` or `trained_model:view`.
            ref: NAME for the version in use, NAME@N for that one, whether it is in use or replaced.

        Raises:
            NotFound: nothing is published under that name, or there is no such version.
            Conflict: `published_model.withdrawn`.
        """
        if not actor.may(Claim.TRAINED_MODEL_VIEW):
            actor.require(Claim.DETECTION_CREATE)
        with self._database.reading() as session:
            name, asked = read_name_for_anybody(session, ref)
            number = asked or name.number or name.last_used_number or name.last_number
            version = read_version(session, name, number)
            if version.withdrawn_at is not None:
                full_name = name.name if asked is None else f"{name.name}@{number}"
                raise make_withdrawn(full_name, str(version.withdrawal_reason))
            return repository.make_published_model(name, version)

    def list_names(self, actor: Actor, page: PageRequest) -> Page[PublishedNameSummary]:
        """By name, or as `page.sort` says: name, changed_at. Needs `trained_model:view`."""
        actor.require(Claim.TRAINED_MODEL_VIEW)
        with self._database.reading() as session:
            return repository.list_names(session, page)

    def get_name(self, actor: Actor, ref: str) -> PublishedNameView:
        """A name with its version in use. Raises NotFound."""
        with self._database.reading() as session:
            name, _ = read_name(session, actor, ref)
            return repository.make_name_view(name, find_in_use_row(session, name))

    def get_version(self, actor: Actor, ref: str) -> PublishedVersionView:
        """A version by NAME@N; by NAME the one in use. Raises NotFound; Conflict where nothing is in use."""
        with self._database.reading() as session:
            name, asked = read_name(session, actor, ref)
            number = asked or name.number
            if number is None:
                raise make_nothing_in_use(name.name)
            return repository.make_version_view(name, read_version(session, name, number))

    def list_versions(self, actor: Actor, ref: str, page: PageRequest) -> Page[PublishedVersionView]:
        """Newest first. Raises NotFound."""
        with self._database.reading() as session:
            name, _ = read_name(session, actor, ref)
            return repository.list_versions(session, name, page)

    def list_versions_of_model(self, actor: Actor, model_id: UUID) -> list[PublishedVersionView]:
        """What a model is, or was, published as, newest first, a hundred at most. Needs `trained_model:view`."""
        actor.require(Claim.TRAINED_MODEL_VIEW)
        with self._database.reading() as session:
            return repository.list_versions_of_model(session, model_id, _MOST_VERSIONS)

    def list_history(self, actor: Actor, ref: str, page: PageRequest) -> Page[HistoryEntry]:
        """Newest first. Raises NotFound."""
        with self._database.reading() as session:
            name, _ = read_name(session, actor, ref)
            return repository.list_history(session, name, page)


def find_in_use(session: Session, name: PublishedName) -> PublishedVersionView | None:
    """The version in use; None where there is none."""
    row = find_in_use_row(session, name)
    return None if row is None else repository.make_version_view(name, row)


def find_in_use_row(session: Session, name: PublishedName) -> PublishedVersion | None:
    return None if name.number is None else read_version(session, name, name.number)
