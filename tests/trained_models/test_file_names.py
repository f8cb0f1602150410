"""Names of files that come from outside."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven_scan.trained_models.file_names import make_file_name


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("a.pth", "a.pth"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\a b.pth", "a b.pth"),
        ("..", "checkpoint"),
        ("", "checkpoint"),
        ("x/", "checkpoint"),
        ("a\0\n.pth", "a.pth"),
    ],
)
def test_file_names(given_name: str, name: str):
    assert make_file_name(given_name) == name


@given(st.text())
def test_any_file_name_can_be_a_file_here(tmp_path_factory: pytest.TempPathFactory, given_name: str):
    folder = tmp_path_factory.getbasetemp() / "names"
    folder.mkdir(exist_ok=True)
    path = folder / make_file_name(given_name)
    path.write_text("")
    assert path.parent == folder
    assert path.is_file()
    path.unlink()
