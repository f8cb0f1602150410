"""The roles that every installation has. They are kept here; the database gets a copy when the platform starts."""

from dataclasses import dataclass

from raven_scan.access.names import make_name_key
from raven_scan.access.types import GRANTABLE_CLAIMS, Claim


@dataclass(frozen=True, slots=True)
class BuiltinRole:
    name: str
    description: str
    claims: frozenset[Claim]

    @property
    def key(self) -> str:
        return make_name_key(self.name)


_VIEWING = frozenset(
    {Claim.TRAINING_RUN_VIEW, Claim.TRAINED_MODEL_VIEW, Claim.DATASET_VIEW, Claim.SYSTEM_VIEW}
)

ADMIN = BuiltinRole("Admin", "May do everything, users, roles and settings included.", GRANTABLE_CLAIMS)
VIEWER = BuiltinRole(
    "Viewer",
    "Sees runs, models and datasets, detects with published models, and changes nothing.",
    _VIEWING | {Claim.DETECTION_CREATE},
)

BUILTIN_ROLES = (
    ADMIN,
    BuiltinRole(
        "Data manager",
        "Imports, edits, exports and deletes datasets; detects with published models.",
        _VIEWING
        | {
            Claim.DATASET_IMPORT,
            Claim.DATASET_EDIT,
            Claim.DATASET_EXPORT,
            Claim.DATASET_DELETE,
            Claim.DETECTION_CREATE,
        },
    ),
    BuiltinRole(
        "Trainer",
        "Trains: creates, schedules, steers and deletes runs; imports, edits, exports and deletes models.",
        _VIEWING
        | {
            Claim.TRAINING_RUN_CREATE,
            Claim.TRAINING_RUN_SCHEDULE,
            Claim.TRAINING_RUN_EDIT,
            Claim.TRAINING_RUN_CANCEL,
            Claim.TRAINING_RUN_DELETE,
            Claim.TRAINED_MODEL_IMPORT,
            Claim.TRAINED_MODEL_REVIEW,
            Claim.DETECTION_CREATE,
            Claim.TRAINED_MODEL_EDIT,
            Claim.TRAINED_MODEL_EXPORT,
            Claim.TRAINED_MODEL_DELETE,
        },
    ),
    BuiltinRole(
        "Reviewer",
        "Reviews models and publishes them.",
        _VIEWING
        | {
            Claim.TRAINED_MODEL_EDIT,
            Claim.TRAINED_MODEL_EXPORT,
            Claim.TRAINED_MODEL_REVIEW,
            Claim.TRAINED_MODEL_PUBLISH,
            Claim.DETECTION_CREATE,
        },
    ),
    VIEWER,
)
