"""The system over REST: what it is made of, and how it is set up."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class DatabaseOut(BaseModel):
    reachable: bool


class SystemOut(BaseModel):
    version: str
    database: DatabaseOut
    worker: Annotated[bool, Field(description="Whether this server has a worker inside that runs.")]
    missing: Annotated[
        list[str], Field(description="What requests need and is not there: database, schema, storage.")
    ]


class SettingOut(BaseModel):
    """A setting as it counts. `value`: of a secret, `***`; null where there is none."""

    model_config = ConfigDict(from_attributes=True)

    name: Annotated[str, Field(description="Of the environment variable.")]
    value: Any
    source: Annotated[
        str,
        Field(
            description="environment: the server was started with it; platform: it was set while the server ran, "
            "which counts before; default: nobody has set it."
        ),
    ]
    is_default: Annotated[bool, Field(description="Nobody has set it.")]
    description: str


class SettingPage(BaseModel):
    items: list[SettingOut]
    next: str | None
