"""Settings, from the environment (`RAVEN_…`)."""

from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting of the platform; each is described in docs/settings.md."""

    model_config = SettingsConfigDict(env_prefix="RAVEN_", frozen=True)

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
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda:\d{1,2})$",
        description="What runs compute on: cpu, cuda:0, …, or auto: a GPU where there is one.",
    )
    lease_timeout_s: float = Field(
        default=12.0,
        ge=1.0,
        description="A worker that has not been heard of for so long has lost its run.",
    )
    model_index: str | None = Field(
        default=None,
        description="Base address that replaces the one of MMDetection's model index, for a mirror of its checkpoints.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="DEBUG, INFO, WARNING or ERROR."
    )

    def list_secrets(self) -> list[SecretStr]:
        """What no log may show."""
        return [secret for secret in (self.token, self.database_url) if secret is not None]

    @property
    def blobs_folder(self) -> Path:
        return self.home / "blobs"

    @property
    def work_folder(self) -> Path:
        """Working folders of attempts; nothing here outlives its run."""
        return self.home / "work"

    @property
    def runs_folder(self) -> Path:
        """Logs and kept checkpoints of runs, a folder a run."""
        return self.home / "runs"
