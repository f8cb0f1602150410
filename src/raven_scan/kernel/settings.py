"""Settings, from the environment (`RAVEN_…`)."""

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from raven_scan.kernel.addresses import (
    check_web_address,
    is_loopback,
    read_email_address,
    read_signing_key,
    split_list,
)

_SHORTEST_SECRET_PATH = 8
"""Characters; a shorter path of a webhook holds no token, and masking it would mask half the log."""


class Settings(BaseSettings):
    """Every setting of the platform; each is described in docs/settings.md."""

    model_config = SettingsConfigDict(env_prefix="RAVEN_", frozen=True, hide_input_in_errors=True)

    home: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("raven-scan")),
        description="The data folder: embedded database, blobs, working files. Admits only its owner.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="An external PostgreSQL, as postgresql://user:password@host/name. Default: an embedded one.",
    )
    server: str | None = Field(
        default=None,
        description="The server that the command line talks to, as http://127.0.0.1:8700. "
        "Default: none, it works by itself.",
    )
    token: SecretStr | None = Field(
        default=None,
        description="The token for that server, and the one `raven serve` asks for. Default: kept in the data folder.",
    )
    largest_image_pixels: int = Field(
        default=400_000_000,
        ge=1_000_000,
        description="Images with more pixels than this are refused.",
    )
    largest_archive_bytes: int = Field(
        default=200_000_000_000,
        ge=1_000_000,
        description="An archive that unpacks to more bytes than this is refused.",
    )
    largest_archive_files: int = Field(
        default=2_000_000, ge=1, description="An archive with more files than this is refused."
    )
    storage_url: str | None = Field(
        default=None,
        description="Where blobs are kept: s3://bucket/prefix, or file:///mnt/share/raven. Default: the data folder.",
    )
    storage_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^/@?#]+/?$",
        description="The server of an S3 storage that is not Amazon's, as https://s3.example.org. "
        "Default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or Amazon.",
    )
    storage_region: str | None = Field(
        default=None,
        min_length=1,
        description="The region of an S3 storage. Default: AWS_REGION, or us-east-1.",
    )
    storage_access_key: SecretStr | None = Field(
        default=None,
        description="The id of the key to an S3 storage. Default: AWS_ACCESS_KEY_ID, or the machine's role.",
    )
    storage_secret_key: SecretStr | None = Field(
        default=None,
        description="The key to an S3 storage. Default: AWS_SECRET_ACCESS_KEY, or the machine's role.",
    )
    storage_cache_folder: Path | None = Field(
        default=None,
        description="Where blobs of `RAVEN_STORAGE_URL` are used; on the file system of RAVEN_HOME. "
        "Default: cache in the data folder.",
    )
    storage_cache_bytes: int = Field(
        default=50_000_000_000,
        ge=1_000_000,
        description="Blobs that were used least recently leave the cache beyond so many bytes.",
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda:\d{1,2})$",
        description="What runs compute on: cpu, cuda:0, …, or auto: a GPU where there is one.",
    )
    lease_timeout_s: float = Field(
        default=10.0,
        ge=4.0,
        description="A worker that has not been heard of for so long has lost its run.",
    )
    hang_timeout_s: float = Field(
        default=300.0,
        ge=5.0,
        description="A trainer that tells nothing for so long, and for twenty steps' time, hangs and is started again; "
        "while it builds a model or evaluates, three times as long.",
    )
    largest_log_bytes: int = Field(
        default=256_000_000,
        ge=10_000,
        description="Of a run's log that has more bytes than this, the middle is dropped: its beginning and its end "
        "are kept.",
    )
    warm_models: int = Field(
        default=2,
        ge=1,
        le=64,
        description="How many models a server keeps ready for detection, each in a process; the least recently used "
        "one makes room for another.",
    )
    warm_model_memory_bytes: int = Field(
        default=8_000_000_000,
        ge=1_000_000_000,
        description="What these processes may take together; one may always be there.",
    )
    warm_model_idle_s: float = Field(
        default=300.0, ge=0.1, description="A model that nobody detected with for so long is let go."
    )
    largest_detection_images: int = Field(
        default=1_000, ge=1, description="A request for detections with more images than this is refused."
    )
    largest_detection_bytes: int = Field(
        default=2_000_000_000,
        ge=1_000_000,
        description="A request for detections that sends more bytes than this is refused.",
    )
    detection_memory_bytes: int = Field(
        default=4_000_000_000,
        ge=10_000_000,
        description="What images may take in a model's process while they are decoded.",
    )
    detection_timeout_s: float = Field(
        default=900.0,
        ge=1.0,
        description="A request for detections is given up after so long, waiting included.",
    )
    trash_days: int = Field(
        default=30,
        ge=0,
        le=36_500,
        description="What was deleted can be restored for so many days; then it goes for good.",
    )
    model_index: str | None = Field(
        default=None,
        description="Base address that replaces the one of MMDetection's model index, for a mirror of its checkpoints.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="DEBUG, INFO, WARNING or ERROR."
    )
    public_url: str | None = Field(
        default=None,
        description="Where users reach the server, as https://raven.example.org. Notifications link to the run there, "
        "and browsers may sign in from there.",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Addresses or networks of proxies before the server, as 127.0.0.1 or 10.0.0.0/8; commas between. "
        "Who asks, and whether over TLS, is taken from their X-Forwarded-For and X-Forwarded-Proto.",
    )
    smtp_host: str | None = Field(
        default=None, min_length=1, description="The mail server that notifications are handed to."
    )
    smtp_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Its port. Default: 587 for starttls, 465 for tls, 25 for none.",
    )
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="starttls: encrypted before anything is said, or not sent; tls: encrypted from the start; none.",
    )
    smtp_user: str | None = Field(
        default=None, description="Who signs in at the mail server. Default: nobody."
    )
    smtp_password: SecretStr | None = Field(default=None, description="The password of `RAVEN_SMTP_USER`.")
    smtp_sender: str | None = Field(
        default=None,
        description="Whom notifications come from, as raven@example.org or Raven Scan <raven@example.org>.",
    )
    notify_emails: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Who gets an e-mail when a run ends in Success or Error; several with commas between.",
    )
    webhook_secret: SecretStr | None = Field(
        default=None,
        description="The key that webhooks are signed with: whsec_ and 24 to 64 bytes in base64.",
    )
    notify_webhooks: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(),
        description="Addresses that get a signed POST when a run ends in Success or Error; commas between.",
    )
    oidc_issuer: str | None = Field(
        default=None,
        description="An identity provider that accounts may sign in at with OpenID Connect, as "
        "https://login.example.org; what it calls itself. Default: none.",
    )
    oidc_client_id: str | None = Field(
        default=None, min_length=1, description="What the identity provider calls this platform."
    )
    oidc_client_secret: SecretStr | None = Field(
        default=None,
        description="What it recognises this platform by. Default: none, for a public client.",
    )
    oidc_name: str = Field(
        default="OpenID Connect", min_length=1, description="What users are shown as the provider's name."
    )
    oidc_scopes: str = Field(
        default="openid profile email",
        pattern=r"^openid( [\x21\x23-\x5b\x5d-\x7e]+)*$",
        description="What is asked of the provider; some tell groups only where `groups` is among it.",
    )
    oidc_groups_claim: str = Field(
        default="groups", min_length=1, description="Where the provider tells somebody's groups."
    )
    oidc_roles: Annotated[dict[str, str], NoDecode] = Field(
        default={},
        description="Roles by the provider's groups, as staff=Trainer, boss=Admin. Whoever signs in has exactly those "
        "of these roles that their groups give; other roles stay as administrators gave them.",
    )
    oidc_default_role: str | None = Field(
        default=None,
        min_length=1,
        description="The role of new accounts whose groups give none. Default: none, an administrator has to enable "
        "them first.",
    )
    allow_private_webhooks: bool = Field(
        default=False,
        description="Lets users' subscriptions name webhooks of this machine and of its own networks.",
    )

    @field_validator("notify_emails", "notify_webhooks", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, given: Any) -> Any:
        return split_list(given) if isinstance(given, str) else given

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, given: str | None) -> str | None:
        if given is not None:
            _refuse_where(check_web_address, given, "it")
        return given

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for network in given:
            try:
                ip_network(network)
            except ValueError:
                raise _refuse("one is no address or network, as 127.0.0.1 or 10.0.0.0/8") from None
        return given

    @field_validator("smtp_user", "smtp_password")
    @classmethod
    def _check_sign_in(cls, given: str | SecretStr | None, info: ValidationInfo) -> str | SecretStr | None:
        plain = given.get_secret_value() if isinstance(given, SecretStr) else given
        if plain is None:
            return given
        if not plain.isascii() or not plain.isprintable():
            raise _refuse("it has a character that is not in ASCII, which the sign-in at mail servers wants")
        if info.data.get("smtp_security") == "none":
            raise _refuse(
                "nobody signs in without encryption; set RAVEN_SMTP_SECURITY to starttls or tls, or unset this"
            )
        if info.field_name == "smtp_password" and info.data.get("smtp_user", "") is None:
            raise _refuse("RAVEN_SMTP_USER is missing")
        return given

    @field_validator("smtp_sender")
    @classmethod
    def _check_sender(cls, given: str | None) -> str | None:
        if given is not None:
            _refuse_where(read_email_address, given, "it")
        return given

    @field_validator("notify_emails")
    @classmethod
    def _check_emails(cls, given: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for number, address in enumerate(given, start=1):
            _refuse_where(read_email_address, address, f"address {number}")
        for needed in ("smtp_host", "smtp_sender"):
            # What was itself refused is not in the data, and told already.
            if given and info.data.get(needed, "") is None:
                raise _refuse(f"RAVEN_{needed.upper()} is missing, without which no e-mail can be sent")
        return given

    @field_validator("webhook_secret")
    @classmethod
    def _check_webhook_secret(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None:
            _refuse_where(read_signing_key, given.get_secret_value(), "it")
        return given

    @field_validator("notify_webhooks")
    @classmethod
    def _check_webhooks(cls, given: tuple[SecretStr, ...], info: ValidationInfo) -> tuple[SecretStr, ...]:
        for number, address in enumerate(given, start=1):
            _refuse_where(check_web_address, address.get_secret_value(), f"address {number}")
        if given and info.data.get("webhook_secret", "") is None:
            raise _refuse(
                'RAVEN_WEBHOOK_SECRET is missing; make one: echo "whsec_$(openssl rand -base64 32)"'
            )
        return given

    @field_validator("oidc_issuer")
    @classmethod
    def _check_issuer(cls, given: str | None) -> str | None:
        if given is not None:
            _refuse_where(check_web_address, given, "it")
            parts = urlsplit(given)
            if parts.query or parts.username is not None:
                raise _refuse("it has more than a host and a path")
            if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
                raise _refuse("it must begin with https://, or be of this machine")
        return given

    @field_validator("oidc_client_id", "oidc_client_secret")
    @classmethod
    def _check_client(cls, given: Any, info: ValidationInfo) -> Any:
        if given is not None and info.data.get("oidc_issuer", "") is None:
            raise _refuse("RAVEN_OIDC_ISSUER is missing")
        if info.field_name == "oidc_client_id" and given is None and info.data.get("oidc_issuer") is not None:
            raise _refuse("it is missing; RAVEN_OIDC_ISSUER alone lets nobody in")
        return given

    @field_validator("oidc_roles", mode="before")
    @classmethod
    def _read_roles(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        pairs = [pair.partition("=") for pair in given.split(",") if pair.strip()]
        if not all(group.strip() and equals and role.strip() for group, equals, role in pairs):
            raise _refuse("it is not like group=Role, group=Role")
        return {group.strip(): role.strip() for group, _, role in pairs}

    def list_secrets(self) -> list[SecretStr]:
        """What no log may show."""
        # Clients log an address in their own spelling; what comes after the host is the same in all.
        addresses = [urlsplit(address.get_secret_value()) for address in self.notify_webhooks]
        paths = [address._replace(scheme="", netloc="").geturl() for address in addresses]
        return [
            secret
            for secret in (
                self.token,
                self.database_url,
                self.smtp_password,
                self.webhook_secret,
                self.oidc_client_secret,
                self.storage_access_key,
                self.storage_secret_key,
                *self.notify_webhooks,
                *(SecretStr(path) for path in paths if len(path) >= _SHORTEST_SECRET_PATH),
            )
            if secret is not None
        ]

    @property
    def blobs_folder(self) -> Path:
        return self.home / "blobs"

    @property
    def blob_cache_folder(self) -> Path:
        """Where blobs of a remote storage are used."""
        return self.storage_cache_folder or self.home / "cache"

    @property
    def work_folder(self) -> Path:
        """Working folders of attempts; nothing here outlives its run."""
        return self.home / "work"

    @property
    def uploads_folder(self) -> Path:
        """Files on their way to this server; here until they are imported, or expire."""
        return self.home / "uploads"

    @property
    def runs_folder(self) -> Path:
        """Where earlier releases kept the logs of runs."""
        return self.home / "runs"


def _refuse(sentence: str) -> PydanticCustomError:
    """What a validator raises; the sentence quotes no value, which may be a secret."""
    return PydanticCustomError("setting", "{sentence}", {"sentence": sentence})


def _refuse_where(check: Callable[[str], object], given: str, subject: str) -> None:
    try:
        check(given)
    except ValueError as error:
        raise _refuse(f"{subject} {error}") from None
