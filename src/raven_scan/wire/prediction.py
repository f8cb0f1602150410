"""What a process that keeps a model ready is asked, and what it answers.

It is started with a `PredictSpec`. Everything else goes through a socket that it inherits: messages in MessagePack,
each after its length in four bytes, the most significant one first. It tells `Ready` once its model is loaded, and
answers one request at a time: with `Predicted` as images are done, and at last with `RequestDone` or `RequestFailed`.
Where the socket ends, it ends.
"""

import socket
import struct
from pathlib import Path
from typing import Any, TypeVar

import msgspec

_LENGTH = struct.Struct(">I")
_LARGEST_MESSAGE_BYTES = 256 << 20

Box = tuple[float, float, float, float]


class PredictSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Load a model once, and predict with it for as long as somebody asks.

    Attributes:
        configuration: the stored MMDetection configuration as JSON; None where there is none: it is then built from
            architecture and classes.
        pixel_rules: `pixels.rules.PixelRules` of the images that the model learned from, as JSON.
        connection: number of the inherited socket's descriptor.
        loader_threads: how many images are decoded at once.
        image_memory_bytes: what images may take, all together, while they are decoded.
        largest_image_pixels: images with more are refused.
    """

    architecture: str
    classes: list[str]
    configuration: Path | None
    weights: Path
    pixel_rules: dict[str, Any]
    connection: int
    events: Path
    device: str
    threads: int
    loader_threads: int
    image_memory_bytes: int
    largest_image_pixels: int


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="message"):
    """Either way."""


class PredictImages(Message, frozen=True, kw_only=True, tag="predict"):
    """A request.

    Attributes:
        images: paths of files, as the system has them; they stay until the request is answered.
        batch_size: how many are predicted on at once.
        min_score: boxes of less confidence are left out.
    """

    images: list[bytes]
    batch_size: int
    min_score: float


class Ready(Message, frozen=True, kw_only=True, tag="ready"):
    """The model is loaded."""

    pid: int


class ImageProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is nothing to be had from an image.

    Attributes:
        code: of `pixels.errors.UnreadableImage`, or `unreadable` for a file that is not there, `too_much_memory`,
            `too_narrow`.
    """

    code: str
    sentence: str


class PredictedImage(msgspec.Struct, frozen=True, kw_only=True):
    """What was found on an image.

    Attributes:
        index: of the image in its request.
        width, height: in pixels, upright, as `exif_orientation` was applied.
        boxes: x, y, width, height in these pixels, of the best score first.
        labels: indices of the class list.
        problem: why there is nothing; everything else is 0 or empty then.
    """

    index: int
    width: int = 0
    height: int = 0
    exif_orientation: int = 1
    boxes: list[Box] = msgspec.field(default_factory=list[Box])
    scores: list[float] = msgspec.field(default_factory=list[float])
    labels: list[int] = msgspec.field(default_factory=list[int])
    problem: ImageProblem | None = None


class Predicted(Message, frozen=True, kw_only=True, tag="predicted"):
    """Images of the request that are done, in any order."""

    images: list[PredictedImage]


class RequestDone(Message, frozen=True, kw_only=True, tag="done"):
    """All images of the request have been told."""


class RequestFailed(Message, frozen=True, kw_only=True, tag="failed"):
    """The request cannot be answered; the process ends.

    Attributes:
        code, text, hint: as those of `wire.events.Failed`.
    """

    code: str
    text: str
    hint: str


Answer = Ready | Predicted | RequestDone | RequestFailed

MessageType = TypeVar("MessageType")

_encoder = msgspec.msgpack.Encoder()


def send_message(connection: socket.socket, message: Message) -> None:
    """Raises OSError, TimeoutError too."""
    content = _encoder.encode(message)
    connection.sendall(_LENGTH.pack(len(content)) + content)


def receive_message(
    connection: socket.socket, decoder: "msgspec.msgpack.Decoder[MessageType]"
) -> MessageType | None:
    """The next message; None where the other end is gone.

    Raises:
        OSError: nothing can be read; TimeoutError by the socket's own timeout.
        msgspec.DecodeError: what came is no message.
    """
    head = _receive(connection, _LENGTH.size)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > _LARGEST_MESSAGE_BYTES:
        raise msgspec.DecodeError(f"a message of {length} bytes")
    content = _receive(connection, length)
    return None if content is None else decoder.decode(content)


def _receive(connection: socket.socket, count: int) -> bytearray | None:
    received = bytearray(count)
    view, at = memoryview(received), 0
    while at < count:
        try:
            came = connection.recv_into(view[at:])
        except ConnectionResetError:
            return None
        if came == 0:
            return None
        at += came
    return received
