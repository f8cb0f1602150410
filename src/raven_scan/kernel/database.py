"""The session to PostgreSQL, and the one way to hold a transaction."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from psycopg import conninfo
from sqlalchemy import URL, Engine, MetaData, create_engine
from sqlalchemy.orm import DeclarativeBase, Session

from raven_scan.kernel.errors import Unavailable

CONSTRAINT_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


def describe_database_loss() -> Unavailable:
    """What a user is told while PostgreSQL does not answer."""
    return Unavailable(
        "database.unavailable",
        "The database does not answer.",
        hint="See `raven db status`, or the server that RAVEN_DATABASE_URL names; then try again.",
    )


def make_conninfo(url: URL) -> str:
    """The address as libpq takes it, with its password.

    Not as an address of a page: SQLAlchemy writes the space in a folder's name as a plus, and libpq reads a plus.
    """
    _, parameters = url.get_dialect()().create_connect_args(url)
    return conninfo.make_conninfo("", **parameters)


_CONNECTION: dict[str, Any] = {
    # A process that is frozen between two statements keeps its rows locked: nobody could take its run over.
    "options": "-c idle_in_transaction_session_timeout=8s"
    # A plan that was made for what few rows have is slow for what all have, and the other way round.
    " -c plan_cache_mode=force_custom_plan"
    # Compiling a statement takes longer than executing any of ours.
    " -c jit=off"
    # Of solid-state disks and of what is in memory; the default is of disks that turn.
    " -c random_page_cost=1.1",
    # A server that vanished is noticed within seconds, not after a quarter of an hour.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


_URGENT_WAIT_S = 3.0


class Base(DeclarativeBase):
    """Every table's base; names of constraints are fixed so that migrations can speak of them."""

    metadata = MetaData(naming_convention=CONSTRAINT_NAMES)


class Database:
    """A PostgreSQL database.

    A use case holds one transaction: `with database.transaction() as session`. Inside one, a further
    `transaction()` (of another service that is called) joins it, so that several services change things together
    or not at all; the outermost commits.

    Args:
        url: SQLAlchemy URL, `postgresql+psycopg://…`.
    """

    def __init__(self, url: str, *, pool_size: int = 10, connect_args: dict[str, Any] | None = None) -> None:
        arguments = {**_CONNECTION, **(connect_args or {})}
        self.engine: Engine = create_engine(
            url, pool_size=pool_size, max_overflow=20, pool_pre_ping=True, connect_args=arguments
        )
        self._urgent_engine = create_engine(
            url, pool_size=1, pool_timeout=_URGENT_WAIT_S, pool_pre_ping=True, connect_args=arguments
        )
        self._current: ContextVar[Session | None] = ContextVar("raven_session", default=None)

    @contextmanager
    def transaction(self, *, urgent: bool = False) -> Generator[Session]:
        """A transaction of its own, or the one that is open.

        Args:
            urgent: over connections that are kept for what must not wait behind requests, such as heartbeats.
        """
        current = self._current.get()
        if current is not None:
            yield current
            return
        engine = self._urgent_engine if urgent else self.engine
        with Session(engine, expire_on_commit=False) as session, session.begin():
            token = self._current.set(session)
            try:
                yield session
            finally:
                self._current.reset(token)

    def close(self) -> None:
        self.engine.dispose()
        self._urgent_engine.dispose()
