"""Actions of the audit trail, and their details, in words."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast

from raven_scan.access.types import Claim
from raven_scan.publishing.policy import CLASS_RECALL, REQUIREMENTS
from raven_scan.web.administration_policy import name_requirement, show_value
from raven_scan.web.claim_words import name_claim
from raven_scan.web.texts import NONE, Texts, later

ACTION_WORDS = {
    "access.refused": later("Was refused"),
    "backup.created": later("Made a backup"),
    "backup.restored": later("Restored a backup"),
    "database.created": later("Created the database's tables"),
    "database.upgraded": later("Upgraded the database's tables"),
    "dataset.deleted": later("Deleted a dataset"),
    "dataset.edited": later("Edited a dataset"),
    "dataset.imported": later("Imported a dataset"),
    "dataset.purged": later("Deleted a dataset for good"),
    "dataset.restored": later("Restored a dataset"),
    "dataset_version.deleted": later("Deleted a dataset version"),
    "dataset_version.exported": later("Exported a dataset version"),
    "dataset_version.purged": later("Deleted a dataset version for good"),
    "dataset_version.restored": later("Restored a dataset version"),
    "detection.created": later("Detected with a model"),
    "notification.tested": later("Sent a test notification"),
    "package_key.made": later("Made the key that signs packages"),
    "package_key.revoked": later("Revoked a key of packages"),
    "package_key.trusted": later("Trusted a key of packages"),
    "policy.changed": later("Changed the publishing policy"),
    "published_model.published": later("Published a model"),
    "published_model.requirements_overridden": later(
        "Published a model despite requirements that it does not meet"
    ),
    "published_model.rolled_back": later("Rolled a published model back"),
    "published_model.withdrawn": later("Withdrew a published model"),
    "role.created": later("Created a role"),
    "role.deleted": later("Deleted a role"),
    "role.edited": later("Edited a role"),
    "session.ended": later("Ended a session"),
    "session.sign_in_failed": later("Failed to sign in"),
    "session.signed_in": later("Signed in"),
    "session.signed_out": later("Signed out"),
    "setting.changed": later("Changed a setting"),
    "subscription.created": later("Subscribed to runs"),
    "subscription.edited": later("Edited a subscription"),
    "subscription.removed": later("Ended a subscription"),
    "subscription.tested": later("Sent a test message to a subscription"),
    "token.created": later("Created an API token"),
    "token.revoked": later("Revoked an API token"),
    "trained_model.created": later("Made a trained model"),
    "trained_model.deleted": later("Deleted a trained model"),
    "trained_model.edited": later("Edited a trained model"),
    "trained_model.evaluation_cancelled": later("Cancelled an evaluation"),
    "trained_model.evaluation_requested": later("Asked for an evaluation"),
    "trained_model.exported": later("Downloaded a trained model"),
    "trained_model.imported": later("Imported a trained model"),
    "trained_model.packed": later("Packed a trained model"),
    "trained_model.purged": later("Deleted a trained model for good"),
    "trained_model.restored": later("Restored a trained model"),
    "training_preset.created": later("Saved a preset"),
    "training_preset.deleted": later("Deleted a preset"),
    "training_run.cancelled": later("Cancelled a training run"),
    "training_run.checkpoint_exported": later("Downloaded a checkpoint"),
    "training_run.created": later("Created a training run"),
    "training_run.deleted": later("Deleted a training run"),
    "training_run.edited": later("Edited a training run"),
    "training_run.ended": later("Ended a training run"),
    "training_run.moved": later("Moved a training run in the queue"),
    "training_run.paused": later("Paused a training run"),
    "training_run.priority_changed": later("Changed a training run's priority"),
    "training_run.purged": later("Deleted a training run for good"),
    "training_run.restored": later("Restored a training run"),
    "training_run.resumed": later("Resumed a training run"),
    "training_run.retried": later("Retried a training run"),
    "training_run.scheduled": later("Scheduled a training run"),
    "upload.begun": later("Began an upload"),
    "upload.completed": later("Completed an upload"),
    "upload.deleted": later("Deleted an upload"),
    "user.created": later("Created a user"),
    "user.deleted": later("Deleted a user for good"),
    "user.disabled": later("Disabled a user"),
    "user.edited": later("Edited a user"),
    "user.enabled": later("Enabled a user"),
    "user.password_change_failed": later("Failed to change a password"),
    "user.password_changed": later("Changed a password"),
    "user.password_reset": later("Reset a password"),
}

DETAIL_WORDS = {
    "architecture": later("Architecture"),
    "artifact": later("File"),
    "aside": later("Kept aside in"),
    "backup": later("Backup"),
    "base_model": later("Base model"),
    "before": later("Schema before"),
    "changes": later("Changes"),
    "channel": later("Channel"),
    "claim": later("Lacks"),
    "claims": later("May"),
    "cloned_from": later("Cloned from"),
    "code": later("Code"),
    "created_at": later("Created"),
    "dataset": later("Dataset"),
    "description": later("Description"),
    "digest": later("Content"),
    "dry_run": later("Dry run"),
    "email": later("E-mail"),
    "ends": later("Ends"),
    "error": later("Error"),
    "evaluation": later("Evaluation"),
    "expires_at": later("Valid until"),
    "file": later("File"),
    "fingerprint": later("Key"),
    "folder": later("Folder"),
    "from_number": later("Version before"),
    "from_start": later("From the start"),
    "image_count": later("Images"),
    "is_active": later("Active"),
    "method": later("Way"),
    "model": later("Model"),
    "name": later("Name"),
    "new": later("Now"),
    "notes": later("Notes"),
    "old": later("Before"),
    "package": later("Package"),
    "part": later("Part"),
    "place": later("Place"),
    "policy_version": later("Version of the policy"),
    "preset": later("Preset"),
    "priority": later("Priority"),
    "published": later("Published as"),
    "reason": later("Reason"),
    "recipient": later("Recipient"),
    "recipients": later("Recipients"),
    "replaces": later("Instead of version"),
    "reproduces": later("Reproduces"),
    "roles": later("Roles"),
    "run": later("Training run"),
    "runs": later("Training runs"),
    "schema": later("Schema"),
    "sessions": later("Sessions ended"),
    "sha256": later("Content"),
    "size_bytes": later("Size"),
    "status": later("Status"),
    "tokens": later("Tokens revoked"),
    "unmet": later("Not met"),
    "user": later("User"),
    "users": later("Users who had it"),
    "version": later("Version"),
    "was_in_use": later("Was in use"),
}

KIND_WORDS = {
    "database": later("Database"),
    "dataset": later("Dataset"),
    "dataset_version": later("Dataset version"),
    "notification": later("Notification"),
    "package_key": later("Key of packages"),
    "policy": later("Publishing policy"),
    "published_model": later("Published model"),
    "request": later("Request"),
    "role": later("Role"),
    "setting": later("Setting"),
    "subscription": later("Subscription"),
    "token": later("API token"),
    "trained_model": later("Trained model"),
    "training_preset": later("Preset"),
    "training_run": later("Training run"),
    "upload": later("Upload"),
    "user": later("User"),
}
"""What something was done to."""

_LONGEST = 1000
_PAIR = 2
_OF_PAIRS = frozenset({"name", "email", "description"})
"""What is written as before and after, where it changed."""

Write = Callable[[object], str]


def name_action(action: str, t: Texts) -> str:
    """One of a release that this one does not know is named by its key."""
    return t(ACTION_WORDS[action]) if action in ACTION_WORDS else action


def name_kind(kind: str, t: Texts) -> str:
    return t(KIND_WORDS[kind]) if kind in KIND_WORDS else _spell(kind)


def describe_details(details: Mapping[str, Any], t: Texts) -> str:
    """`Name: value`, without what is nothing."""
    told = {name: value for name, value in details.items() if value not in (None, False, "", [], {})}
    said = " · ".join(_describe(name, value, t) for name, value in told.items())
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"


def _describe(name: str, value: object, t: Texts) -> str:
    if name == "changes" and isinstance(value, dict):
        changes = cast("dict[str, object]", value)
        return "; ".join(_describe_change(key, change, t) for key, change in changes.items())
    named = _name_detail(name, t)
    return named if value is True else f"{named}: {_show(name, value, t)}"


def _describe_change(name: str, value: object, t: Texts) -> str:
    if not _is_requirement(name):
        return f"{_name_detail(name, t)}: {_show(name, value, t)}"
    before, after = cast("list[Any]", value)
    said = f"{show_value(before, t, name)} → {show_value(after, t, name)}"
    return f"{name_requirement(name, t)}: {said}"


def _show(name: str, value: object, t: Texts) -> str:
    """A value, or a change of one."""

    def write(each: object) -> str:
        return _write(name, each, t)

    change = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    if set(change) == {"from", "to"}:
        return f"{write(change['from'])} → {write(change['to'])}"
    if not isinstance(value, list):
        return write(cast("object", value))
    values = cast("list[object]", value)
    if len(values) == _PAIR and all(isinstance(each, list) for each in values):
        return _show_lists(*cast("list[list[object]]", values), write=write, t=t)
    if len(values) == _PAIR and name in _OF_PAIRS:
        return f"{write(values[0])} → {write(values[1])}"
    return write(values)


def _show_lists(before: list[object], after: list[object], write: Write, t: Texts) -> str:
    """What came and what went, which is less to read than both as they are."""
    came = ", ".join(write(each) for each in after if each not in before)
    went = ", ".join(write(each) for each in before if each not in after)
    told = [t("added {names}", names=came)] if came else []
    return "; ".join([*told, t("taken away {names}", names=went)] if went else told)


def _write(name: str, value: object, t: Texts) -> str:  # noqa: PLR0911 - a line a kind of value
    match value:
        case None | "":
            return NONE
        case bool():
            return t("Yes") if value else t("No")
        case list():
            return ", ".join(_write(name, each, t) for each in cast("list[object]", value))
        case int() if name == "size_bytes":
            return t.size(value)
        case int() if name != "version":
            return t.number(value)
        case str() if name in {"claim", "claims"} and value in set(Claim):
            return name_claim(Claim(value), t)
        case str() if name == "unmet" and _is_requirement(value):
            return name_requirement(value, t)
        case str() if name in {"expires_at", "created_at"}:
            return _show_moment(value, t)
        case str():
            return value
        case _:
            return json.dumps(value, ensure_ascii=False)


def _show_moment(value: str, t: Texts) -> str:
    try:
        return t.moment(datetime.fromisoformat(value))
    except ValueError:
        return value


def _name_detail(name: str, t: Texts) -> str:
    return t(DETAIL_WORDS[name]) if name in DETAIL_WORDS else _spell(name)


def _is_requirement(key: str) -> bool:
    return key in REQUIREMENTS or key.startswith(CLASS_RECALL)


def _spell(name: str) -> str:
    return name.replace("_", " ")
