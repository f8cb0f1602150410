"""Finds out whether a model has seen the images that it is judged on, by the digests of their files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from raven_scan.access.types import Actor
from raven_scan.datasets.types import Part
from raven_scan.datasets.version_images import VersionImages
from raven_scan.publishing.types import TEST_PART, Exposure
from raven_scan.trained_models.lineage import FamilyMember, ModelFamilies
from raven_scan.trained_models.types import Origin, PackageStep

_LEARNED = (Part.TRAIN, Part.VALID)
"""Whoever is chosen by how they do on some images has learned from these, too."""


@dataclass(frozen=True, slots=True)
class _Source:
    """What a model learned from. `version_id`: None where it is not here; `owner`: the base model, where it is one."""

    version_id: UUID | None
    name: str
    owner: str | None

    def tell(self) -> str:
        return self.name if self.owner is None else f"{self.name} (its base model {self.owner!r})"


@dataclass(frozen=True, slots=True)
class _Unknown:
    """A model of which nothing here tells what it learned from."""

    name: str


class TestExposures:
    """Looks through all that a model and its base models learned from, those on other platforms too."""

    __test__ = False  # for pytest it would be a class of tests

    def __init__(self, families: ModelFamilies, images: VersionImages) -> None:
        self._families = families
        self._images = images

    def find(self, actor: Actor, model_id: UUID, tests: Mapping[UUID, str]) -> Exposure:
        """What of test parts a model has learned from.

        Args:
            actor: needs `trained_model:view` and `dataset:view`.
            model_id: of the model.
            tests: names of the dataset versions that have them, by id.

        Raises:
            NotFound: there is no such model.
        """
        lost: list[str] = []
        unknown: list[str] = []
        sources: list[str] = []
        wanted: set[str] = set()
        for id_, name in tests.items():
            found = self._images.find_digests(actor, id_, (Part(TEST_PART),))
            if found is None:
                lost.append(f"the test part of {name}")
            else:
                wanted |= found
        seen: set[str] = set()
        for source in dict.fromkeys(self._list_sources(actor, model_id)):
            if isinstance(source, _Unknown):
                unknown.append(source.name)
                continue
            learned = None
            if source.version_id is not None:
                learned = self._images.find_digests(actor, source.version_id, _LEARNED)
            if learned is None:
                lost.append(source.tell())
            elif learned & wanted:
                seen |= learned & wanted
                sources.append(source.tell())
        return Exposure(
            tests=list(tests.values()),
            image_count=len(wanted),
            seen_count=len(seen),
            sources=sources,
            lost=lost,
            unknown=unknown,
        )

    def _list_sources(self, actor: Actor, model_id: UUID) -> Iterator[_Source | _Unknown]:
        members = self._families.list_ancestors(actor, model_id)
        for member in members:
            owner = None if member is members[0] else member.name
            if member.dataset_version is not None:
                yield _Source(member.dataset_version.id, member.dataset_version.name, owner)
            if member.package is not None:
                for place, step in enumerate(member.package.models):
                    yield from self._list_of_step(actor, step, step.name if place else owner)
                last = member.package.models[-1]
                if last.base_model is not None:
                    yield _Unknown(last.base_model)
            elif member.origin is Origin.IMPORTED:
                yield _Unknown(member.name)
        yield from _list_of_lost(members[-1])

    def _list_of_step(
        self, actor: Actor, step: PackageStep, owner: str | None
    ) -> Iterator[_Source | _Unknown]:
        """What a model learned from on another platform, where that is here too."""
        if step.origin is Origin.BUILTIN:
            return
        found = None
        if step.dataset_digest is not None:
            found = self._images.find_version(actor, step.dataset_digest)
        if found is not None:
            yield _Source(found[0], found[1], owner)
        elif step.training_run is not None or step.checkpoint is not None:
            yield _Unknown(step.name)


def _list_of_lost(root: FamilyMember) -> Iterator[_Source]:
    """A base model that has no row any more."""
    if root.base_model is not None:
        yield _Source(None, f"what {root.base_model.name!r} learned from", None)
