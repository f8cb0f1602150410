"""SQL of users and of the roles that they have."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, delete, exists, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.types import Text

from raven_scan.access.models import Role, User, UserRole, UserSession
from raven_scan.access.names import make_name_key
from raven_scan.access.types import Claim, OidcIdentity, UserView
from raven_scan.kernel.ids import parse_id
from raven_scan.kernel.paging import ListOrder, Page, PageRequest


@dataclass(frozen=True, slots=True)
class UserFilter:
    """`q`: part of the name or the e-mail address; `role`: key of a role's name."""

    q: str | None = None
    role: str | None = None
    is_disabled: bool | None = None


def find_user(session: Session, ref: str, *, lock: bool = False) -> User | None:
    """The user of that id or name."""
    user_id = parse_id(ref)
    if user_id is None and not ref.isprintable():
        return None
    query = select(User).where(User.id == user_id if user_id else User.name_key == make_name_key(ref))
    return session.scalars(query.with_for_update() if lock else query).one_or_none()


def find_user_of_name(session: Session, name: str) -> User | None:
    """As somebody types it to sign in: an id is none."""
    if not name.isprintable():
        return None
    return session.scalars(select(User).where(User.name_key == make_name_key(name))).one_or_none()


def find_user_of_session(session: Session, session_id: UUID) -> User | None:
    return session.scalars(select(User).join(UserSession).where(UserSession.id == session_id)).one_or_none()


def find_user_of_identity(session: Session, identity: OidcIdentity) -> User | None:
    query = select(User).where(User.oidc_issuer == identity.issuer, User.oidc_subject == identity.subject)
    return session.scalars(query).one_or_none()


def is_there_a_user(session: Session) -> bool:
    return bool(session.scalar(select(exists().where(User.id.is_not(None)))))


ORDER = ListOrder(
    name="users",
    columns={
        "name": User.name_key,
        "created_at": User.created_at,
        "last_sign_in_at": User.last_sign_in_at,
    },
    id=User.id,
    default="name",
    optional=frozenset({"last_sign_in_at"}),
)


def list_users(session: Session, page: PageRequest, chosen: UserFilter) -> Page[UserView]:
    statement = select_view()
    if chosen.q is not None:
        like = f"%{_escape(chosen.q.casefold())}%"
        statement = statement.where(or_(User.name_key.like(like), func.lower(User.email).like(like)))
    if chosen.role is not None:
        with_role = select(UserRole.user_id).join(Role).where(Role.name_key == chosen.role)
        statement = statement.where(User.id.in_(with_role))
    if chosen.is_disabled is not None:
        statement = statement.where(User.disabled_at.is_not(None) == chosen.is_disabled)
    return ORDER.fetch(session, statement, page, lambda row: make_view(*row[:3]))


def get_view(session: Session, user_id: UUID) -> UserView:
    return make_view(*session.execute(select_view().where(User.id == user_id)).one())


def select_view() -> Select[User, Sequence[str], Sequence[str]]:
    """Users with the names of their roles and the claims that these give."""
    names = (
        select(Role.name)
        .join(UserRole)
        .where(UserRole.user_id == User.id)
        .order_by(Role.name)
        .correlate(User)
        .scalar_subquery()
    )
    return select(User, func.array(names, type_=ARRAY(Text)), select_claims())


def select_claims():  # noqa: ANN201 - SQLAlchemy's own type of a function says nothing
    """What the roles of a user give, as a column of a statement over users; with repetitions."""
    claims = (
        select(func.unnest(Role.claims))
        .join(UserRole, UserRole.role_id == Role.id)
        .where(UserRole.user_id == User.id)
        .correlate(User)
        .scalar_subquery()
    )
    return func.array(claims, type_=ARRAY(Text))


def make_view(user: User, roles: Sequence[str], claims: Sequence[str]) -> UserView:
    return UserView(
        id=user.id,
        name=user.name,
        email=user.email,
        roles=tuple(roles),
        claims=read_claims(claims),
        has_password=user.password_hash is not None,
        must_change_password=user.must_change_password,
        oidc=None
        if user.oidc_issuer is None or user.oidc_subject is None
        else OidcIdentity(user.oidc_issuer, user.oidc_subject),
        disabled_at=user.disabled_at,
        created_at=user.created_at,
        created_by=user.created_by,
        last_sign_in_at=user.last_sign_in_at,
        revision=user.revision,
    )


_KNOWN_CLAIMS = {str(claim): claim for claim in Claim}


def read_claims(stored: Collection[str]) -> frozenset[Claim]:
    """Claims that another release has known are left out."""
    return frozenset(_KNOWN_CLAIMS[claim] for claim in stored if claim in _KNOWN_CLAIMS)


def set_roles(session: Session, user_id: UUID, role_ids: Collection[UUID]) -> None:
    session.execute(delete(UserRole).where(UserRole.user_id == user_id, UserRole.role_id.not_in(role_ids)))
    there = set(session.scalars(select(UserRole.role_id).where(UserRole.user_id == user_id)))
    session.add_all(UserRole(user_id=user_id, role_id=each) for each in set(role_ids) - there)
    session.flush()


def has_other_active_user(session: Session, role_key: str, user_id: UUID) -> bool:
    """Whether somebody else who is not disabled has the role."""
    query = (
        select(UserRole.user_id)
        .join(Role)
        .join(User, User.id == UserRole.user_id)
        .where(Role.name_key == role_key, User.disabled_at.is_(None), User.id != user_id)
    )
    return bool(session.scalar(select(query.exists())))


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
