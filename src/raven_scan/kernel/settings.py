"""Settings, from the environment (`RAVEN_…`)."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from raven_scan.kernel import setting_checks as checks

_SHORTEST_SECRET_PATH = 8
"""Characters; a shorter path of a webhook holds no token, and masking it would mask half the log."""


class Settings(BaseSettings):
    """Every setting of the platform; each is described in docs/settings.md."""

    # An empty variable is one that is not set: `RAVEN_TOKEN=` must not hide the token of `raven login`.
    model_config = SettingsConfigDict(
        env_prefix="RAVEN_", env_ignore_empty=True, frozen=True, hide_input_in_errors=True
    )

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
    training_cache_bytes: int = Field(
        default=5_000_000_000,
        ge=0,
        description="Decoded images that the trainings of a machine share take at most so many bytes, and never more "
        "than a tenth of the free disk. 0: none are kept.",
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda:\d{1,2})$",
        description="What runs compute on: cpu, cuda:0, …, or auto: a GPU where there is one.",
    )
    country: Annotated[str | None, BeforeValidator(checks.read_country)] = Field(
        default=None,
        description="The country whose electricity runs are computed with, as ITA (ISO 3166 alpha-3), for their CO2. "
        "Default: none, the world's average.",
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
    public_url: Annotated[str | None, AfterValidator(checks.check_public_url)] = Field(
        default=None,
        description="Where users reach the server, as https://raven.example.org. Notifications link to the run there, "
        "and browsers may sign in from there.",
    )
    contact: Annotated[str | None, AfterValidator(checks.check_contact)] = Field(
        default=None,
        description="Whom users turn to who cannot help themselves, as `it@example.org, ext. 42`; shown at the "
        "sign-in, and with errors. What an administrator sets while the server runs counts before it.",
    )
    trusted_proxies: Annotated[
        tuple[str, ...],
        NoDecode,
        BeforeValidator(checks.split),
        AfterValidator(checks.check_proxies),
    ] = Field(
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
    smtp_user: Annotated[str | None, AfterValidator(checks.check_mail_sign_in)] = Field(
        default=None, description="Who signs in at the mail server. Default: nobody."
    )
    smtp_password: Annotated[SecretStr | None, AfterValidator(checks.check_mail_password)] = Field(
        default=None, description="The password of `RAVEN_SMTP_USER`."
    )
    smtp_sender: Annotated[str | None, AfterValidator(checks.check_sender)] = Field(
        default=None,
        description="Whom notifications come from, as raven@example.org or Raven Scan <raven@example.org>.",
    )
    notify_emails: Annotated[
        tuple[str, ...],
        NoDecode,
        BeforeValidator(checks.split),
        AfterValidator(checks.check_emails),
    ] = Field(
        default=(),
        description="Who gets an e-mail when a run ends in Success or Error; several with commas between.",
    )
    webhook_secret: Annotated[SecretStr | None, AfterValidator(checks.check_webhook_secret)] = Field(
        default=None,
        description="The key that webhooks are signed with: whsec_ and 24 to 64 bytes in base64.",
    )
    notify_webhooks: Annotated[
        tuple[SecretStr, ...],
        NoDecode,
        BeforeValidator(checks.split),
        AfterValidator(checks.check_webhooks),
    ] = Field(
        default=(),
        description="Addresses that get a signed POST when a run ends in Success or Error; commas between.",
    )
    oidc_issuer: Annotated[str | None, AfterValidator(checks.check_issuer)] = Field(
        default=None,
        description="An identity provider that accounts may sign in at with OpenID Connect, as "
        "https://login.example.org; what it calls itself. Default: none.",
    )
    oidc_client_id: Annotated[str | None, AfterValidator(checks.check_client_id)] = Field(
        default=None, min_length=1, description="What the identity provider calls this platform."
    )
    oidc_client_secret: Annotated[SecretStr | None, AfterValidator(checks.check_client_secret)] = Field(
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
    oidc_roles: Annotated[dict[str, str], NoDecode, BeforeValidator(checks.read_roles)] = Field(
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
    def training_cache_folder(self) -> Path:
        """What trainings of this machine can have again, such as decoded images; it may be removed at any time."""
        return self.home / "training-cache"

    @property
    def uploads_folder(self) -> Path:
        """Files on their way to this server; here until they are imported, or expire."""
        return self.home / "uploads"

    @property
    def thumbnails_folder(self) -> Path:
        """Small pictures of images; they are drawn again where they are missing."""
        return self.home / "thumbnails"

    @property
    def runs_folder(self) -> Path:
        """Where earlier releases kept the logs of runs."""
        return self.home / "runs"
