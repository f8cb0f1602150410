import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console

import raven_scan
from raven_scan.app.cli import app
from raven_scan.app.cli.exit_codes import EXIT_CODE_OF_KIND, MEANINGS
from raven_scan.app.cli.tables import print_next
from raven_scan.architectures.catalogue import list_architectures
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.kernel.errors import ErrorKind

Raven = Callable[..., Any]


def find_commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from find_commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(find_commands(typer.main.get_command(app)))


@pytest.fixture
def imported(raven: Raven, sample_folder: Path) -> Raven:
    assert raven("datasets", "import", sample_folder, "--name", "tiny").code == 0
    return raven


def create(raven: Raven, name: str = "first", *more: str) -> Any:
    return raven(
        "runs", "create", "--name", name, "--dataset", "tiny", "--base-model", "rtmdet-lite0", *more, "--json"
    )


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_takes_json(path: tuple[str, ...]) -> None:
    assert "--json" in {name for parameter in COMMANDS[path].params for name in parameter.opts}


def test_every_training_parameter_has_an_option() -> None:
    command = COMMANDS["runs", "create"]
    options = {name.removeprefix("--") for parameter in command.params for name in parameter.opts}
    expected = {name.replace("_", "-") for name in TrainingParameters.model_fields}
    assert expected - {"schedule"} | {"lr-schedule"} <= options


def test_every_kind_has_an_exit_code_with_a_meaning() -> None:
    assert set(EXIT_CODE_OF_KIND) == set(ErrorKind)
    assert set(EXIT_CODE_OF_KIND.values()) <= set(MEANINGS)


def test_the_version(raven: Raven) -> None:
    assert raven("--version").out == f"{raven_scan.__version__}\n"


@pytest.mark.parametrize("noun", ["datasets", "runs"])
def test_empty_lists(raven: Raven, noun: str) -> None:
    listed = raven(noun, "list", "--json")
    assert (listed.code, listed.document) == (0, {"items": [], "next": None})
    assert f"raven {noun}" in raven(noun, "list").out


