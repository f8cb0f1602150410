"""Which part of the user guide a screen's help leads to."""

GUIDE_PATH = "/guide"

SECTIONS = (
    ("/account/tokens", "sign-in"),
    ("/account/subscriptions", "be-told-when-it-ends"),
    ("/account", "sign-in"),
    ("/datasets", "1-bring-your-dataset"),
    ("/training-runs/new", "3-train"),
    ("/training-runs/compare", "compare-runs"),
    ("/training-runs", "3-train"),
    ("/queue", "the-queue"),
    ("/trained-models/compare", "evaluate-and-compare-models"),
    ("/trained-models", "4-read-the-figures"),
    ("/published-models", "5-publishing"),
    ("/detect", "detect"),
    ("/administration/policy", "5-publishing"),
    ("/trash", "6-find-rename-delete"),
    ("/administration", "administration"),
)


def find_guide_address(path: str) -> str:
    """Where the guide tells of the screen at the path; its beginning, where it tells of none in particular."""
    for beginning, section in SECTIONS:
        if path == beginning or path.startswith(f"{beginning}/"):
            return f"{GUIDE_PATH}#{section}"
    return GUIDE_PATH
