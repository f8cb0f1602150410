"""Images of dataset versions over REST, as pictures."""

from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Header, Query, Response

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.datasets.pictures import LARGEST_SIDE_PX, SMALLEST_SIDE_PX, VersionPictures

_MOST_DRAWN = 2
"""Pictures at once: large images take much memory while they are decoded."""
_CACHING = "private, max-age=31536000, immutable"
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture.", "content": {"image/jpeg": {}}},
    304: {"description": "It is what it was: its ETag was sent as If-None-Match."},
}


def build_router(pictures: VersionPictures, get_actor: ActorDependency) -> APIRouter:
    router = APIRouter(prefix="/api/v1/datasets", tags=["datasets"])
    drawing = CapacityLimiter(_MOST_DRAWN)

    @router.get("/{ref}/images/{digest}", response_class=Response, responses=_ANSWERS)
    async def draw(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        digest: str,
        size: Annotated[
            int | None,
            Query(
                ge=SMALLEST_SIDE_PX,
                le=LARGEST_SIDE_PX,
                description="Longest side in pixels; else the image's own.",
            ),
        ] = None,
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Look at an image of a version, name@number or id, by its digest: as JPEG, upright. It never changes."""
        image = await to_thread.run_sync(pictures.get_image, actor, ref, digest)
        etag = f'"{image.digest}-{size or "own"}"'
        headers = {"ETag": etag, "Cache-Control": _CACHING, "X-Content-Type-Options": "nosniff"}
        if if_none_match is not None and etag in [each.strip() for each in if_none_match.split(",")]:
            return Response(status_code=304, headers=headers)
        content = await to_thread.run_sync(pictures.draw, image, size, limiter=drawing)
        return Response(content, media_type="image/jpeg", headers=headers)

    return router
