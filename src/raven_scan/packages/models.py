"""Tables of packages: keys, and what was packed lately."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, CheckConstraint, DateTime, Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from raven_scan.kernel.database import Base

_TIME = DateTime(timezone=True)
_IS_TRUSTED = text("revoked_at IS NULL")


class PackageKey(Base):
    """A key whose signatures are believed, until it is revoked; the platform's own has its private part."""

    __tablename__ = "package_keys"
    __table_args__ = (
        CheckConstraint("octet_length(public_key) = 32", name="ed25519"),
        CheckConstraint(
            "(private_key IS NOT NULL) = (is_own AND revoked_at IS NULL)", name="secret_while_own"
        ),
        CheckConstraint("(revoked_at IS NULL) = (revoked_by IS NULL)", name="revoked_by_somebody"),
        Index("uq_package_keys_name", "name", unique=True, postgresql_where=_IS_TRUSTED),
        Index("uq_package_keys_public_key", "public_key", unique=True, postgresql_where=_IS_TRUSTED),
        Index(
            "uq_package_keys_own",
            "is_own",
            unique=True,
            postgresql_where=text("is_own AND revoked_at IS NULL"),
        ),
        Index("ix_package_keys_added_at", "added_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    fingerprint: Mapped[str] = mapped_column(Text)
    is_own: Mapped[bool] = mapped_column(Boolean)
    private_key: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    added_by: Mapped[str] = mapped_column(Text)
    added_at: Mapped[datetime] = mapped_column(_TIME)
    revoked_by: Mapped[str | None] = mapped_column(Text)
    revoked_at: Mapped[datetime | None] = mapped_column(_TIME)


class ModelPackage(Base):
    """A package that was made lately, to be downloaded. Its blob is named by nothing else, and is collected in time."""

    __tablename__ = "model_packages"
    __table_args__ = (Index("ix_model_packages_made_at", "made_at"),)

    model_id: Mapped[UUID] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(Text, primary_key=True)
    file_name: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime] = mapped_column(_TIME)
