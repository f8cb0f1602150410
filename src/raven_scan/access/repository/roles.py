"""SQL of roles."""

from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from raven_scan.access.models import Role, User, UserRole
from raven_scan.access.names import make_name_key
from raven_scan.access.repository.users import read_claims
from raven_scan.access.types import RoleView
from raven_scan.kernel.ids import parse_id
from raven_scan.kernel.paging import ListOrder, Page, PageRequest


def find_role(session: Session, ref: str, *, lock: bool = False) -> Role | None:
    """The role of that id or name."""
    role_id = parse_id(ref)
    if role_id is None and not ref.isprintable():
        return None
    query = select(Role).where(Role.id == role_id if role_id else Role.name_key == make_name_key(ref))
    return session.scalars(query.with_for_update() if lock else query).one_or_none()


def find_role_to_give(session: Session, ref: str) -> Role | None:
    """The role of that id or name; it is not deleted before the transaction ends."""
    role = find_role(session, ref)
    if role is not None:
        session.refresh(role, with_for_update={"read": True, "key_share": True})
    return role


def lock_role(session: Session, name_key: str) -> None:
    """Whoever else locks it waits until this transaction ends."""
    session.execute(select(Role.id).where(Role.name_key == name_key).with_for_update())


def list_builtin_roles(session: Session) -> dict[str, Role]:
    """By key."""
    return {role.name_key: role for role in session.scalars(select(Role).where(Role.is_builtin))}


ORDER = ListOrder(
    name="roles",
    columns={"name": Role.name_key, "created_at": Role.created_at},
    id=Role.id,
    default="name",
)


def list_roles(session: Session, page: PageRequest, q: str | None) -> Page[RoleView]:
    statement = select(Role, _count_users())
    if q is not None:
        statement = statement.where(Role.name_key.contains(make_name_key(q), autoescape=True))
    return ORDER.fetch(session, statement, page, lambda row: make_view(*row[:2]))


def get_view(session: Session, role_id: UUID) -> RoleView:
    return make_view(*session.execute(select(Role, _count_users()).where(Role.id == role_id)).one())


def _count_users():  # noqa: ANN202 - a column
    return (
        select(func.count())
        .select_from(UserRole)
        .where(UserRole.role_id == Role.id)
        .correlate(Role)
        .scalar_subquery()
    )


def make_view(role: Role, user_count: int) -> RoleView:
    return RoleView(
        id=role.id,
        name=role.name,
        description=role.description,
        claims=tuple(sorted(read_claims(role.claims))),
        is_builtin=role.is_builtin,
        user_count=user_count,
        revision=role.revision,
    )


def list_user_names(session: Session, role_id: UUID, *, limit: int) -> list[str]:
    """Of those who have the role."""
    query = (
        select(User.name).join(UserRole).where(UserRole.role_id == role_id).order_by(User.name).limit(limit)
    )
    return list(session.scalars(query))


def take_from_users(session: Session, role_id: UUID) -> None:
    session.execute(delete(UserRole).where(UserRole.role_id == role_id))


def put_builtin_role(session: Session, values: dict[str, Any]) -> None:
    """Inserts it, or brings the one of that name to these values."""
    statement = insert(Role).values(values)
    changed = {key: statement.excluded[key] for key in ("name", "description", "claims", "is_builtin")}
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[Role.name_key], set_=changed | {"revision": Role.revision + 1}
        )
    )
