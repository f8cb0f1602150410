"""Images that arrive with a request: into private files, no more of them than is admitted."""

import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

import msgspec
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from raven_scan.detections.errors import make_bad_request, make_too_long
from raven_scan.detections.schemas import DetectionRequest, PathsRequest
from raven_scan.detections.types import ImageFile

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

IMAGES_FIELD = "images"

_MOST_FIELDS = 20
_LARGEST_FIELD_BYTES = 10_000
_LARGEST_JSON_BYTES = 8_000_000
_LONGEST_NAME = 500

Asked = TypeVar("Asked", bound=DetectionRequest)


async def receive_form(
    request: Request, folder: Path, *, most_images: int, most_bytes: int
) -> tuple[DetectionRequest, list[ImageFile]]:
    """Reads a form whose files are images.

    Args:
        request: multipart/form-data: files named `images`, and the fields of a DetectionRequest.
        folder: where the images are put, under names of ours.
        most_images: files; one more is refused.
        most_bytes: of the whole request.

    Raises:
        Invalid: it is no such form, or has too much in it.
    """
    parser = MultiPartParser(
        request.headers,
        _limit(request, most_bytes),
        max_files=most_images,
        max_fields=_MOST_FIELDS,
        max_part_size=_LARGEST_FIELD_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise make_bad_request(
            f"The form cannot be read: {error.message}",
            f"Send multipart/form-data with at most {most_images} files as {IMAGES_FIELD}, and a model.",
        ) from None
    except ClientDisconnect:
        raise make_bad_request("The images did not arrive wholly.", "Send them again.") from None
    try:
        return await run_in_threadpool(_take_form, form, folder)
    finally:
        await form.close()


async def receive_paths(request: Request) -> tuple[PathsRequest, list[ImageFile]]:
    """Reads a request that names files of this machine. Raises Invalid."""
    body = bytearray()
    async for piece in _limit(request, _LARGEST_JSON_BYTES):
        body += piece
    try:
        values: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise make_bad_request(
            f"The request is not JSON: {error}.", "Send a model and images as multipart/form-data."
        ) from None
    asked = _parse(PathsRequest, values)
    return asked, [ImageFile(Path(path), path) for path in asked.paths]


async def _limit(request: Request, most_bytes: int) -> AsyncGenerator[bytes, None]:
    received = 0
    async for piece in request.stream():
        received += len(piece)
        if received > most_bytes:
            raise make_too_long(most_bytes)
        yield piece


def _take_form(form: FormData, folder: Path) -> tuple[DetectionRequest, list[ImageFile]]:
    fields: dict[str, str] = {}
    images: list[ImageFile] = []
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name != IMAGES_FIELD:
                raise make_bad_request(
                    f"The file {name[:50]!r} is not known.", f"Send images as {IMAGES_FIELD}."
                )
            images.append(_store(value.file, folder / str(len(images)), value.filename or ""))
        elif name in fields:
            raise make_bad_request(f"The field {name[:50]!r} came twice.", "Send it once.")
        else:
            fields[name] = value
    return _parse(DetectionRequest, fields), images


def _store(content: "IO[bytes]", path: Path, name: str) -> ImageFile:
    with path.open("xb") as file:
        shutil.copyfileobj(content, file)
    # What it is called comes back in the answer, and nowhere else.
    return ImageFile(path, name[:_LONGEST_NAME] or path.name)


def _parse(kind: type[Asked], values: object) -> Asked:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(place) for place in first["loc"]) or "the body"
        raise make_bad_request(
            f"The request cannot be understood: {where} {_give_reason(first)}.",
            "Send a model, and no fields but min_confidence, batch_size and device.",
        ) from None


def _give_reason(error: "ErrorDetails") -> str:
    if error["type"] == "missing":
        return "is missing"
    return error["msg"].removeprefix("Input ").removeprefix("String ")
