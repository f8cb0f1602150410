"""The session to PostgreSQL, and the one way to hold a transaction."""

import time
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from contextvars import ContextVar
from typing import Any

import msgspec
import psycopg
from psycopg import conninfo
from sqlalchemy import URL, ClauseElement, Engine, MetaData, create_engine, event
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

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


_OPTIONS = (
    # A process that is frozen between two statements keeps its rows locked: nobody could take its run over.
    "-c idle_in_transaction_session_timeout=8s"
    # Compiling a statement takes longer than executing any of ours.
    " -c jit=off"
    # Of solid-state disks and of what is in memory; the default is of disks that turn.
    " -c random_page_cost=1.1"
)
_PLANNED_ANEW = " -c plan_cache_mode=force_custom_plan"
"""A plan that was made for what few rows have is slow for what all have, and the other way round."""

_READ_ONLY = " -c default_transaction_read_only=on"

_CONNECTION: dict[str, Any] = {
    # A server that vanished is noticed within seconds, not after a quarter of an hour.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


_URGENT_WAIT_S = 3.0
_LOOK_UPS_AT_ONCE = 8
_TRUSTED_FOR_S = 1.0
"""A connection that was used so lately is not tried before it is used: a question more would cost as much as most
queries do. What the server's end breaks meanwhile is one error, after which all connections are made anew."""


class Base(DeclarativeBase):
    """Every table's base; names of constraints are fixed so that migrations can speak of them."""

    metadata = MetaData(naming_convention=CONSTRAINT_NAMES)


class Database:
    """A PostgreSQL database.

    A use case that changes something holds one transaction: `with database.transaction() as session`. Inside one, a
    further `transaction()` (of another service that is called) joins it, so that several services change things
    together or not at all; the outermost commits. A use case that only reads takes `reading()`.

    Args:
        url: SQLAlchemy URL, `postgresql+psycopg://…`.

    Attributes:
        engine: for changes.
        reading_engine: each statement by itself, as READ COMMITTED sees things anyway, and without a transaction around
            it, which would take longer than most statements. PostgreSQL refuses changes over it.
    """

    def __init__(self, url: str, *, pool_size: int = 10, connect_args: dict[str, Any] | None = None) -> None:
        connecting = {**_CONNECTION, "options": _OPTIONS + _PLANNED_ANEW, **(connect_args or {})}
        self.engine = _make_engine(url, connecting, pool_size=pool_size, max_overflow=20)
        # Who reads waits for whoever reads: more at once are no faster.
        self.reading_engine = _make_engine(
            url,
            {**connecting, "options": _OPTIONS + _PLANNED_ANEW + _READ_ONLY},
            pool_size=pool_size,
            max_overflow=0,
            isolation_level="AUTOCOMMIT",
        )
        self._look_up_engine = _make_engine(
            url,
            {**connecting, "options": _OPTIONS + _READ_ONLY},
            pool_size=_LOOK_UPS_AT_ONCE,
            max_overflow=0,
            isolation_level="AUTOCOMMIT",
        )
        self._urgent_engine = _make_engine(url, connecting, pool_size=1, pool_timeout=_URGENT_WAIT_S)
        self._current: ContextVar[Session | None] = ContextVar("raven_session", default=None)
        self._reading: ContextVar[Session | None] = ContextVar("raven_reading_session", default=None)

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

    @contextmanager
    def reading(self) -> Generator[Session]:
        """A session that changes nothing; inside a transaction it is that one's, which sees its changes."""
        current = self._current.get() or self._reading.get()
        if current is not None:
            yield current
            return
        with Session(self.reading_engine, expire_on_commit=False) as session:
            token = self._reading.set(session)
            try:
                yield session
            finally:
                self._reading.reset(token)

    def look_up(self, query: str, parameters: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The row of a query that every request makes; inside a transaction it is that one's, which sees its changes.

        It goes past SQLAlchemy, which would take longer than all else about it, and PostgreSQL keeps its plan.

        Args:
            query: of `write_query`, which finds one row or none by a key; values come as psycopg reads them.
            parameters: by name.
        """
        current = self._current.get()
        if current is not None:
            row = current.connection().exec_driver_sql(query, dict(parameters)).one_or_none()
            return None if row is None else tuple(row)
        try:
            with closing(self._look_up_engine.raw_connection()) as connection:
                return _fetch_one(connection, query, parameters)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            # As SQLAlchemy does: what one connection lost, the others lost too.
            self._look_up_engine.dispose()
            raise OperationalError(query, None, error, hide_parameters=True) from error

    def close(self) -> None:
        for engine in self.list_engines():
            engine.dispose()

    def list_engines(self) -> list[Engine]:
        return [self.engine, self.reading_engine, self._look_up_engine, self._urgent_engine]


def write_query(statement: ClauseElement) -> str:
    """A statement as text for `Database.look_up`; its parameters are those that it names by `bindparam`."""
    return str(statement.compile(dialect=PGDialect_psycopg()))


def _fetch_one(
    connection: PoolProxiedConnection, query: str, parameters: Mapping[str, Any]
) -> tuple[Any, ...] | None:
    cursor = connection.cursor()
    try:
        cursor.execute(query, parameters)
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        connection.invalidate(error)
        raise
    found: tuple[Any, ...] | None = cursor.fetchone()
    return found


def _make_engine(url: str, connecting: dict[str, Any], **arguments: Any) -> Engine:
    # Runs and models hold much JSON: Python's own reader would take longer over it than all else does.
    engine = create_engine(
        url,
        connect_args=connecting,
        json_deserializer=msgspec.json.decode,
        # Errors are logged with their text, and what is stored may be a key.
        hide_parameters=True,
        **arguments,
    )
    _try_before_use(engine)
    return engine


def _try_before_use(engine: Engine) -> None:
    """What SQLAlchemy's `pool_pre_ping` does at every use, for connections that have been idle for a while alone."""

    def note_return(_: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        entry.info["returned_at"] = time.monotonic()

    def try_it(connection: DBAPIConnection, entry: ConnectionPoolEntry, _: object) -> None:
        if time.monotonic() - entry.info.get("returned_at", 0.0) < _TRUSTED_FOR_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    event.listen(engine, "connect", note_return)
    event.listen(engine, "checkin", note_return)
    event.listen(engine, "checkout", try_it)
