"""Why something about a detection is refused, or failed."""

from raven_scan.access.types import Claim
from raven_scan.detections.types import ImageProblem
from raven_scan.kernel.errors import Busy, Forbidden, Invalid, Unavailable

_HINTS = {
    "not_an_image": "Images are JPEG, PNG, TIFF or WebP.",
    "truncated": "Take it from its source again.",
    "unsupported": "Convert it to PNG, JPEG or a plain TIFF.",
    "animated": "Send its first picture alone.",
    "too_large": "Cut it into tiles.",
    "too_narrow": "Cut it into tiles that are less long.",
    "too_much_memory": "Cut it into tiles, or raise RAVEN_DETECTION_MEMORY_BYTES.",
    "bands_needed": "Send three bands: the model learned from images of three.",
    "bands_missing": "Send images with the bands of those that the model learned from.",
    "scale_missing": "Convert it to 8 bits: the model learned from images of 8 bits.",
    "unreadable": "Check the file and its permissions.",
}


def make_image_problem(name: str, code: str, sentence: str) -> ImageProblem:
    return ImageProblem(
        f"detection.image_{code}", f"The image {name!r} was not looked at: {sentence}.", _HINTS.get(code, "")
    )


def make_not_published(name: str) -> Forbidden:
    return Forbidden(
        "detection.model_not_published",
        f"{name!r} names a trained model, not a published one; by a model's own name only reviewers detect.",
        hint=f"`raven models published` lists the names; reviewers have the claim {Claim.TRAINED_MODEL_REVIEW}.",
        parameters={"name": name, "claim": str(Claim.TRAINED_MODEL_REVIEW)},
    )


def make_no_weights(name: str) -> Invalid:
    return Invalid(
        "detection.model_without_weights",
        f"The model {name!r} is builtin: it has learned nothing yet, and cannot detect.",
        hint="Train it, or import or pull a checkpoint.",
        parameters={"name": name},
    )


def make_bad_request(message: str, hint: str) -> Invalid:
    return Invalid("detection.bad_request", message, hint=hint)


def make_paths_not_allowed() -> Forbidden:
    return Forbidden(
        "detection.paths_not_allowed",
        "This server does not read files of its own machine for others.",
        hint="Send the images as multipart/form-data.",
    )


def make_too_many(count: int, most: int) -> Invalid:
    return Invalid(
        "detection.too_many_images",
        f"{count} images are more than the {most} of a request.",
        hint="Send them in several requests; the client does so by itself.",
        parameters={"count": count, "most": most},
    )


def make_too_long(most_bytes: int) -> Invalid:
    return Invalid(
        "detection.too_many_bytes",
        f"The request has more than {most_bytes} bytes.",
        hint="Send fewer images at a time, or smaller ones.",
        parameters={"most_bytes": most_bytes},
    )


def make_no_device(device: str, known: list[str]) -> Invalid:
    return Invalid(
        "detection.no_such_device",
        f"There is no device {device[:50]!r} here; there is {', '.join(known)}.",
        hint="Leave it out to take what is found.",
        parameters={"device": ascii(device[:50]), "known": known},
    )


def make_queue_full(name: str, most: int) -> Busy:
    return Busy(
        "detection.queue_full",
        f"{most} requests wait for the model {name!r} already.",
        hint="Try again in a moment.",
        parameters={"model": name, "most": most},
    )


def make_not_in_time(name: str, timeout_s: float) -> Busy:
    return Busy(
        "detection.no_turn",
        f"The model {name!r} did not come to the request within {timeout_s:g} s.",
        hint="Try again when there is less to do.",
        parameters={"model": name, "timeout_s": timeout_s},
    )


def make_timeout(name: str, timeout_s: float) -> Unavailable:
    return Unavailable(
        "detection.timed_out",
        f"The model {name!r} did not answer within {timeout_s:g} s, and was stopped.",
        hint="Send fewer images at a time.",
        parameters={"model": name, "timeout_s": timeout_s},
    )


def make_unreadable_answer(name: str, error: Exception) -> Unavailable:
    return Unavailable(
        "detection.unreadable_answer",
        f"The process of the model {name!r} answered what cannot be read: {error}.",
        hint="The versions of server and trainer may differ: install again.",
        parameters={"model": name},
    )


def make_closed() -> Unavailable:
    return Unavailable("detection.server_ending", "The server is ending.", hint="Try again in a moment.")
