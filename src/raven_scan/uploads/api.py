"""UploadsController: large files in parts that go on where they broke off.

Bytes are sent, and offsets asked for, as in the core protocol of tus 1.0.0 (https://tus.io/protocols/resumable-upload):
PATCH with `Upload-Offset`, HEAD. Beginning and completing an upload are ours, in JSON.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.kernel.errors import Invalid
from raven_scan.kernel.long_work import stream_work
from raven_scan.kernel.progress import Progress
from raven_scan.uploads.appending import Appending
from raven_scan.uploads.schemas import UploadComplete, UploadCreate, UploadOut, UploadPage
from raven_scan.uploads.service import PART_BYTES, UploadService
from raven_scan.uploads.types import UploadView

_PART_TYPE = "application/offset+octet-stream"
_WRITE_BYTES = 1 << 20
_LONGEST_SILENCE_S = 60.0

_PART_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {_PART_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}
_OFFSET_HEADER: dict[str, Any] = {
    "Upload-Offset": {"description": "Bytes that have come.", "schema": {"type": "integer"}}
}
_LINES = "application/x-ndjson"
_WORK: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One JSON object a line: progress, and at last done (with the upload) or failed.",
        "content": {_LINES: {"schema": {"type": "string"}}},
    }
}


def build_router(service: UploadService, get_actor: ActorDependency) -> APIRouter:
    router = APIRouter(prefix="/api/v1/uploads", tags=["uploads"])

    @router.post("", status_code=201)
    def begin(
        actor: Annotated[Actor, Depends(get_actor)], body: UploadCreate, response: Response
    ) -> UploadOut:
        """Begin an upload; its bytes are sent by PATCH."""
        upload = service.begin(actor, body.purpose, file_name=body.file_name, size_bytes=body.size_bytes)
        response.headers["Location"] = f"/api/v1/uploads/{upload.id}"
        return _describe(upload)

    @router.get("")
    def list_all(actor: Annotated[Actor, Depends(get_actor)]) -> UploadPage:
        """List your uploads, newest first."""
        return UploadPage(items=[_describe(upload) for upload in service.list_uploads(actor)])

    @router.get("/{ref}")
    def get(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> UploadOut:
        """Read how far an upload has come."""
        return _describe(service.get_upload(actor, ref))

    @router.head("/{ref}", responses={200: {"headers": _OFFSET_HEADER}}, response_class=Response)
    def ask_offset(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> Response:
        """Ask how far an upload has come, by headers alone."""
        upload = service.get_upload(actor, ref)
        headers = _make_headers(upload.offset_bytes)
        if upload.size_bytes is not None:
            headers["Upload-Length"] = str(upload.size_bytes)
        return Response(headers=headers)

    @router.patch(
        "/{ref}",
        status_code=204,
        responses={204: {"headers": _OFFSET_HEADER}},
        response_class=Response,
        openapi_extra=_PART_BODY,
    )
    async def append(
        request: Request,
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        upload_offset: Annotated[int, Header(ge=0, lt=1 << 63, description="Of the body's first byte.")],
    ) -> Response:
        """Send the next bytes; what came is kept, however the request ends."""
        offset_bytes = await _append(request, service, actor, ref, upload_offset)
        return Response(status_code=204, headers=_make_headers(offset_bytes))

    @router.post("/{ref}/complete", responses=_WORK, response_class=StreamingResponse)
    def complete(
        actor: Annotated[Actor, Depends(get_actor)], ref: str, body: UploadComplete
    ) -> StreamingResponse:
        """End an upload: its SHA-256 is verified; then it can be imported."""
        service.get_upload(actor, ref)

        return StreamingResponse(
            _write_lines(
                lambda progress: service.complete(actor, ref, sha256=body.sha256, progress=progress)
            ),
            media_type=_LINES,
        )

    @router.delete("/{ref}", status_code=204)
    def delete(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> None:
        """Delete an upload."""
        service.delete(actor, ref)

    return router


async def _append(request: Request, service: UploadService, actor: Actor, ref: str, offset_bytes: int) -> int:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _PART_TYPE:
        raise Invalid(
            "upload.wrong_type",
            f"A part is sent as {_PART_TYPE}, not as {kind[:100]!r}.",
            hint=f"Set Content-Type: {_PART_TYPE}.",
        )
    with ExitStack() as stack:
        appending = await run_in_threadpool(
            stack.enter_context, service.append(actor, ref, offset_bytes=offset_bytes)
        )
        try:
            await _receive(request, appending)
        finally:
            # Flushing to the disk takes its time; nobody else should wait for it, and nothing cancel it.
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(stack.close)
    return appending.offset_bytes


async def _receive(request: Request, appending: Appending) -> None:
    waiting = bytearray()
    pieces = request.stream()
    try:
        while True:
            # A client whose network went away may never say so, and the upload is held until then.
            with anyio.fail_after(_LONGEST_SILENCE_S):
                piece = await anext(pieces, None)
            if piece is None:
                break
            waiting += piece
            if len(waiting) >= _WRITE_BYTES:
                await run_in_threadpool(appending.write, bytes(waiting))
                waiting.clear()
    except (ClientDisconnect, TimeoutError):
        await run_in_threadpool(appending.write, bytes(waiting))
        raise Invalid(
            "upload.broken_off",
            "The part did not arrive wholly.",
            hint="Ask for the offset, and go on from there.",
        ) from None
    await run_in_threadpool(appending.write, bytes(waiting))


def _write_lines(work: Callable[[Progress], UploadView]) -> Iterator[str]:
    for event in stream_work(work, lambda upload: _describe(upload).model_dump(mode="json")):
        yield json.dumps(event) + "\n"


def _make_headers(offset_bytes: int) -> dict[str, str]:
    return {"Upload-Offset": str(offset_bytes), "Tus-Resumable": "1.0.0", "Cache-Control": "no-store"}


def _describe(upload: UploadView) -> UploadOut:
    values = {name: getattr(upload, name) for name in UploadOut.model_fields if name != "part_bytes"}
    return UploadOut.model_validate({**values, "part_bytes": PART_BYTES})
