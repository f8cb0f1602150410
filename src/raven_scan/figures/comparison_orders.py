"""What a process that compares is asked, and what it answers. Values only; nothing here needs numpy."""

from enum import StrEnum

import msgspec

from raven_scan.figures.difference import Difference


class ComparisonOrder(msgspec.Struct, frozen=True, kw_only=True):
    """By how much is one model better than another?

    Attributes:
        first, second: files of matches.
        figure: one of `comparison.COMPARED_FIGURES`.
        class_name: for this class; None: overall.
        seed: of the resamples.
    """

    first: str
    second: str
    figure: str
    class_name: str | None
    seed: int


class Problem(StrEnum):
    """Why two are not compared."""

    UNREADABLE = "unreadable"
    UNKNOWN_CLASS = "unknown_class"
    DIFFERENT_PARTS = "different_parts"


class ComparisonAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """To one order: a difference, or a problem, of which `text` says more.

    `classes`: those of the part, where it does not have the one that was asked for.
    """

    difference: Difference | None = None
    problem: Problem | None = None
    text: str = ""
    classes: list[str] = []


_encoder = msgspec.json.Encoder()
_order_decoder = msgspec.json.Decoder(list[ComparisonOrder])
_answer_decoder = msgspec.json.Decoder(list[ComparisonAnswer])


def encode_orders(orders: list[ComparisonOrder]) -> bytes:
    """As one line."""
    return _encoder.encode(orders) + b"\n"


def decode_orders(line: bytes) -> list[ComparisonOrder]:
    """Raises msgspec.MsgspecError."""
    return _order_decoder.decode(line)


def encode_answers(answers: list[ComparisonAnswer]) -> bytes:
    return _encoder.encode(answers)


def decode_answers(content: bytes) -> list[ComparisonAnswer]:
    """Raises msgspec.MsgspecError where the process did not end well."""
    return _answer_decoder.decode(content)
