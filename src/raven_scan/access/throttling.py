"""Failed sign-ins slow down further ones: by account, and by address. It is in the database, so restarts help nobody.

A try is charged as a failure before the password is looked at, and taken back where it was right: many tries at once
get no more guesses than one after the other, and a server that is killed meanwhile forgets none.
"""

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from sqlalchemy.orm import Session

from raven_scan.access.errors import too_many_failures
from raven_scan.access.repository import throttles
from raven_scan.access.secret_text import hash_secret
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database

FORGOTTEN_AFTER = timedelta(hours=1)
"""After so long without a failure, counting begins anew."""


@dataclass(frozen=True, slots=True)
class _Limit:
    """`free`: failures that cost nothing; each further one doubles the wait, from a second on."""

    free: int
    longest_s: int

    def get_wait_s(self, failures: int) -> int:
        beyond = failures - self.free
        return 0 if beyond <= 0 else min(self.longest_s, 1 << min(beyond - 1, 30))


ACCOUNT_LIMIT = _Limit(free=4, longest_s=300)
"""No longer than five minutes: whoever wants to keep somebody out by failing in their name shall not get more."""
ADDRESS_LIMIT = _Limit(free=20, longest_s=900)
"""Many people may share an address."""


class SignInThrottling:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def charge(self, account_key: str, address: str) -> None:
        """Counts a try as failed; in a transaction of its own.

        Args:
            account_key: of the name that was given, whether somebody goes by it or not.
            address: where it comes from; empty for none.

        Raises:
            Throttled: it is too early for another; it is not counted.
        """
        now = self._clock.now()
        with self._database.transaction() as session:
            # Always in this order, so that no two wait for each other.
            charged = [
                (throttles.lock_throttle(session, kind, key, now), limit)
                for kind, key, limit in _list_keys(account_key, address)
            ]
            free_at = max(throttle.blocked_until for throttle, _ in charged)
            if free_at > now:
                raise too_many_failures(-(-(free_at - now) // timedelta(seconds=1)))
            for throttle, limit in charged:
                is_forgotten = throttle.last_failed_at < now - FORGOTTEN_AFTER
                throttle.failures = 1 if is_forgotten else throttle.failures + 1
                throttle.last_failed_at = now
                throttle.blocked_until = now + timedelta(seconds=limit.get_wait_s(throttle.failures))

    def clear(self, session: Session, account_key: str, address: str) -> None:
        """The try went well: the account's failures are forgotten, the address's others are not."""
        now = self._clock.now()
        (account, *rest) = _list_keys(account_key, address)
        throttles.forget(session, account[0], account[1])
        for kind, key, _ in rest:
            throttles.take_back(session, kind, key, now)
        throttles.forget_before(session, now - FORGOTTEN_AFTER)

    def forget_account(self, session: Session, account_key: str) -> None:
        """An administrator has given the account another password."""
        throttles.forget(session, "account", hash_secret(account_key))


def _list_keys(account_key: str, address: str) -> list[tuple[str, bytes, _Limit]]:
    keys = [("account", hash_secret(account_key), ACCOUNT_LIMIT)]
    if address:
        keys.append(("address", hash_secret(_widen(address)), ADDRESS_LIMIT))
    return keys


def _widen(address: str) -> str:
    """One customer has a whole network of IPv6 addresses."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(ip_network((parsed, 64), strict=False))
    return str(parsed)