def test_the_environment_can_ask_for_json(raven: Raven, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAVEN_JSON", "1")
    assert raven("runs", "list").document == {"items": [], "next": None}
    assert raven("runs", "show", "nothing").document["error"]["code"] == "training_run.not_found"


def test_a_dataset_is_imported_listed_and_shown(raven: Raven, sample_folder: Path) -> None:
    imported = raven(
        "datasets", "import", sample_folder, "--name", "свалка", "--map", "waste=litter", "--json"
    )
    assert imported.code == 0
    version = imported.document
    assert (version["dataset_name"], version["number"], version["classes"]) == ("свалка", 1, ["litter"])
    assert "images" in imported.err
    assert [item["name"] for item in raven("datasets", "list", "--json").document["items"]] == ["свалка"]
    for ref in ("свалка", "свалка@1", version["id"], version["dataset_id"]):
        shown = raven("datasets", "show", ref, "--json").document
        assert [each["id"] for each in shown["versions"]] == [version["id"]]
    assert "litter" in raven("datasets", "show", "свалка").out


def test_the_cursor_of_the_next_page_is_on_one_line() -> None:
    console = Console(width=40, file=io.StringIO(), record=True)
    print_next(console, "x" * 100)
    assert console.export_text().splitlines() == [f"More: --cursor {'x' * 100}"]


def test_builtin_models_are_listed_page_by_page(raven: Raven) -> None:
    names: list[str] = []
    cursor: tuple[str, ...] = ()
    while True:
        page = raven("models", "list", "--origin", "builtin", "--limit", "5", *cursor, "--json").document
        names += [model["name"] for model in page["items"]]
        if page["next"] is None:
            break
        cursor = ("--cursor", page["next"])
    assert sorted(names) == sorted(architecture.name for architecture in list_architectures())
    assert "--cursor" in raven("models", "list", "--limit", "5").out
    model = raven("models", "show", "rtmdet-lite0", "--json").document
    assert (model["name"], model["stage"], model["test"]) == ("rtmdet-lite0", "candidate", None)


def test_a_run_is_created_and_read(imported: Raven) -> None:
    created = create(imported, "first", "--epochs", "3", "--lr-schedule", "step", "--seed", "7")
    assert created.code == 0
    run = created.document
    assert [run[key] for key in ("name", "status", "epoch", "epochs", "error")] == [
        "first",
        "Draft",
        0,
        3,
        None,
    ]
    assert (run["parameters"]["schedule"], run["parameters"]["seed"]) == ("step", 7)
    assert imported("runs", "show", run["id"], "--json").document == run
    assert [item["name"] for item in imported("runs", "list", "--json").document["items"]] == ["first"]
    assert imported("runs", "list", "--status", "Success", "--json").document["items"] == []
    assert imported("runs", "metrics", "first", "--json").document["series"] == []
    assert imported("runs", "logs", "first", "--json").document == {"text": ""}
    assert imported("runs", "logs", "first", "--follow", "--json").document == {"text": ""}
    human = imported("runs", "show", "first").out
    assert "tiny@1" in human
    assert "Draft" in human


def test_a_run_is_scheduled(imported: Raven) -> None:
    assert create(imported).code == 0
    watched = imported("runs", "watch", "first", "--json")
    assert (watched.code, watched.document["error"]["code"]) == (5, "training_run.is_a_draft")
    scheduled = imported("runs", "schedule", "first", "--json")
    assert (scheduled.code, scheduled.document["status"]) == (0, "Waiting")
    again = imported("runs", "schedule", "first", "--json")
    assert (again.code, again.document["error"]["code"]) == (5, "training_run.not_scheduled")


def test_a_failed_preflight_says_why(imported: Raven) -> None:
    created = create(imported, "frozen", "--image-size", "4096", "--batch-size", "512")
    assert created.code == 0
    refused = imported("runs", "schedule", "frozen", "--json")
    assert refused.code == 5
    error = refused.document["error"]
    assert error["code"] == "training_run.preflight_failed"
    assert [finding["severity"] for finding in error["parameters"]["findings"]].count("error") >= 1
    assert error["hint"]


ERRORS = [
    ("runs create --name a --dataset nope --base-model rtmdet-lite0", 3, "dataset.not_found"),
    ("runs create --name a --dataset tiny --base-model nope", 3, "trained_model.not_found"),
    (
        "runs create --name a --dataset tiny@9 --base-model rtmdet-lite0",
        3,
        "dataset.version_not_found",
    ),
    (
        "runs create --name rtmdet-lite0 --dataset tiny --base-model rtmdet-lite0",
        5,
        "trained_model.name_taken",
    ),
    ("runs create --name a/b --dataset tiny --base-model rtmdet-lite0", 2, "training_run.bad_name"),
    ("runs show nope", 3, "training_run.not_found"),
    ("runs watch nope", 3, "training_run.not_found"),
    ("runs logs nope", 3, "training_run.not_found"),
    ("runs list --status Sleeping", 2, "request.invalid"),
    ("runs list --limit 100000", 2, "paging.bad_limit"),
    ("runs list --cursor x", 2, "paging.bad_cursor"),
    ("datasets show nope", 3, "dataset.not_found"),
    ("datasets import /nowhere --name a", 2, "dataset.source_missing"),
    ("models show nope", 3, "trained_model.not_found"),
    ("models import /nowhere.pth --architecture nope --name a", 2, "trained_model.unknown_architecture"),
    ("db start", 5, "database.is_external"),
    ("runs fly", 2, "usage"),
    ("runs show", 2, "usage"),
    ("runs list --limit many", 2, "usage"),
    ("runs create --name a --dataset tiny --base-model rtmdet-lite0 --wait", 2, "usage"),
    ("datasets import x --name a --map waste", 2, "usage"),
    ("datasets import x --name a --bands 1,2", 2, "usage"),
]


def test_errors(imported: Raven, subtests: pytest.Subtests) -> None:
    for arguments, exit_code, code in ERRORS:
        with subtests.test(arguments):
            told = imported(*arguments.split(), "--json")
            assert told.code == exit_code
            error = told.document["error"]
            assert (set(told.document), set(error)) == ({"error"}, {"code", "message", "hint", "parameters"})
            assert error["code"] == code
            assert error["message"]
            human = imported(*arguments.split())
            assert (human.code, human.out) == (exit_code, "")
            assert error["message"] in human.err


def test_a_noun_alone_shows_its_help(raven: Raven) -> None:
    assert "schedule" in raven("runs").out
    told = raven("runs", "--json")
    assert (told.code, told.document["error"]["code"]) == (2, "usage")


BOUNDS = [
    ("--epochs", "0", "greater than or equal to 1, not 0"),
    ("--epochs", "2001", "less than or equal to 2000, not 2001"),
    ("--image-size", "65", "multiple of 32, not 65"),
    ("--batch-size", "513", "512"),
    ("--learning-rate", "0", "greater than 0"),
    ("--augmentation", "wild", "'off', 'light' or 'full'"),
    ("--lr-schedule", "up", "'cosine', 'step' or 'constant'"),
]


def test_parameters_out_of_bounds_are_refused_by_name(imported: Raven, subtests: pytest.Subtests) -> None:
    for option, value, bound in BOUNDS:
        with subtests.test(f"{option} {value}"):
            told = create(imported, "first", option, value)
            error = told.document["error"]
            assert (told.code, error["code"]) == (2, "request.invalid")
            field = {"--lr-schedule": "schedule"}.get(option, option.removeprefix("--").replace("-", "_"))
            assert error["parameters"]["problems"][0]["field"] == f"parameters.{field}"
            assert bound in error["message"]
    told = create(imported, "first", "--learning-rate", "nan")
    assert (told.code, told.document["error"]["code"]) == (2, "client.not_finite")
    assert imported("runs", "list", "--json").document["items"] == []


def test_all_that_is_wrong_with_a_dataset_is_told(raven: Raven, sample_folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(sample_folder, broken)
    annotations = broken / "train" / "annotations_coco.json"
    document = json.loads(annotations.read_text())
    for index in range(30):
        document["annotations"].append(
            {"id": 1000 + index, "image_id": 1, "category_id": 99, "bbox": [1, 1, 5, 5]}
        )
    annotations.write_text(json.dumps(document))
    (broken / "test" / "test_0001.jpg").unlink()
    told = raven("datasets", "import", broken, "--name", "broken", "--json")
    assert (told.code, told.document["error"]["code"]) == (2, "dataset.refused")
    assert len(told.document["error"]["parameters"]["problems"]) == 31
    human = raven("datasets", "import", broken, "--name", "broken")
    assert human.code == 2
    assert human.out == ""
    assert human.err.count("train/annotations_coco.json, annotation 10") >= 20
    assert "… and 11 more" in human.err
    assert raven("datasets", "list", "--json").document["items"] == []


def test_settings_that_are_not_valid_are_named(raven: Raven, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAVEN_LEASE_TIMEOUT_S", "hunter2")
    told = raven("runs", "list", "--json")
    assert (told.code, told.document["error"]["code"]) == (2, "settings.invalid")
    assert "RAVEN_LEASE_TIMEOUT_S" in told.document["error"]["message"]
    assert "hunter2" not in told.out


def test_a_datasets_name_is_checked_before_anything_is_sent(
    raven: Raven, monkeypatch: pytest.MonkeyPatch, sample_folder: Path
) -> None:
    monkeypatch.setenv("RAVEN_SERVER", "http://127.0.0.1:1")
    told = raven("datasets", "import", sample_folder, "--name", "a/b", "--json")
    assert (told.code, told.document["error"]["code"]) == (2, "dataset.bad_name")


def test_no_server_at_its_address_is_told(raven: Raven, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAVEN_SERVER", "http://127.0.0.1:1")
    told = raven("runs", "list", "--json")
    assert (told.code, told.document["error"]["code"]) == (6, "client.no_answer")
    monkeypatch.setenv("RAVEN_SERVER", "127.0.0.1:8700")
    assert raven("runs", "list", "--json").document["error"]["code"] == "client.bad_address"


def test_what_takes_long_to_open_is_said_on_a_terminal(raven: Raven, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raven_scan.app.cli.session._PATIENCE_S", 0)
    assert "Opening the database" not in raven("runs", "list").err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    said = raven("runs", "list", "--json")
    assert said.err.startswith("Opening the database of RAVEN_DATABASE_URL …\n")
    assert said.document["items"] == []


def test_an_external_database_is_upgraded_once(
    raven: Raven, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAVEN_DATABASE_URL", empty_database_url)
    told = raven("runs", "list", "--json")
    assert (told.code, told.document["error"]["code"]) == (6, "database.not_upgraded")
    assert raven("db", "upgrade", "--json").document == {"upgraded": True}
    assert raven("db", "upgrade", "--json").document == {"upgraded": False}
    assert raven("runs", "list", "--json").code == 0
    assert raven("db", "status", "--json").document["running"] is True


def test_help_and_mistakes_import_next_to_nothing(environment: dict[str, str]) -> None:
    code = (
        "import sys; from raven_scan.app.cli.program import run; run(['--help']); run(['runs', 'fly']);"
        "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    imported = told.stderr.splitlines()[-1]
    for heavy in ("torch", "fastapi", "sqlalchemy", "numpy", "polars", "httpx", "pydantic_settings"):
        assert f"'{heavy}'" not in imported


def test_the_platform_in_process_imports_no_framework(environment: dict[str, str]) -> None:
    code = (
        "import sys; from raven_scan.app.cli.program import run; run(['runs', 'list']);"
        "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    imported = told.stderr.splitlines()[-1]
    for framework in ("torch", "torchvision", "mmengine", "mmdet", "mmcv", "timm"):
        assert f"'{framework}'" not in imported
