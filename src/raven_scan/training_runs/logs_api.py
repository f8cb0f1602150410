"""Logs of training runs over REST."""

import re
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.kernel.media_types import choose_media_type
from raven_scan.training_runs.log_reading import LogFile, TrainingRunLogs
from raven_scan.training_runs.schemas import LogOut, LogSearchOut
from raven_scan.training_runs.service import TrainingRunService
from raven_scan.training_runs.types import LogRange

_LOG_LIMIT_BYTES = 1 << 18
_LARGEST_OFFSET = (1 << 62) - 1
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_JSON, _TEXT = "application/json", "text/plain"
_MEDIA_TYPE = f"{_TEXT}; charset=utf-8"
_PLACE_HEADERS = {
    "Log-Offset": "offset",
    "Log-Next-Offset": "next_offset",
    "Log-Size-Bytes": "size_bytes",
    "Log-Missing-Bytes": "missing_bytes",
}
"""What the text alone does not say, by the names that it has in JSON."""

_LOG_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "As JSON; or the text alone, with the rest in headers.",
        "content": {_TEXT: {"schema": {"type": "string"}}},
        "headers": {
            **{
                name: {"description": f"Of {_TEXT}: `{field}`.", "schema": {"type": "integer"}}
                for name, field in _PLACE_HEADERS.items()
            },
            "Link": {
                "description": f'Of {_TEXT}: where to go on, as rel="next"; at the end, where more will be.',
                "schema": {"type": "string"},
            },
        },
    }
}


def build_logs_router(
    runs: TrainingRunService, service: TrainingRunLogs, get_actor: ActorDependency
) -> APIRouter:
    router = APIRouter(prefix="/api/v1/training-runs", tags=["training runs"])

    @router.get("/{ref}/logs", response_model=LogOut, responses=_LOG_RESPONSES)
    def read_log(
        request: Request,
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        offset: Annotated[
            int, Query(ge=0, le=_LARGEST_OFFSET, description="First byte; the answer says where to go on.")
        ] = 0,
        limit: Annotated[
            int, Query(ge=1, le=1 << 20, description="Most bytes to answer.")
        ] = _LOG_LIMIT_BYTES,
        tail_lines: Annotated[
            int | None, Query(ge=1, le=10_000, description="The last so many lines, whatever the offset.")
        ] = None,
        accept: Annotated[
            str | None, Header(description=f"{_TEXT} for the text alone; else {_JSON}.")
        ] = None,
    ) -> Response:
        """Read a part of the run's log."""
        if tail_lines is not None:
            part = service.read_last_lines(actor, ref, tail_lines)
        else:
            part = runs.read_log(actor, ref, offset, limit)
        if choose_media_type(accept, (_JSON, _TEXT)) == _TEXT:
            return _answer_text(part, path=request.url.path, limit=limit)
        content = LogOut.model_validate(part).model_dump_json()
        return Response(content, media_type=_JSON, headers={"Vary": "Accept"})

    @router.get("/{ref}/logs/search")
    def search_log(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        q: Annotated[str, Query(min_length=1, max_length=200, description="Looked for as it is.")],
        offset: Annotated[
            int, Query(ge=0, le=_LARGEST_OFFSET, description="The `next_offset` of the answer before.")
        ] = 0,
        line: Annotated[
            int, Query(ge=1, le=_LARGEST_OFFSET, description="The `next_line` of the answer before.")
        ] = 1,
        limit: Annotated[int, Query(ge=1, le=1000, description="Most lines to find.")] = 100,
    ) -> LogSearchOut:
        """Find the lines of the log that have some words in them."""
        return LogSearchOut.model_validate(
            service.search(actor, ref, q, offset=offset, line=line, most=limit)
        )

    @router.get(
        "/{ref}/logs/raw",
        response_class=Response,
        responses={
            200: {"description": "The whole log.", "content": {"text/plain": {"schema": {"type": "string"}}}},
            206: {"description": "The bytes asked for.", "content": {"text/plain": {}}},
            416: {"description": "The log has no such bytes.", "content": {"text/plain": {}}},
        },
    )
    def download_log(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        given_range: Annotated[
            str | None, Header(alias="Range", description="One range of bytes, such as bytes=1000-.")
        ] = None,
        if_range: Annotated[
            str | None, Header(description="The ETag of the file that a part is there of.")
        ] = None,
    ) -> Response:
        """Download the log as a file. Of one that grew too long, a line stands for what was dropped."""
        file = service.open_file(actor, ref)
        headers = {
            "Accept-Ranges": "bytes",
            "ETag": file.etag,
            "Cache-Control": "no-cache",
            "Content-Disposition": f"inline; filename*=UTF-8''{quote(file.run_name, safe='')}.log",
        }
        first, behind, status = 0, file.size_bytes, 200
        wanted = _parse_range(given_range, file) if if_range in {None, file.etag} else None
        if wanted is not None:
            first, behind = wanted
            status = 206
            if first >= behind:
                headers["Content-Range"] = f"bytes */{file.size_bytes}"
                return Response(status_code=416, headers=headers, media_type=_MEDIA_TYPE)
            headers["Content-Range"] = f"bytes {first}-{behind - 1}/{file.size_bytes}"
        headers["Content-Length"] = str(behind - first)
        return StreamingResponse(
            service.read_file(actor, file, first, behind),
            status_code=status,
            headers=headers,
            media_type=_MEDIA_TYPE,
        )

    return router


def _answer_text(part: LogRange, *, path: str, limit: int) -> Response:
    query = urlencode({"offset": part.next_offset, "limit": limit})
    headers = {name: str(getattr(part, field)) for name, field in _PLACE_HEADERS.items()}
    headers |= {"Link": f'<{quote(path)}?{query}>; rel="next"', "Vary": "Accept"}
    return Response(part.text, media_type=_MEDIA_TYPE, headers=headers)


def _parse_range(given: str | None, file: LogFile) -> tuple[int, int] | None:
    """First byte, and the one behind the last; None: the whole file is answered (RFC 9110, 14.2)."""
    match = _RANGE.fullmatch(given.strip()) if given else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return max(0, file.size_bytes - int(last)), file.size_bytes
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, file.size_bytes) if last else file.size_bytes
