"""Text from elsewhere, made fit for a line of a mail, for a database, and for strangers' eyes."""

from collections.abc import Iterable

from pydantic import SecretStr

MASK = "***"


def make_line(text: str, longest: int) -> str:
    """One line of printable characters: whatever else there is becomes a space, and too much is cut off."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def make_log_line(text: str, longest: int) -> str:
    """As `make_line`, with the indentation that tracebacks are read by."""
    text = text.expandtabs(4)
    indentation = min(len(text) - len(text.lstrip(" ")), longest // 2)
    return " " * indentation + make_line(text, longest - indentation)


def make_storable(text: str) -> str:
    """What PostgreSQL and UTF-8 take: no NUL, no half of a surrogate pair."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")


def hide_secrets(text: str, secrets: Iterable[SecretStr]) -> str:
    """Masks the secrets wherever they turn up in `text`, the longest first."""
    for secret in sorted((secret.get_secret_value() for secret in secrets), key=len, reverse=True):
        if secret:
            text = text.replace(secret, MASK)
    return text
