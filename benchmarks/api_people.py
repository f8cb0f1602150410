"""People with their tokens, and what the audit trail says that they did."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from api_content import Amounts
from api_copying import copy_rows, open_connection
from raven_scan.access.audit_entry import FIRST_PREVIOUS_HASH, compute_hash, format_time
from raven_scan.access.secret_text import get_shown_prefix, hash_secret, make_api_token
from raven_scan.app.wiring import Platform
from raven_scan.kernel.database import make_conninfo
from raven_scan.kernel.ids import make_id

_BEGAN_AT = datetime(2024, 11, 1, tzinfo=UTC)
_ACTIONS = (
    "training_run.created",
    "training_run.scheduled",
    "training_run.cancelled",
    "training_run.edited",
    "trained_model.imported",
    "trained_model.edited",
    "dataset.imported",
    "session.started",
    "session.refused",
    "token.created",
)


@dataclass(frozen=True, slots=True)
class People:
    """`tokens`: of the first users, one for each client of the benchmark."""

    users: list[tuple[UUID, str]]
    tokens: list[str]


def make_people(platform: Platform, amounts: Amounts) -> People:
    """Users with a role that sees everything; most of them with a token that nobody uses any more."""
    now = datetime.now(UTC)
    users = [(make_id(), f"inspector{number:04d}") for number in range(amounts.users + amounts.other_users)]
    tokens = [make_api_token() for _ in users]
    with open_connection(make_conninfo(platform.database.engine.url)) as connection:
        copy_rows(
            connection,
            "users",
            (
                {
                    "id": id_,
                    "name": name,
                    "name_key": name,
                    "email": f"{name}@example.org",
                    "created_by": "local administrator",
                    "created_at": now,
                }
                for id_, name in users
            ),
            "users",
            len(users),
        )
        roles = connection.execute("SELECT id FROM roles WHERE name_key = 'admin'").fetchall()
        assert roles
        copy_rows(
            connection,
            "user_roles",
            ({"user_id": id_, "role_id": role_id} for id_, _ in users for (role_id,) in roles),
            "roles of users",
            len(users),
        )
        copy_rows(
            connection,
            "api_tokens",
            (
                {
                    "id": make_id(),
                    "user_id": id_,
                    "name": "benchmark",
                    "prefix": get_shown_prefix(token),
                    "secret_hash": hash_secret(token.get_secret_value()),
                    "claims": None,
                    "created_at": now,
                    "created_by": name,
                    "expires_at": now + timedelta(days=3650),
                }
                for (id_, name), token in zip(users, tokens, strict=True)
            ),
            "tokens",
            len(users),
        )
    return People(users, [token.get_secret_value() for token in tokens[: amounts.users]])


def make_audit_entries(
    connection: psycopg.Connection, people: People, count: int
) -> Iterator[dict[str, Any]]:
    """A chain that `raven audit verify` finds whole, after what is there already."""
    last = connection.execute(
        "SELECT number, hash FROM audit_entries ORDER BY number DESC LIMIT 1"
    ).fetchone()
    begin, previous = (0, FIRST_PREVIOUS_HASH) if last is None else (int(last[0]), str(last[1]))
    source = random.Random(29)  # noqa: S311 - content, no secret
    targets = connection.execute("SELECT id, name FROM training_runs ORDER BY id LIMIT 5000").fetchall()
    for number in range(begin + 1, begin + count + 1):
        at = _BEGAN_AT + timedelta(days=730) * ((number - begin) / count)
        actor_id, actor = source.choice(people.users)
        target_id, target = source.choice(targets)
        action = source.choice(_ACTIONS)
        details = {"status": "Waiting", "priority": source.randrange(10)}
        columns: dict[str, Any] = {
            "number": number,
            "actor_id": actor_id,
            "actor_name": actor,
            "actor_via": "session",
            "actor_address": f"192.0.2.{source.randrange(256)}",
            "action": action,
            "target_kind": action.partition(".")[0],
            "target_id": target_id,
            "target_name": target,
            "previous_hash": previous,
        }
        previous = compute_hash(columns | {"at": format_time(at), "details": details})
        yield columns | {"at": at, "details": Jsonb(details), "hash": previous}
