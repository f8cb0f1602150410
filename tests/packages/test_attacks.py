"""Packages that are not what they should be: each has its own error, and nothing changes."""

import json
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL
from tests.packages.conftest import ADMIN, list_names, open_platform
from tests.packages.forging import MANIFEST, SIGNATURE, make_signature, read_package, sign_files, write_zip

from raven_scan.app.wiring import Platform
from raven_scan.kernel.errors import ErrorKind, RavenError
from raven_scan.kernel.progress import ignore_progress
from raven_scan.packages.archive import open_archive
from raven_scan.packages.manifest import FIGURES, LINEAGE
from raven_scan.packages.reading import PackageContents, read_contents, read_signed
from raven_scan.packages.signing import KeyPair, make_key_pair, write_public_key

Files = dict[str, bytes]
Forge = Callable[[Path, Files, KeyPair], Path]


@pytest.fixture(scope="module")
def friend() -> KeyPair:
    """A key that the victim trusts, and that an attacker got hold of in some of these."""
    return make_key_pair()


@pytest.fixture(scope="module")
def victim(
    server_url: URL, template_database: str, tmp_path_factory: pytest.TempPathFactory, friend: KeyPair
) -> Generator[Platform]:
    with open_platform(server_url, template_database, tmp_path_factory.mktemp("victim")) as platform:
        platform.package_keys.trust(ADMIN, write_public_key(friend.public_key, ""), name="friend")
        yield platform


@pytest.fixture(scope="module")
def honest(package: Path, friend: KeyPair) -> Files:
    """With weights of a few bytes, which would come far enough for everything that is refused here."""
    files = read_package(package)
    header = b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    files["weights.safetensors"] = struct.pack("<Q", len(header)) + header + bytes(4)
    return sign_files(files, friend)


@contextmanager
def refusing(platform: Platform, code: str) -> Generator[None]:
    before = list_names(platform)
    with pytest.raises(RavenError) as caught:
        yield
    assert caught.value.code == code, caught.value
    assert caught.value.hint
    assert list_names(platform) == before


def put(**changes: bytes) -> Forge:
    """Files with other content, signed by the friend."""

    def forge(path: Path, files: Files, friend: KeyPair) -> Path:
        changed = {name.replace("__", "."): content for name, content in changes.items()}
        return write_zip(path, sign_files({**files, **changed}, friend))

    return forge


def tell(**changes: Any) -> Forge:
    """Another manifest, signed by the friend; `model` is merged."""

    def change(manifest: dict[str, Any]) -> None:
        manifest["model"].update(changes.pop("model", {}))
        manifest.update(changes)

    return lambda path, files, friend: write_zip(path, sign_files(files, friend, change_manifest=change))


def edit_json(file: str, change: Callable[[Any], Any]) -> Forge:
    """A JSON file, changed and signed by the friend."""

    def forge(path: Path, files: Files, friend: KeyPair) -> Path:
        document = json.loads(files[file])
        content = json.dumps(change(document) or document).encode()
        return write_zip(path, sign_files({**files, file: content}, friend))

    return forge


def configure(*place: str | int, value: Any) -> Forge:
    """The configuration with a value somewhere in it."""

    def change(document: Any) -> None:
        inner = document
        for step in place[:-1]:
            inner = inner[step]
        inner[place[-1]] = value

    return edit_json("configuration.json", change)


def unsigned(change: Callable[[Files], Any]) -> Forge:
    """Files changed after they were signed."""

    def forge(path: Path, files: Files, _: KeyPair) -> Path:
        changed = dict(files)
        change(changed)
        return write_zip(path, changed)

    return forge


def with_entry(name: str, *, mode: int = 0) -> Forge:
    def forge(path: Path, files: Files, _: KeyPair) -> Path:
        write_zip(path, files)
        with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a name is there twice
            entry = zipfile.ZipInfo("x")
            entry.filename = name
            entry.external_attr = mode << 16
            archive.writestr(entry, b"/etc/passwd")
        return path

    return forge


def bomb(path: Path, files: Files, _: KeyPair) -> Path:
    return write_zip(path, {**files, "plots/x.png": bytes(20_000_000)}, compression=zipfile.ZIP_DEFLATED)


