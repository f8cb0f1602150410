"""Where a model comes from, and what came of it: models, the runs between them, and what these learned from."""

from collections.abc import Collection, Mapping
from uuid import UUID

from raven_scan.access.types import Actor, Claim
from raven_scan.datasets.version_records import VersionRecord, VersionRecords
from raven_scan.kernel.database import Database
from raven_scan.trained_models.lineage import FamilyMember, ModelFamilies
from raven_scan.trained_models.lineage_graph import (
    LineageEdge,
    LineageGraph,
    LineageNode,
    ModelFacts,
    NodeKind,
    Presence,
    Relation,
    RunFacts,
    VersionFacts,
)
from raven_scan.trained_models.lineage_packages import draw_package
from raven_scan.trained_models.types import LineageReference, PackageOrigin
from raven_scan.training_runs.repository import runs
from raven_scan.training_runs.repository.runs import RunPresence


class LineageService:
    """Draws lineages of models."""

    def __init__(self, database: Database, families: ModelFamilies, versions: VersionRecords) -> None:
        self._database = database
        self._families = families
        self._versions = versions

    def get_lineage(self, actor: Actor, model: str) -> LineageGraph:
        """Up to what was there first, an architecture's starting weights or an import, and down to all descendants.

        What is in the trash or gone for good is said to be so.

        Args:
            actor: needs `trained_model:view`; without `training_run:view` and `dataset:view`, runs and dataset
                versions have no more than their names.
            model: name or id.

        Raises:
            NotFound: there is no such model.
        """
        with self._database.reading():
            family = self._families.read_family(actor, model)
            members = [*family.ancestors, *family.descendants]
            graph = _Drawing(
                self._find_runs(actor, members),
                self._find_versions(actor, members),
                {member.id for member in members},
                family.subject.id,
            )
        for member in members:
            graph.add(member)
        return LineageGraph(nodes=graph.nodes, edges=graph.edges, is_cut=family.is_cut)

    def _find_runs(self, actor: Actor, members: list[FamilyMember]) -> Mapping[UUID, RunPresence] | None:
        if not actor.may(Claim.TRAINING_RUN_VIEW):
            return None
        ids = [member.training_run.id for member in members if member.training_run]
        with self._database.reading() as session:
            return runs.find_presences(session, ids)

    def _find_versions(
        self, actor: Actor, members: list[FamilyMember]
    ) -> Mapping[UUID, VersionRecord] | None:
        if not actor.may(Claim.DATASET_VIEW):
            return None
        ids = {member.dataset_version.id for member in members if member.dataset_version}
        return self._versions.find_records(actor, ids)


