"""Claims and actors."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from raven_scan.kernel.errors import Forbidden


class Claim(StrEnum):
    """A permission, `noun:verb`. Compared whole, never as a substring."""

    TRAINING_RUN_CREATE = "training_run:create"
    TRAINING_RUN_SCHEDULE = "training_run:schedule"
    TRAINING_RUN_VIEW = "training_run:view"
    TRAINING_RUN_EDIT = "training_run:edit"
    TRAINING_RUN_CANCEL = "training_run:cancel"
    TRAINING_RUN_DELETE = "training_run:delete"
    TRAINING_RUN_EXECUTE = "training_run:execute"
    TRAINED_MODEL_IMPORT = "trained_model:import"
    TRAINED_MODEL_CREATE = "trained_model:create"
    TRAINED_MODEL_VIEW = "trained_model:view"
    TRAINED_MODEL_EDIT = "trained_model:edit"
    TRAINED_MODEL_DELETE = "trained_model:delete"
    TRAINED_MODEL_EXPORT = "trained_model:export"
    TRAINED_MODEL_PUBLISH = "trained_model:publish"
    DATASET_IMPORT = "dataset:import"
    DATASET_VIEW = "dataset:view"
    DATASET_DELETE = "dataset:delete"
    DATASET_EXPORT = "dataset:export"
    DATASET_EDIT = "dataset:edit"
    NOTIFICATION_SEND = "notification:send"
    USER_VIEW = "user:view"
    USER_EDIT = "user:edit"
    ROLE_EDIT = "role:edit"
    AUDIT_VIEW = "audit:view"
    SETTINGS_VIEW = "settings:view"
    SETTINGS_EDIT = "settings:edit"
    SYSTEM_VIEW = "system:view"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for something, with what they may do.

    Attributes:
        via: how they were recognised, such as `session`, `token nightly` or `data folder`; the audit trail keeps it.
        address: the client's network address; empty inside the caller's own process.
    """

    id: UUID
    name: str
    claims: frozenset[Claim]
    via: str = ""
    address: str = ""

    def may(self, claim: Claim) -> bool:
        return claim in self.claims

    def require(self, claim: Claim) -> None:
        """Raises Forbidden where the claim is missing."""
        if claim not in self.claims:
            raise Forbidden(
                "access.claim_missing",
                f"{self.name} may not do this: the claim {claim} is missing.",
                hint="Ask an administrator for a role with this claim.",
                parameters={"claim": str(claim)},
            )


WORKER_CLAIMS = frozenset({Claim.TRAINING_RUN_EXECUTE, Claim.TRAINED_MODEL_CREATE})
"""What only a worker does; no user may, whatever their roles."""

LOCAL_ADMINISTRATOR = Actor(
    id=UUID("00000000-0000-7000-8000-000000000001"),
    name="local administrator",
    claims=frozenset(Claim) - WORKER_CLAIMS,
    via="data folder",
)
"""The owner of the data folder."""

WORKER = Actor(
    id=UUID("00000000-0000-7000-8000-000000000002"),
    name="worker",
    claims=frozenset(
        {
            Claim.TRAINING_RUN_EXECUTE,
            Claim.TRAINING_RUN_VIEW,
            Claim.TRAINED_MODEL_CREATE,
            Claim.TRAINED_MODEL_VIEW,
            Claim.DATASET_VIEW,
            Claim.NOTIFICATION_SEND,
        }
    ),
)
"""The actor that a worker's job acts as."""