def lie_on_each_other(path: Path, files: Files, _: KeyPair) -> Path:
    """Twenty entries that are one and the same megabyte."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
        archive.writestr(zipfile.ZipInfo("plots/0.png"), bytes(1 << 20))
        one = archive.filelist[-1]
        for number in range(1, 20):
            entry = zipfile.ZipInfo(f"plots/{number}.png")
            entry.header_offset, entry.CRC = one.header_offset, one.CRC
            entry.file_size = entry.compress_size = one.file_size
            archive.filelist.append(entry)
            archive.NameToInfo[entry.filename] = entry
    return path


def many_files(path: Path, files: Files, _: KeyPair) -> Path:
    return write_zip(path, {**files, **{f"f{number}": b"" for number in range(100)}})


def huge_directory(path: Path, files: Files, _: KeyPair) -> Path:
    return write_zip(path, {**files, **{f"plots/{'x' * 90}{number}": b"" for number in range(12_000)}})


def encrypted(path: Path, files: Files, _: KeyPair) -> Path:
    content = bytearray(write_zip(path, files).read_bytes())
    place = content.rindex(b"PK\x01\x02")
    content[place + 8] |= 1
    path.write_bytes(content)
    return path


def by_a_stranger(path: Path, files: Files, _: KeyPair) -> Path:
    return write_zip(path, sign_files(files, make_key_pair()))


def in_a_friends_name(path: Path, files: Files, friend: KeyPair) -> Path:
    forged = sign_files(files, make_key_pair())
    forged[SIGNATURE] = make_signature(forged[MANIFEST], make_key_pair(), public_key=friend.public_key)
    return write_zip(path, forged)


def swapped_signature(path: Path, files: Files, friend: KeyPair) -> Path:
    """Of another package of the same friend."""
    other = sign_files({**files, "MODEL_CARD.md": b"# Another"}, friend)
    return write_zip(path, {**files, SIGNATURE: other[SIGNATURE]})


_HUGE_HEADER = struct.pack("<Q", 90 << 20) + b" " * 1000

_BAD = "package.bad_content"
_DATASET = ("test_dataloader", "dataset")

ATTACKS: list[tuple[str, Forge, str]] = [
    ("text", lambda path, *_: path.write_text("hello") and path, "package.damaged_archive"),
    ("empty", lambda path, *_: path.touch() or path, "package.damaged_archive"),
    ("a folder", lambda path, *_: path.mkdir() or path, "package.not_a_package"),
    ("nothing", lambda path, *_: path, "package.not_a_package"),
    ("a name with NUL", lambda path, *_: path / "a\0b", "package.not_a_package"),
    ("no manifest", unsigned(lambda files: files.pop(MANIFEST)), "package.not_a_package"),
    ("no signature", unsigned(lambda files: files.pop(SIGNATURE)), "package.file_missing"),
    ("a traversal", with_entry("../x"), "package.unsafe_archive"),
    ("an absolute path", with_entry("/etc/x"), "package.unsafe_archive"),
    ("a Windows path", with_entry("c:\\x"), "package.unsafe_archive"),
    ("a deep path", with_entry("a/b/c"), "package.unsafe_archive"),
    ("a name twice", with_entry("MODEL_CARD.md"), "package.unsafe_archive"),
    ("a manifest twice", with_entry(MANIFEST), "package.unsafe_archive"),
    ("a link", with_entry("plots/x", mode=stat.S_IFLNK | 0o777), "package.unsafe_archive"),
    ("a device", with_entry("plots/x", mode=stat.S_IFCHR | 0o777), "package.unsafe_archive"),
    ("a bomb", bomb, "package.unsafe_archive"),
    ("entries on each other", lie_on_each_other, "package.unsafe_archive"),
    ("many files", many_files, "package.unsafe_archive"),
    ("a huge directory", huge_directory, "package.unsafe_archive"),
    ("encrypted", encrypted, "package.unsafe_archive"),
    ("a huge manifest", unsigned(lambda f: f.update({MANIFEST: bytes(3 << 20)})), "package.too_large"),
    ("a huge signature", unsigned(lambda f: f.update({SIGNATURE: bytes(1 << 16)})), "package.too_large"),
    ("no JSON", unsigned(lambda f: f.update({MANIFEST: b"{"})), _BAD),
    ("another JSON", unsigned(lambda f: f.update({MANIFEST: b'{"format": 1}'})), _BAD),
    ("deep JSON", unsigned(lambda f: f.update({MANIFEST: b"[" * 100_000})), _BAD),
    ("format 0", tell(format=0), _BAD),
    ("a newer format", tell(format=2, read_by="7.3"), "package.newer_format"),
    ("a stranger's", by_a_stranger, "package.unknown_signer"),
    ("a stranger's in a friend's name", in_a_friends_name, "package.signature_wrong"),
    ("a signature of another", swapped_signature, "package.signature_wrong"),
    (
        "a manifest changed",
        unsigned(lambda f: f.update({MANIFEST: f[MANIFEST].replace(b"detector", b"detectoR")})),
        "package.signature_wrong",
    ),
    ("no kind of signature", unsigned(lambda f: f.update({SIGNATURE: b"{}"})), _BAD),
    (
        "a signature that is none",
        unsigned(
            lambda f: f.update({SIGNATURE: json.dumps({**json.loads(f[SIGNATURE]), "signature": "?"}).encode()})
        ),
        _BAD,
    ),
    (
        "a file changed",
        unsigned(lambda f: f.update({"MODEL_CARD.md": f["MODEL_CARD.md"].swapcase()})),
        "package.file_changed",
    ),
    ("a file longer", unsigned(lambda f: f.update({"figures.json": b" "})), "package.file_changed"),
    ("a file gone", unsigned(lambda f: f.pop("lineage.json")), "package.file_missing"),
    ("a plot gone", unsigned(lambda f: f.pop("plots/confusion.png")), "package.file_missing"),
    ("a file more", unsigned(lambda f: f.update({"x.py": b"1"})), "package.file_unexpected"),
    ("signed without weights", tell(files=[]), "package.file_unexpected"),
    ("another architecture", tell(model={"architecture": "nope"}), "trained_model.unknown_architecture"),
    ("a path as name", tell(model={"name": "../x"}), "trained_model.bad_name"),
    ("unknown starting weights", tell(model={"starting_weights": "x"}), _BAD),
    ("other classes", put(classes__json=b'["a"]'), _BAD),
    ("an escape in the lineage", edit_json(LINEAGE, lambda d: d["models"][0].update(name="\x1b[2J")), _BAD),
    ("a NUL in the lineage", edit_json(LINEAGE, lambda d: d["models"][0].update(name="\0")), _BAD),
    ("half a character", put(lineage__json=b'{"models": ["\\ud800"]}'), _BAD),
    ("a long lineage", edit_json(LINEAGE, lambda d: {"models": d["models"] * 50}), _BAD),
    ("a lineage in a circle", edit_json(LINEAGE, lambda d: d["models"].append(d["models"][0])), _BAD),
    ("a huge lineage", put(lineage__json=b" " * (2 << 20)), "package.too_large"),
    ("another model's lineage", edit_json(LINEAGE, lambda d: d["models"].reverse()), _BAD),
    ("figures of other classes", edit_json(FIGURES, lambda d: d["test"].update(by_class={"\0": {}})), _BAD),
    ("a figure beyond one", edit_json(FIGURES, lambda d: d["test"].update(map=7.0)), _BAD),
    ("a figure below zero", edit_json(FIGURES, lambda d: d["test"]["by_class"]["waste"].update(map=-1.0)), _BAD),
    ("a figure unheard of", edit_json(FIGURES, lambda d: d["test"]["by_class"]["waste"].update(x=0.5)), _BAD),
    ("no report", edit_json(FIGURES, lambda d: d.update(test=None) or d["evaluation"].update(report={})), _BAD),
    ("a huge header", put(weights__safetensors=_HUGE_HEADER), _BAD),
    ("no weights", put(weights__safetensors=b"x"), _BAD),
    ("a pickle", put(weights__safetensors=b"\x80\x04cos\nsystem\n"), _BAD),
    ("an import", configure("custom_imports", "imports", value=["os"]), _BAD),
    ("our main", configure("custom_imports", "imports", value=["raven_scan.trainer.__main__"]), _BAD),
    ("a function", configure("model", "type", value="os.system"), _BAD),
    ("another class", configure("model", "backbone", "type", value="Pretrained"), _BAD),
    ("weights from elsewhere", configure("model", "backbone", "init_cfg", value={"type": "ResNet"}), _BAD),
    ("weights by a name", configure("model", "backbone", "pretrained", value="resnet50"), _BAD),
    ("a file to read", configure("model", "backbone", "arch", value="/etc/passwd"), _BAD),
    ("a huge layer", configure("model", "neck", "out_channels", value=10**12), _BAD),
    ("a huge number", configure("model", "neck", "out_channels", value=10**400), _BAD),
    ("another class count", configure("model", "bbox_head", "num_classes", value=4), _BAD),
    ("a step that reads files", configure(*_DATASET, "pipeline", 0, "type", value="LoadImageFromFile"), _BAD),
    ("a folder of its own", configure(*_DATASET, "folder", value="/etc"), _BAD),
    ("another dataset", configure(*_DATASET, "type", value="CocoDataset"), _BAD),
    ("a thousand processes", configure("test_dataloader", "num_workers", value=1000), _BAD),
    ("hooks", configure("custom_hooks", value=[{"type": "X"}]), _BAD),
    ("a deep configuration", configure("model", "neck", value=json.loads("[" * 50 + "]" * 50)), _BAD),
]  # fmt: skip


@pytest.mark.parametrize(("forge", "code"), [each[1:] for each in ATTACKS], ids=[each[0] for each in ATTACKS])
def test_an_attack_is_refused_and_changes_nothing(
    forge: Forge, code: str, honest: Files, victim: Platform, friend: KeyPair, tmp_path: Path
):
    path = forge(tmp_path / "x.zip", honest, friend)
    with refusing(victim, code):
        victim.package_imports.import_package(ADMIN, path)


def test_what_is_attacked_is_honest_but_for_its_weights(honest: Files, victim: Platform, tmp_path: Path):
    """Else the refusals above would prove nothing. That it does not fit its architecture, a child process finds."""
    path = write_zip(tmp_path / "x.zip", honest)
    with refusing(victim, "package.bad_content"):
        victim.package_imports.import_package(ADMIN, path)


def test_a_newer_format_says_which_release_reads_it(
    honest: Files, victim: Platform, friend: KeyPair, tmp_path: Path
):
    for read_by, hint in (("7.3", "Raven Scan to 7.3 or later"), ("\x1b[2J", "the release that wrote it")):
        path = tell(format=2, read_by=read_by)(tmp_path / "x.zip", honest, friend)
        with pytest.raises(RavenError) as caught:
            victim.package_imports.import_package(ADMIN, path)
        assert hint in caught.value.hint
        assert caught.value.kind is ErrorKind.INVALID


@pytest.fixture(scope="module")
def read(victim: Platform, tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], PackageContents]:
    """Reads a package's bytes as an import does, up to where a child process would look at the weights."""
    folder = tmp_path_factory.mktemp("read")

    def read(content: bytes) -> PackageContents:
        path, weights = folder / "x.zip", folder / "weights"
        path.write_bytes(content)
        weights.unlink(missing_ok=True)
        check = victim.package_keys.check_signature
        with open_archive(path) as archive:
            signed = read_signed(
                archive, lambda told, key, signature: check(ADMIN, told, public_key=key, signature=signature)
            )
            contents = read_contents(archive, signed, weights, ignore_progress)
        assert weights.stat().st_size == archive.sizes["weights.safetensors"]
        return contents

    return read


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_byte_is_flipped_it_is_refused_or_nothing_that_counts(
    data: st.DataObject, honest: Files, read: Callable[[bytes], PackageContents], tmp_path: Path
):
    whole = write_zip(tmp_path / "whole.zip", honest).read_bytes()
    expected = read(whole)
    changed = bytearray(whole)
    # Half of them where the zip tells of itself: there are few such bytes.
    start = data.draw(st.sampled_from([0, whole.index(b"PK\x01\x02")]))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(start, len(whole) - 1))
        changed[place] ^= data.draw(st.integers(1, 255))
    try:
        found = read(bytes(changed))
    except RavenError as error:
        assert error.code.startswith("package."), error  # noqa: PT017
    else:
        assert found == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_wherever_it_is_cut_off_it_is_refused(
    data: st.DataObject, honest: Files, read: Callable[[bytes], PackageContents], tmp_path: Path
):
    whole = write_zip(tmp_path / "whole.zip", honest).read_bytes()
    end = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(RavenError) as caught:
        read(whole[:end])
    assert caught.value.code == "package.damaged_archive"
