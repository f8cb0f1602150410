"""What users write about a thing."""

from raven_scan.kernel.errors import Invalid

LONGEST_NOTES = 10_000


def check_notes(noun: str, notes: str) -> None:
    """Refuses notes that are too long, or that PostgreSQL cannot hold.

    Args:
        noun: the thing's name in codes, such as `trained_model`.
        notes: any text of up to 10,000 characters; empty for none.

    Raises:
        Invalid: `<noun>.bad_notes`.
    """
    problem = None
    if len(notes) > LONGEST_NOTES:
        problem = f"they have {len(notes)} characters"
    elif any(character == "\0" or "\ud800" <= character <= "\udfff" for character in notes):
        problem = "they have a character that is none"
    if problem:
        raise Invalid(
            f"{noun}.bad_notes",
            f"These cannot be the notes of a {noun.replace('_', ' ')}: {problem}.",
            hint=f"Write up to {LONGEST_NOTES} characters of text.",
        )
