"""In which form somebody wants an answer."""

import mimeparse


def choose_media_type(accept: str | None, offered: tuple[str, ...]) -> str:
    """The media type that an Accept header (RFC 9110, 12.5.1) likes best.

    Args:
        accept: the header; None where there is none.
        offered: the first is answered where all are liked as much, or none is.
    """
    if accept is None:
        return offered[0]
    try:
        # Of two that are liked as much, it takes the later.
        # The library has no types.
        return str(mimeparse.best_match(offered[::-1], accept)) or offered[0]  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    except mimeparse.MimeTypeParseException:
        return offered[0]
