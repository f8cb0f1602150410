"""How a file's bands become three bytes a pixel; stored with a dataset version and its models."""

from typing import Self

import msgspec

Bands = tuple[int, int, int]
Range = tuple[float, float]


class PixelRules(msgspec.Struct, frozen=True, kw_only=True):
    """How bands become three channels of uint8.

    Attributes:
        bands: which of the file's bands, counted from 0, become red, green and blue. None: the file's own
            colours (grey is repeated, alpha dropped).
        percentiles: for red, green and blue, the values that become 0 and 255 in images of more than 8 bits
            a sample. None where no such image is known.
    """

    bands: Bands | None = None
    percentiles: tuple[Range, Range, Range] | None = None

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The rules that `to_json` gave. Raises msgspec.ValidationError."""
        return msgspec.convert(data, cls)

    def to_json(self) -> dict[str, object]:
        return msgspec.to_builtins(self)
