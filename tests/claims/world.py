"""The things that the rows speak of, and somebody for every claim."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from sqlalchemy import text

from raven_scan.access.types import GRANTABLE_CLAIMS, LOCAL_ADMINISTRATOR, Claim
from raven_scan.access.users import UserChanges
from raven_scan.app.wiring import Platform
from raven_scan.architectures.parameters import TrainingParameters

from .rows import Rule

DATASET, PRESET, ROLE, USER = "tiny", "kept", "own-role", "somebody"
DRAFT, WAITING, PROCESSING = "draft", "waiting", "processing"
MODEL = "yolox-nano"
DISABLED_USER = "disabled"
FOREIGN_TOKEN, FOREIGN_UPLOAD, FOREIGN_SUBSCRIPTION = (
    f"00000000-0000-7000-8000-00000000000{number}" for number in range(3)
)
"""Of `USER`: what others do not see."""

EVALUATION = "00000000-0000-7000-8000-000000000010"
"""Of `MODEL`; it was cancelled."""

PUBLISHED = "published"
"""A name with `MODEL` as version 1, which was withdrawn, and 2, which is in use."""

NOWHERE = "00000000-0000-7000-8000-00000000dead"


@dataclass(frozen=True)
class Somebody:
    """An account with a token."""

    name: str
    claims: frozenset[Claim]
    token: str


def make_things(platform: Platform) -> None:
    """Runs in three states, a preset, a role, a user."""
    admin = LOCAL_ADMINISTRATOR
    parameters = TrainingParameters(epochs=1, batch_size=4, image_size=64)
    for name in (DRAFT, WAITING, PROCESSING):
        platform.training_runs.create(
            admin, name=name, dataset=DATASET, base_model=MODEL, parameters=parameters
        )
    platform.presets.save(admin, name=PRESET, run=DRAFT)
    platform.roles.create(admin, name=ROLE, claims=[Claim.SYSTEM_VIEW])
    for name in (USER, DISABLED_USER):
        platform.users.create(admin, name=name)
        # Of no claims: who edits others' accounts needs all that these may do.
        platform.users.edit(admin, name, UserChanges(roles=[]))
    platform.users.disable(admin, DISABLED_USER)
    token = platform.tokens.create(admin, name="of somebody", user=USER).token
    with platform.database.transaction() as session:
        # No worker looks at these.
        session.execute(
            text("UPDATE training_runs SET status = 'Waiting', queue_position = 1 WHERE name = :name"),
            {"name": WAITING},
        )
        session.execute(
            text("UPDATE training_runs SET status = 'Processing' WHERE name = :name"), {"name": PROCESSING}
        )
        session.execute(
            text(
                "INSERT INTO model_evaluations (id, model_id, model_name, dataset_version_id,"
                " dataset_version_name, part, status, created_by)"
                " SELECT :id, id, name, gen_random_uuid(), 'tiny@1', 'test', 'Cancelled', 'somebody'"
                " FROM trained_models WHERE name = :name"
            ),
            {"id": EVALUATION, "name": MODEL},
        )
        session.execute(
            text(
                "INSERT INTO published_names (id, name, number, last_used_number, last_number, created_by, created_at,"
                " changed_at) VALUES (gen_random_uuid(), :name, 2, 2, 2, 'somebody', now(), now())"
            ),
            {"name": PUBLISHED},
        )
        session.execute(
            text(
                "INSERT INTO published_versions (id, name_id, number, model_id, model_name, notes, policy_version,"
                " policy, requirements, published_by, published_by_id, published_at, withdrawn_by, withdrawn_at,"
                " withdrawal_reason) SELECT gen_random_uuid(), published_names.id, number.number, model.id,"
                " model.name, '', 0, '{}', '[]', 'somebody', gen_random_uuid(), now(), withdrawn.by,"
                " CASE WHEN withdrawn.by IS NOT NULL THEN now() END, withdrawn.by"
                " FROM published_names, trained_models AS model, generate_series(1, 2) AS number(number),"
                " LATERAL (SELECT CASE WHEN number.number = 1 THEN 'somebody' END) AS withdrawn(by)"
                " WHERE published_names.name = :name AND model.name = :model"
            ),
            {"name": PUBLISHED, "model": MODEL},
        )
        session.execute(
            text("UPDATE api_tokens SET id = :foreign WHERE id = :id"),
            {"foreign": FOREIGN_TOKEN, "id": token.id},
        )


class Everybody:
    """Accounts of every claim alone, of none, of all, and of others as they are asked for."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._accounts: dict[frozenset[Claim], Somebody] = {}

    def get(self, claims: Iterable[Claim]) -> Somebody:
        """An account of just these."""
        key = frozenset(claims)
        if key not in self._accounts:
            self._accounts[key] = make_somebody(self._platform, f"account-{len(self._accounts)}", key)
        return self._accounts[key]

    def list_for(self, rule: Rule) -> list[Somebody]:
        """Nobody lets in more than needed: all claims, those that are needed, all but each of these, each alone."""
        everything = frozenset(GRANTABLE_CLAIMS)
        exact = rule.needs | frozenset(sorted(rule.any_of)[:1])
        return [
            self.get(claims)
            for claims in (
                everything,
                exact,
                frozenset[Claim](),
                everything - rule.any_of,
                *(everything - {needed} for needed in sorted(rule.needs)),
                *(frozenset({claim}) for claim in sorted(everything)),
            )
        ]


def make_somebody(
    platform: Platform, name: str, claims: Iterable[Claim], *, valid_for: timedelta | None = None
) -> Somebody:
    """An account of just these claims, by a role of its own."""
    admin = LOCAL_ADMINISTRATOR
    given = frozenset(claims)
    if given:
        platform.roles.create(admin, name=name, claims=given)
    user = platform.users.create(admin, name=name, roles=[name] if given else [], has_password=False)
    if not given:
        platform.users.edit(admin, name, UserChanges(roles=[]))
    return Somebody(name, given, make_token(platform, user.user.name, valid_for=valid_for))


def make_token(platform: Platform, user: str, *, valid_for: timedelta | None = None) -> str:
    made = platform.tokens.create(
        LOCAL_ADMINISTRATOR, name=f"test {uuid4()}", user=user, expires_in=valid_for
    )
    return made.secret.get_secret_value()
