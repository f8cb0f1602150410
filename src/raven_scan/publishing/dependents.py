"""Publications, as models and versions of datasets know them: what is published is kept."""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy.orm import Session

from raven_scan.kernel.dependents import USES_LISTED, Use
from raven_scan.publishing import repository
from raven_scan.trained_models.stewardship import PUBLISHED_KIND


class PublicationsOfModels:
    """Versions that are not withdrawn: detection may ask for them by their number, and they can be rolled back to."""

    def list_uses(self, session: Session, ids: Collection[UUID]) -> list[Use]:
        return [
            Use(PUBLISHED_KIND, id_, name, "in use" if is_in_use else "can be rolled back to")
            for id_, name, is_in_use in repository.list_kept_of_models(session, ids, USES_LISTED)
        ]

    def follow_renames(self, session: Session, names: Mapping[UUID, str]) -> None:
        repository.rename_models(session, names)


class PublicationsOnVersions:
    """What is not withdrawn, on the versions of datasets whose test part is frozen for it.

    The next model is measured there, also after somebody went back.
    """

    def list_uses(self, session: Session, ids: Collection[UUID]) -> list[Use]:
        return [
            Use(
                "trained_model",
                id_,
                model,
                f"published as {full_name}, which the next one is compared with on it",
            )
            for id_, model, full_name in repository.list_frozen_on_versions(session, ids, USES_LISTED)
        ]

    def follow_renames(self, session: Session, names: Mapping[UUID, str]) -> None:
        repository.rename_versions(session, names)
