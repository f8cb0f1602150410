"""PlatformSettingsController: settings that are changed while the server runs, over REST."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Response

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.kernel.revisions import format_etag, parse_if_match
from raven_scan.platform_settings.schemas import PlatformSettingEdit, PlatformSettingOut
from raven_scan.platform_settings.service import PlatformSettingService
from raven_scan.platform_settings.types import PlatformSettingView

_ETAG: dict[int | str, dict[str, Any]] = {
    200: {"headers": {"ETag": {"schema": {"type": "string"}, "description": "Send it as If-Match."}}}
}


def build_router(service: PlatformSettingService, get_actor: ActorDependency) -> APIRouter:
    router = APIRouter(prefix="/api/v1/system/settings", tags=["system"])

    @router.get("/{name}", responses=_ETAG)
    def get(actor: Annotated[Actor, Depends(get_actor)], name: str, response: Response) -> PlatformSettingOut:
        """Read a setting that is changed while the server runs, such as `contact`."""
        return _tag(response, service.get_setting(actor, name))

    @router.patch("/{name}", responses=_ETAG)
    def change(
        actor: Annotated[Actor, Depends(get_actor)],
        name: str,
        body: PlatformSettingEdit,
        response: Response,
        if_match: Annotated[
            str | None, Header(description="The ETag that you read; what was changed since is refused.")
        ] = None,
    ) -> PlatformSettingOut:
        """Set it from now on, or unset it, so that the environment variable counts again."""
        changed = service.change(actor, name, body.value, expected=parse_if_match(if_match))
        return _tag(response, changed)

    return router


def _tag(response: Response, setting: PlatformSettingView) -> PlatformSettingOut:
    response.headers["ETag"] = format_etag(setting.revision)
    return PlatformSettingOut.model_validate(setting)
