"""What an import is asked to do, as it is typed."""

from zoneinfo import ZoneInfo

import pytest

from raven_scan.kernel.errors import Invalid
from raven_scan.web.dataset_import_options import read_renames
from raven_scan.web.texts import Texts

_T = Texts("en", ZoneInfo("UTC"))


@pytest.mark.parametrize(
    ("written", "renames"),
    [
        ("", {}),
        ("bottle = litter\n\n  can=litter \n", {"bottle": "litter", "can": "litter"}),
        ("bottle =\ncan = \n", {}),
        ("size=small = small", {"size=small": "small"}),
        ("bottle = litter\nbottle = litter\nbottle =", {"bottle": "litter"}),
    ],
)
def test_lines_rename_classes(written: str, renames: dict[str, str]) -> None:
    assert read_renames(written, _T) == renames


@pytest.mark.parametrize("written", ["bottle", "= litter", "bottle = litter\nbottle = glass"])
def test_what_renames_nothing_or_twice_is_refused(written: str) -> None:
    with pytest.raises(Invalid):
        read_renames(written, _T)
