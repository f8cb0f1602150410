"""A model goes elsewhere: it is packed here and taken in there, and is what it was."""

import json
import subprocess
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from tests.packages.conftest import ADMIN, CLASSES, MODEL, list_names, trust

from raven_scan.access.audit_types import EntryFilter
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform
from raven_scan.client import RavenClient
from raven_scan.client.in_process import InProcessTransport
from raven_scan.detections.model_choice import ModelChoice
from raven_scan.kernel.errors import Conflict, Damaged, Forbidden, NotFound
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.progress import ignore_progress
from raven_scan.packages.model_card import escape_markdown
from raven_scan.packages.recognition import is_package
from raven_scan.pixels.rules import PixelRules
from raven_scan.trained_models.types import Origin

Raven = Callable[..., Any]
TOKEN = SecretStr("of the data folder")


class Wire(httpx.BaseTransport):
    """To an application as to one of another machine: the client does not know that it is in this process."""

    def __init__(self, platform: Platform) -> None:
        self._inner = InProcessTransport(build_app(platform, token=TOKEN, allow_server_paths=False))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


def connect(platform: Platform) -> RavenClient:
    return RavenClient("http://elsewhere", TOKEN.get_secret_value(), transport=Wire(platform))


def be_at(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are of this platform from now on."""
    settings = platform.settings
    assert settings.database_url is not None
    monkeypatch.setenv("RAVEN_HOME", str(settings.home))
    monkeypatch.setenv("RAVEN_DATABASE_URL", settings.database_url.get_secret_value())


def read_files(package: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(package) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_package_holds_what_the_model_is(here: Platform, package: Path):
    files = read_files(package)
    assert list(files) == [
        "manifest.json",
        "signature.json",
        "weights.safetensors",
        "classes.json",
        "figures.json",
        "lineage.json",
        "MODEL_CARD.md",
        "plots/confusion.png",
        "plots/f1-by-confidence.png",
        "plots/precision-recall.png",
        "configuration.json",
    ]
    model = here.trained_models.get_model(ADMIN, MODEL)
    manifest = json.loads(files["manifest.json"])
    assert manifest["format"] == 1
    assert manifest["model"]["id"] == str(model.id)
    assert manifest["files"][0]["sha256"] == model.weights_digest
    assert json.loads(files["classes.json"]) == CLASSES
    figures = json.loads(files["figures.json"])
    assert figures["test"]["map50"] == 0.4
    assert figures["evaluation"]["report"]["figures"]["map50"]["value"] > 0
    own, base = json.loads(files["lineage.json"])["models"]
    version = here.datasets.get_version(ADMIN, "dumps@1")
    assert (own["dataset_version"], own["dataset_digest"]) == ("dumps@1", version.digest)
    assert (own["training_run"], own["parameters"]["epochs"]) == ("first run", 5)
    assert (own["base_model"], base["origin"]) == ("yolox-nano", "builtin")
    assert b"/secret/place" not in b"".join(files.values())
    assert all(files[name].startswith(b"\x89PNG") for name in files if name.endswith(".png"))
    assert is_package(package)


def test_the_card_tells_figures_with_intervals_data_and_limits(package: Path):
    card = read_files(package)["MODEL_CARD.md"].decode()
    for part in (
        "# detector",
        "## Intended use",
        "- 2: свалка",
        r"- Licence: CC BY 4.0, \<b\>M. Müller\</b\>",
        "Measured on dumps@1, test: 3 images with 4 boxes. Intervals are of 95%",
        "![Which class is taken for which](plots/confusion.png)",
        "It was tested on 3 images only",
        "| precision there |",
        "## Training",
        "By the run first run, from yolox-nano.",
        "| image size | 64 |",
        "| torch | 2.14 |",
        "identical images in two parts",
    ):
        assert part in card
    assert "Seen from a drone" not in card


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a *b* <c> [d](e) | `f` #1", r"a \*b\* \<c\> \[d\](e) \| \`f\` \#1"),
        ("- a", r"\- a"),
        ("+ a", r"\+ a"),
        ("=== ", r"\==="),
        ("12. a", r"12\. a"),
        ("3) a", r"3\) a"),
        ("&lt;b&gt; & co", r"\&lt;b\&gt; \& co"),
        ("line\n# two", r"line \# two"),
        ("7 a-b", "7 a-b"),
        ("0.001", "0.001"),
        ("-5", "-5"),
    ],
)
def test_text_of_others_is_text_in_a_card(text: str, escaped: str):
    assert escape_markdown(text) == escaped


def test_the_same_model_is_the_same_package(here: Platform, package: Path):
    again = here.package_exports.make(ADMIN, MODEL)
    assert here.package_exports.open(ADMIN, MODEL, again.digest).path.read_bytes() == package.read_bytes()
    assert not list(here.settings.work_folder.iterdir())


def test_openssl_believes_the_signature(here: Platform, package: Path, tmp_path: Path):
    import base64  # noqa: PLC0415

    files = read_files(package)
    told = json.loads(files["signature.json"])
    key = here.package_keys.get_own(ADMIN)
    assert (told["public_key"], told["fingerprint"]) == (key.public_key, key.fingerprint)
    raw = base64.b64decode(key.public_key.split()[1])[-32:]
    pem = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + raw).decode()
    (tmp_path / "key.pem").write_text(f"-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n")
    (tmp_path / "signature").write_bytes(base64.b64decode(told["signature"]))
    (tmp_path / "manifest.json").write_bytes(files["manifest.json"])
    subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "manifest.json",  # noqa: S607
         "-sigfile", "signature"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip


def test_a_package_is_taken_in_with_its_lineage_and_goes_on(
    here: Platform, there: Platform, package: Path, raven: Raven, monkeypatch: pytest.MonkeyPatch
):
    first = here.trained_models.get_model(ADMIN, MODEL)
    with connect(there) as client:
        client.packages.trust_key(here.package_keys.get_own(ADMIN).public_key, name="field office")
        told: list[str] = []

        def on_progress(stage: str, done: int, total: int) -> None:
            del done, total
            told.append(stage)

        answer = client.packages.import_path(package, on_progress=on_progress)
        assert {"uploading", "verifying", "checking the weights"} <= set(told)
        assert answer == client.models.get(MODEL)
        assert client.uploads.list().items == []
    model = there.trained_models.get_model(ADMIN, MODEL)
    assert (model.name, model.origin, model.classes) == (MODEL, Origin.IMPORTED, CLASSES)
    assert model.weights_digest == first.weights_digest
    assert model.leak_allowed
    assert model.parameter_count not in {None, first.parameter_count}  # counted here, not believed
    # What was measured there was not measured here.
    assert model.test is model.valid is None
    assert model.reported is not None
    assert model.reported.map == 0.24
    assert model.package is not None
    assert model.package.test is not None
    assert model.package.test.map50 == 0.4
    assert [step.name for step in model.package.models] == [MODEL, "yolox-nano"]
    assert model.package.models[0].id == first.id
    assert model.package.key_name == "field office"
    entry = there.audit.list_entries(
        ADMIN, PageRequest(), EntryFilter(action="trained_model.imported")
    ).items[0]
    assert entry.details["fingerprint"] == here.package_keys.get_own(ADMIN).fingerprint
    assert there.trained_models.get_model(ADMIN, MODEL) == model
    configuration = there.trained_models.open_configuration(ADMIN, model.id)
    assert configuration is not None
    assert configuration.read_bytes() == read_files(package)["configuration.json"]
    with pytest.raises(Conflict) as caught:
        there.package_imports.import_package(ADMIN, package)
    assert caught.value.code == "trained_model.name_taken"
    be_at(there, monkeypatch)
    shown = raven("models", "show", MODEL).out
    for words in ("of field office", "first run, dumps@1", "test, elsewhere", "0.400"):
        assert words in shown, words
    # And on to a third one: what both platforms told.
    again = there.package_exports.make(ADMIN, MODEL)
    onwards = read_files(there.package_exports.open(ADMIN, MODEL, again.digest).path)
    steps = json.loads(onwards["lineage.json"])["models"]
    keys = [there.package_keys.get_own(ADMIN), *[here.package_keys.get_own(ADMIN)] * 2]
    assert [step["platform"] for step in steps] == [key.fingerprint for key in keys]
    assert onwards["configuration.json"] == configuration.read_bytes()
    card = onwards["MODEL_CARD.md"].decode()
    for part in ("It learned from dumps@1", "on the platform that it was trained on", "By the run first run"):
        assert part in card
    assert "It is not known here. Ask who made it" in card
    assert "The dataset says nothing" not in card


def test_the_command_line_packs_and_asks_whom_to_trust(
    here: Platform,
    there: Platform,
    package: Path,
    raven: Raven,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    be_at(here, monkeypatch)
    made = raven("models", "export", MODEL, "-o", tmp_path / "x.zip", "--json").document
    assert (tmp_path / "x.zip").read_bytes() == package.read_bytes()
    assert made["files"][0] == "manifest.json"
    again = raven("models", "export", MODEL, "-o", tmp_path / "x.zip", "--json")
    assert (again.code, again.document["error"]["code"]) == (5, "client.file_exists")
    shown = raven("keys", "show")
    (tmp_path / "key.pub").write_text(shown.out)
    assert made["key_fingerprint"] in shown.err
    be_at(there, monkeypatch)
    for arguments in ((package, "--architecture", "yolox-nano"), (tmp_path / "key.pub", "--name", "x")):
        assert raven("models", "import", *arguments).code == 2
    refused = raven("models", "import", package, "--json")
    assert (refused.code, refused.document["error"]["code"]) == (4, "package.unknown_signer")
    assert (
        raven("keys", "trust", tmp_path / "key.pub", "--name", "field office").code == 2
    )  # nobody can be asked
    assert raven("keys", "trust", tmp_path / "nothing", "--name", "field office").code == 2
    trusted = raven("keys", "trust", tmp_path / "key.pub", "--name", "field office", "--yes", "--json")
    assert trusted.document["fingerprint"] == made["key_fingerprint"]
    assert raven("keys", "revoke", "field office", "--yes").code == 0
    listed = raven("keys", "list")
    assert "field office" in listed.out
    assert "revoked" in listed.out
    refused = raven("models", "import", package, "--json")
    assert refused.document["error"]["code"] == "package.key_revoked"


def test_over_rest_no_path_of_the_server_and_no_other_blob(here: Platform, package: Path):
    with connect(here) as client:
        made = client.packages.make(MODEL)
        assert made.digest == sha256(package.read_bytes()).hexdigest()
        weights = here.trained_models.get_model(ADMIN, MODEL).weights_digest
        with pytest.raises(NotFound):
            client.packages.download(made.model_copy(update={"digest": weights}), package.with_name("y.zip"))
        assert not package.with_name("y.zip").exists()
        with pytest.raises(Forbidden) as caught:
            client._connection.do_long_work(
                "/api/v1/trained-models/packages/import", ignore_progress, content={"path": str(package)}
            )
    assert caught.value.code == "trained_model.path_not_allowed"


def test_what_nobody_vouches_for_is_refused(here: Platform, there: Platform, package: Path):
    before = list_names(there)
    with pytest.raises(Forbidden) as caught:
        there.package_imports.import_package(ADMIN, package)
    key = here.package_keys.get_own(ADMIN)
    assert caught.value.code == "package.unknown_signer"
    assert caught.value.parameters["fingerprint"] == key.fingerprint
    assert "raven keys trust" in caught.value.hint
    trust(there, here)
    there.package_keys.revoke(ADMIN, "field office")
    with pytest.raises(Forbidden) as caught:
        there.package_imports.import_package(ADMIN, package)
    assert caught.value.code == "package.key_revoked"
    assert list_names(there) == before


def test_a_key_that_is_revoked_while_a_package_comes_in_is_believed_no_more(
    here: Platform, there: Platform, package: Path
):
    trust(there, here)
    before = {each for each in list_names(there) if len(each) < 64}

    def revoke(stage: str, done: int, total: int) -> None:
        del done, total
        if stage == "storing":
            there.package_keys.revoke(ADMIN, "field office")

    with pytest.raises(Forbidden) as caught:
        there.package_imports.import_package(ADMIN, package, progress=revoke)
    assert caught.value.code == "package.key_revoked"
    # But for blobs that nothing names, and that are collected.
    assert {each for each in list_names(there) if len(each) < 64} == before


@pytest.mark.parametrize("what", ["weights", "configuration", "report"])
def test_what_is_damaged_is_not_signed(here: Platform, package: Path, what: str):
    model = here.trained_models.get_model(ADMIN, MODEL)
    evaluation = here.evaluations.find_latest(ADMIN, model.id, None)
    assert evaluation is not None
    with here.database.reading() as session:
        report = (
            session.connection().exec_driver_sql("SELECT report_digest FROM model_evaluations").scalar_one()
        )
    digest = {"weights": model.weights_digest, "configuration": model.configuration_digest, "report": report}[
        what
    ]
    assert digest is not None
    path = here.blobs.get_path(digest)
    content = path.read_bytes()
    path.chmod(0o600)
    # What it says is valid still, but not what was stored.
    path.write_bytes(content.replace(b"0.", b"1.", 1) if what != "weights" else content[:-1] + b"x")
    try:
        with pytest.raises(Damaged) as caught:
            here.package_exports.make(ADMIN, MODEL)
    finally:
        path.write_bytes(content)
        path.chmod(0o444)
    assert caught.value.hint
    made = here.package_exports.make(ADMIN, MODEL)
    assert made.digest == sha256(package.read_bytes()).hexdigest()


def test_a_builtin_model_has_nothing_to_pack(here: Platform):
    with pytest.raises(NotFound) as caught:
        here.package_exports.make(ADMIN, "yolox-nano")
    assert caught.value.code == "trained_model.no_file"
    with pytest.raises(NotFound) as caught:
        here.package_exports.open(ADMIN, MODEL, "0" * 64)
    assert caught.value.code == "package.not_made"


def test_a_model_sees_and_shows_elsewhere_what_it_does_here(here: Platform, there: Platform, package: Path):
    trust(there, here)
    there.package_imports.import_package(ADMIN, package)
    chosen = [
        ModelChoice(
            platform.publishing, platform.trained_models, platform.datasets, platform.evaluations
        ).choose(ADMIN, MODEL)
        for platform in (here, there)
    ]
    assert [each.loadable.pixel_rules for each in chosen] == [PixelRules(bands=(2, 1, 0))] * 2
    assert [each.confidence for each in chosen] == [0.42, 0.42]
