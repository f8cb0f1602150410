import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from raven_scan.app.access_token import find_token, get_token_file, read_or_make_token
from raven_scan.kernel.errors import Forbidden, Invalid


def test_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    assert find_token(tmp_path) is None
    token = read_or_make_token(tmp_path).get_secret_value()
    assert len(token) >= 40
    assert get_token_file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert read_or_make_token(tmp_path).get_secret_value() == token
    assert [file.name for file in tmp_path.iterdir()] == ["token"]


def test_makes_the_data_folder_for_its_owner_alone(tmp_path: Path) -> None:
    read_or_make_token(tmp_path / "deep" / "home")
    assert (tmp_path / "deep" / "home").stat().st_mode & 0o777 == 0o700


def test_many_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        tokens = {
            token.get_secret_value() for token in pool.map(lambda _: read_or_make_token(tmp_path), range(64))
        }
    assert len(tokens) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["token"]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_refuses_a_file_that_others_can_read(tmp_path: Path, mode: int) -> None:
    read_or_make_token(tmp_path)
    get_token_file(tmp_path).chmod(mode)
    with pytest.raises(Forbidden, match=f"{mode:04o}") as caught:
        read_or_make_token(tmp_path)
    assert caught.value.code == "access.token_file_too_open"


def test_refuses_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("stolen")
    get_token_file(tmp_path).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Forbidden, match="cannot be read"):
        read_or_make_token(tmp_path)


def test_refuses_an_empty_file(tmp_path: Path) -> None:
    get_token_file(tmp_path).touch(mode=0o600)
    with pytest.raises(Invalid, match="empty"):
        read_or_make_token(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_refuses_a_file_of_somebody_else(tmp_path: Path) -> None:
    read_or_make_token(tmp_path)
    os.chown(get_token_file(tmp_path), 1234, 1234)
    with pytest.raises(Forbidden, match="not an ordinary file of this user"):
        read_or_make_token(tmp_path)
