"""What datasets, trained models and training runs may be called."""

from raven_scan.kernel.errors import Invalid
from raven_scan.kernel.ids import parse_id

LONGEST_NAME = 100


def check_name(noun: str, name: str) -> None:
    """Refuses a name that could not be told from an id, a path or a version, or that nobody could read.

    Args:
        noun: the thing's name in codes, such as `trained_model`.
        name: 1 to 100 printable characters, no `/`, no `@`, no space at its ends, no UUID, not dots alone.

    Raises:
        Invalid: `<noun>.bad_name`.
    """
    problem = _find_problem(name)
    if problem:
        thing = noun.replace("_", " ")
        raise Invalid(
            f"{noun}.bad_name",
            f"{name[:LONGEST_NAME]!r} cannot be the name of a {thing}: {problem}.",
            hint=f"Choose 1 to {LONGEST_NAME} printable characters without '/' and '@'.",
            parameters={"name": ascii(name[:LONGEST_NAME])},
        )


def _find_problem(name: str) -> str | None:
    problems = (
        (not name, "it is empty"),
        (len(name) > LONGEST_NAME, f"it has {len(name)} characters"),
        (not name.isprintable(), "it has a character that cannot be printed"),
        (name != name.strip(), "it begins or ends with a space"),
        ("/" in name, "it has a '/'"),
        ("@" in name, "it has a '@'"),
        (not name.strip("."), "it would be a folder in an address"),
        (parse_id(name) is not None, "it looks like an id"),
    )
    return next((problem for is_there, problem in problems if is_there), None)
