"""The platform's own key, and those of others that it trusts."""

from sqlalchemy.orm import Session

from raven_scan.access.audit import Target, record
from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.names import check_name
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.packages import errors, repository
from raven_scan.packages.models import PackageKey
from raven_scan.packages.signing import (
    find_public_key,
    is_signed,
    make_fingerprint,
    make_key_pair,
    sign,
    write_public_key,
)
from raven_scan.packages.types import OWN_KEY_NAME, PackageKeyView

_KIND = "package_key"
_MOST_TRIES = 5


class PackageKeys:
    """Keys of packages. The own one is made at first need, and is the same for all servers of the database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def get_own(self, actor: Actor) -> PackageKeyView:
        """The platform's own key, to be given to others."""
        actor.require(Claim.TRAINED_MODEL_VIEW)
        with self._database.transaction() as session:
            return repository.make_view(self._ensure_own(session, actor))

    def list_keys(self, actor: Actor, page: PageRequest) -> Page[PackageKeyView]:
        """All keys, those that were revoked too, in the order in which they came."""
        actor.require(Claim.TRAINED_MODEL_VIEW)
        with self._database.reading() as session:
            return repository.list_keys(session, page)

    def trust(self, actor: Actor, key: str, *, name: str) -> PackageKeyView:
        """From now on, packages signed with this key are believed.

        Args:
            actor: needs `settings:edit`.
            key: a line `ssh-ed25519 …`, or a public key as PEM.
            name: whose it is.

        Raises:
            Invalid: it is no such key, or the name cannot be one.
            Conflict: the key, or a key of this name, is trusted already.
        """
        actor.require(Claim.SETTINGS_EDIT)
        check_name(_KIND, name)
        public_key = find_public_key(key)
        if public_key is None:
            raise errors.make_bad_key()
        id_ = make_id()
        fingerprint = make_fingerprint(public_key)
        with self._database.transaction() as session:
            there = repository.find_trusted(session, public_key)
            if there is not None:
                raise errors.make_key_taken(
                    there.name,
                    f"The key {fingerprint} is trusted already, as {there.name!r}.",
                    "There is nothing to do.",
                )
            if name == OWN_KEY_NAME or repository.has_name(session, name):
                raise _make_name_taken(name)
            values = {
                "id": id_,
                "name": name,
                "public_key": public_key,
                "fingerprint": fingerprint,
                "is_own": False,
                "added_by": actor.name,
                "added_at": self._clock.now(),
            }
            if not repository.insert_key(session, values):  # somebody did so just now
                raise _make_name_taken(name)
            record(session, actor, "package_key.trusted", Target(_KIND, id_, name), fingerprint=fingerprint)
            found = repository.find_trusted(session, public_key)
        assert found is not None, "the key was just inserted"  # noqa: S101
        return found

    def revoke(self, actor: Actor, ref: str) -> None:
        """From now on, its signatures are refused. Of the own key nothing is left; the next need makes another.

        Args:
            actor: needs `settings:edit`.
            ref: name or id.

        Raises:
            NotFound: no such key is trusted.
        """
        actor.require(Claim.SETTINGS_EDIT)
        with self._database.transaction() as session:
            key = repository.find_key(session, ref)
            if key is None:
                raise errors.make_key_not_found(ref)
            repository.revoke_key(session, key.id, by=actor.name, at=self._clock.now())
            target = Target(_KIND, key.id, key.name)
            record(session, actor, "package_key.revoked", target, fingerprint=key.fingerprint)

    def sign(self, actor: Actor, content: bytes) -> tuple[PackageKeyView, bytes]:
        """Signs a manifest with the own key.

        Returns:
            The key, and 64 bytes of signature.
        """
        actor.require(Claim.TRAINED_MODEL_EXPORT)
        with self._database.transaction() as session:
            own = self._ensure_own(session, actor)
            assert own.private_key is not None, "the own key has it"  # noqa: S101
            return repository.make_view(own), sign(own.private_key, content)

    def check_signature(
        self, actor: Actor, content: bytes, *, public_key: bytes, signature: bytes
    ) -> PackageKeyView:
        """The trusted key that `content` is signed with.

        Raises:
            Forbidden: `package.unknown_signer`, `package.key_revoked`.
            Damaged: `package.signature_wrong`.
        """
        actor.require(Claim.TRAINED_MODEL_IMPORT)
        fingerprint = make_fingerprint(public_key)
        with self._database.reading() as session:
            trusted = repository.find_trusted(session, public_key)
            revoked = None if trusted is not None else repository.find_revoked(session, public_key)
        if revoked is not None and revoked.revoked_at is not None:
            since = revoked.revoked_at.date().isoformat()
            raise errors.make_key_revoked(fingerprint, revoked.name, since)
        if trusted is None:
            raise errors.make_unknown_signer(fingerprint, write_public_key(public_key, ""))
        if not is_signed(public_key, content, signature):
            raise errors.make_signature_wrong(fingerprint)
        return trusted

    def keep_trusted(self, actor: Actor, key: PackageKeyView) -> None:
        """In the caller's transaction: the key is not revoked before that ends. Raises Forbidden where it was."""
        actor.require(Claim.TRAINED_MODEL_IMPORT)
        with self._database.transaction() as session:
            if not repository.keep_trusted(session, key.id):
                raise errors.make_key_revoked(key.fingerprint, key.name, self._clock.now().date().isoformat())

    def _ensure_own(self, session: Session, actor: Actor) -> PackageKey:
        """The row of the own key, with its private part; made where there is none."""
        # Again where somebody revokes what others make meanwhile.
        for _ in range(_MOST_TRIES):
            found = repository.find_own_key(session)
            if found is not None:
                return found
            pair = make_key_pair()
            id_, fingerprint = make_id(), make_fingerprint(pair.public_key)
            values = {
                "id": id_,
                "name": OWN_KEY_NAME,
                "public_key": pair.public_key,
                "fingerprint": fingerprint,
                "is_own": True,
                "private_key": pair.private_key,
                "added_by": actor.name,
                "added_at": self._clock.now(),
            }
            if repository.insert_key(session, values):
                target = Target(_KIND, id_, OWN_KEY_NAME)
                record(session, actor, "package_key.made", target, fingerprint=fingerprint)
        raise errors.make_key_changes()


def _make_name_taken(name: str) -> Exception:
    return errors.make_key_taken(
        name, f"A key named {name!r} is trusted already.", "Choose another name, or revoke that one first."
    )
