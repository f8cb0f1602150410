"""Names of files that come from outside."""

_LONGEST_FILE_NAME = 200


def make_file_name(given: str) -> str:
    """A name that a file can have here, as near as can be to the one that it had elsewhere."""
    last = given.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(character for character in last if character.isprintable()).encode()[-_LONGEST_FILE_NAME:]
    name = kept.decode(errors="ignore").strip()
    return name if name.strip(".") else "checkpoint"