class _Drawing:
    """Grows by a model at a time; each comes after what it started from.

    Args:
        runs: that are there or in the trash; None where they are hidden.
        versions: that are there or in the trash; None where they are hidden.
        member_ids: of all models that have rows.
        subject_id: whose lineage it is.
    """

    def __init__(
        self,
        runs: Mapping[UUID, RunPresence] | None,
        versions: Mapping[UUID, VersionRecord] | None,
        member_ids: Collection[UUID],
        subject_id: UUID,
    ) -> None:
        self.nodes: list[LineageNode] = []
        self.edges: list[LineageEdge] = []
        self._runs = runs
        self._versions = versions
        self._member_ids = member_ids
        self._subject_id = subject_id
        self._ids: set[str] = set()

    def add(self, member: FamilyMember) -> None:
        if member.training_run is not None:
            self._add_run(member, member.training_run)
        if member.package is not None:
            self._add_package(member, member.package)
        self._add(
            LineageNode(
                id=_make_id(NodeKind.TRAINED_MODEL, member.id),
                kind=NodeKind.TRAINED_MODEL,
                ref=member.id,
                name=member.name,
                presence=Presence.IN_TRASH if member.is_deleted else Presence.THERE,
                is_subject=member.id == self._subject_id,
                trained_model=ModelFacts(
                    origin=member.origin,
                    stage=member.stage,
                    architecture=member.architecture,
                    checkpoint=member.checkpoint,
                    weights_digest=member.weights_digest,
                    configuration_digest=member.configuration_digest,
                    test_map50=member.test_map50,
                    created_by=member.created_by,
                    created_at=member.created_at,
                ),
            )
        )
        if member.training_run is not None:
            self._connect(
                (NodeKind.TRAINING_RUN, member.training_run.id),
                (NodeKind.TRAINED_MODEL, member.id),
                Relation.MADE,
            )

    def _add_package(self, member: FamilyMember, package: PackageOrigin) -> None:
        nodes, edges = draw_package(
            package, shows_runs=self._runs is not None, shows_versions=self._versions is not None
        )
        for node in nodes:
            self._add(node)
        self.edges += [
            edge for edge in edges if edge not in self.edges
        ]  # two may have come from one platform
        if nodes:
            id_ = _make_id(NodeKind.TRAINED_MODEL, member.id)
            self.edges.append(LineageEdge(nodes[-1].id, id_, Relation.PACKED))

    def _add_run(self, member: FamilyMember, run: LineageReference) -> None:
        """The run that made a model, with what it was made of."""
        base, version = member.base_model, member.dataset_version
        if base is not None and base.id not in self._member_ids:
            # Nothing is known of it any more but its name.
            self._add_named(NodeKind.TRAINED_MODEL, base, Presence.DELETED)
        if version is not None:
            self._add_version(version, member.dataset_version_digest)
        found = None if self._runs is None else self._runs.get(run.id)
        self._add(
            LineageNode(
                id=_make_id(NodeKind.TRAINING_RUN, run.id),
                kind=NodeKind.TRAINING_RUN,
                ref=run.id,
                name=run.name,
                presence=_find_presence(self._runs, run.id),
                training_run=None
                if self._runs is None
                else RunFacts(
                    parameters=member.parameters,
                    environment=member.environment,
                    attempt_count=found.attempt_count if found else None,
                ),
            )
        )
        after = (NodeKind.TRAINING_RUN, run.id)
        if base is not None:
            self._connect((NodeKind.TRAINED_MODEL, base.id), after, Relation.BASE_MODEL)
        if version is not None:
            self._connect((NodeKind.DATASET_VERSION, version.id), after, Relation.DATASET_VERSION)

    def _add_version(self, version: LineageReference, noted_digest: str | None) -> None:
        found = None if self._versions is None else self._versions.get(version.id)
        self._add(
            LineageNode(
                id=_make_id(NodeKind.DATASET_VERSION, version.id),
                kind=NodeKind.DATASET_VERSION,
                ref=version.id,
                name=version.name,
                presence=_find_presence(self._versions, version.id),
                dataset_version=None
                if self._versions is None
                else VersionFacts(digest=found.digest if found else noted_digest),
            )
        )

    def _add_named(self, kind: NodeKind, reference: LineageReference, presence: Presence) -> None:
        self._add(
            LineageNode(
                id=_make_id(kind, reference.id),
                kind=kind,
                ref=reference.id,
                name=reference.name,
                presence=presence,
            )
        )

    def _add(self, node: LineageNode) -> None:
        if node.id not in self._ids:
            self._ids.add(node.id)
            self.nodes.append(node)

    def _connect(
        self, source: tuple[NodeKind, UUID], target: tuple[NodeKind, UUID], relation: Relation
    ) -> None:
        self.edges.append(LineageEdge(_make_id(*source), _make_id(*target), relation))


def _find_presence(found: Mapping[UUID, RunPresence | VersionRecord] | None, id_: UUID) -> Presence:
    if found is None:
        return Presence.HIDDEN
    if id_ not in found:
        return Presence.DELETED
    return Presence.IN_TRASH if found[id_].is_deleted else Presence.THERE


def _make_id(kind: NodeKind, id_: UUID) -> str:
    return f"{kind}:{id_}"
