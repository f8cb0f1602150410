"""Whom users turn to who cannot help themselves."""

LONGEST_CONTACT = 200


def check_contact(text: str) -> None:
    """Refuses what cannot be shown in one line.

    Args:
        text: 1 to 200 printable characters, such as `it@example.org, ext. 42`.

    Raises:
        ValueError: its text goes on after 'it'.
    """
    if not text.strip():
        raise ValueError("is empty")
    if len(text) > LONGEST_CONTACT:
        raise ValueError(f"has {len(text)} characters, and {LONGEST_CONTACT} at most are shown")
    if not text.isprintable():
        raise ValueError("has a character that cannot be printed, as the end of a line")
