"""Trained models: what there is, and what a run adds."""

import contextlib
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER, Actor, Claim
from raven_scan.architectures.catalogue import list_architectures
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.paging import PageRequest
from raven_scan.storage.blobs import LocalBlobStore
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import (
    LineageReference,
    ModelFilter,
    NewPackagedModel,
    NewTrainedModel,
    Origin,
    Stage,
)

NewModelMaker = Callable[..., NewTrainedModel]
ME = LOCAL_ADMINISTRATOR
ALL = PageRequest(limit=500)


class TestBuiltins:
    def test_there_is_one_an_architecture(self, service: TrainedModelService):
        models = service.list_models(ME, ALL, ModelFilter(origins=(Origin.BUILTIN,))).items
        assert {model.name for model in models} == {
            architecture.name for architecture in list_architectures()
        }
        tiny = service.get_model(ME, "rtmdet-tiny")
        assert tiny.architecture == "rtmdet-tiny"
        assert tiny.starting_weights == "random"
        assert service.get_model(ME, "rtmdet-lite0").starting_weights == "imagenet"
        assert tiny.weights_digest is None
        assert service.open_weights(ME, tiny.id) is None
        assert service.open_configuration(ME, tiny.id) is None
        assert service.find_weights_problems(ME, tiny) == []

    def test_making_them_again_changes_nothing(self, service: TrainedModelService):
        before = service.list_models(ME, ALL).items
        service.ensure_builtins()
        assert service.list_models(ME, ALL).items == before

    def test_several_make_them_at_once(self, service: TrainedModelService, database: Database):
        with database.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM trained_models")
        with ThreadPoolExecutor(8) as pool:
            for made in [pool.submit(service.ensure_builtins) for _ in range(8)]:
                made.result()
        assert len(service.list_models(ME, ALL).items) == len(list_architectures())


class TestReading:
    def test_by_name_and_by_id(self, service: TrainedModelService):
        model = service.get_model(ME, "dino-r50")
        assert service.get_model(ME, str(model.id)) == model
        assert service.get_model(ME, model.id) == model
        assert service.get_model(ME, model.id.hex.upper()) == model

    def test_what_is_not_there(self, service: TrainedModelService):
        for ref in ("nothing", "", "a/b", "a\0b", "\ud800", "x" * 10_000, "%", str(uuid4())):
            assert service.find_model(ME, ref) is None
            with pytest.raises(NotFound) as caught:
                service.get_model(ME, ref)
            assert caught.value.code == "trained_model.not_found"
            assert len(caught.value.message) < 300

    def test_pages_hold_everything_once_newest_first(self, service: TrainedModelService):
        seen: list[UUID] = []
        cursor = None
        while True:
            page = service.list_models(ME, PageRequest.parse(5, cursor))
            seen += [model.id for model in page.items]
            cursor = page.next
            if cursor is None:
                break
        assert len(seen) == len(list_architectures())
        assert seen == sorted(seen, reverse=True)

    def test_filters(self, service: TrainedModelService, make_new_model: NewModelMaker):
        new = make_new_model()
        service.create_from_run(WORKER, new)

        def names(**filters: Any) -> set[str]:
            return {model.name for model in service.list_models(ME, ALL, ModelFilter(**filters)).items}

        assert names(origins=(Origin.TRAINED,)) == {"first"}
        assert names(origins=(Origin.TRAINED, Origin.IMPORTED)) == {"first"}
        assert "first" in names(origins=(Origin.TRAINED, Origin.BUILTIN), architecture="yolox-nano")
        assert names(architecture="yolox-nano") == {"first", "yolox-nano"}
        assert names(dataset_version=str(new.dataset_version_id)) == {"first"}
        assert names(stage=Stage.PUBLISHED) == set()
        assert names(origins=(Origin.BUILTIN,), architecture="yolox-nano") == {"yolox-nano"}


class TestCreating:
    def test_keeps_figures_and_lineage(self, service: TrainedModelService, make_new_model: NewModelMaker):
        new = make_new_model()
        service.create_from_run(WORKER, new)
        model = service.get_model(ME, "first")
        assert model.origin == Origin.TRAINED
        assert model.stage == Stage.CANDIDATE
        assert model.classes == ["waste", "Sperrmüll", "垃圾"]
        assert model.test is not None
        assert model.test.map50 == 0.4
        assert model.test.f1 == 0.6
        # What cannot be had is None, however it was told.
        assert model.test.map75 is model.test.map_small is model.test.map_large is None
        assert model.test.by_class == {"waste": {"map": 0.3, "map50": None}}
        assert (model.test.image_count, model.test.box_count) == (12, 34)
        assert model.valid == new.valid
        assert model.leak_allowed
        assert model.lineage.base_model is not None
        assert model.lineage.base_model.name == "yolox-nano"
        assert model.lineage.dataset_version == LineageReference(new.dataset_version_id, "aquatrash@1")
        assert model.lineage.training_run == LineageReference(new.training_run_id, "first run")
        assert model.parameters == {"epochs": 5}
        assert model.created_by == "worker"
        weights = service.open_weights(ME, model.id)
        assert weights is not None
        assert weights.stat().st_size == model.weights_size_bytes
        configuration = service.open_configuration(ME, model.id)
        assert configuration is not None
        assert configuration.read_bytes() == b'{"model": {}}'

    def test_a_taken_name_leaves_the_callers_transaction_whole(
        self, service: TrainedModelService, make_new_model: NewModelMaker, database: Database
    ):
        service.create_from_run(WORKER, make_new_model())
        with database.transaction():
            with pytest.raises(Conflict) as caught:
                service.create_from_run(WORKER, make_new_model())
            service.create_from_run(WORKER, make_new_model("second"))
        assert caught.value.code == "trained_model.name_taken"
        assert service.find_model(ME, "second") is not None

    def test_goes_with_the_callers_transaction(
        self, service: TrainedModelService, make_new_model: NewModelMaker, database: Database
    ):
        class RolledBackError(Exception):
            pass

        def create() -> None:
            with database.transaction():
                service.create_from_run(WORKER, make_new_model())
                raise RolledBackError

        with pytest.raises(RolledBackError):
            create()
        assert service.find_model(ME, "first") is None

    def test_of_many_at_once_one_gets_the_name(
        self, service: TrainedModelService, make_new_model: NewModelMaker
    ):
        news = [make_new_model() for _ in range(8)]

        def create(new: NewTrainedModel) -> str:
            try:
                service.create_from_run(WORKER, new)
            except Conflict as error:
                return error.code
            return "created"

        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(create, news))
        assert sorted(results) == ["created"] + ["trained_model.name_taken"] * 7

    def test_refuses(self, service: TrainedModelService, make_new_model: NewModelMaker):
        refused: list[tuple[dict[str, object], type[Exception]]] = [
            ({"name": "a/b"}, Invalid),
            ({"architecture": "yolo-17"}, Invalid),
            ({"weights_digest": "0" * 64}, NotFound),
            ({"configuration_digest": "0" * 64}, NotFound),
        ]
        for changes, error in refused:
            with pytest.raises(error):
                service.create_from_run(WORKER, make_new_model(**changes))
        assert service.list_models(ME, ALL, ModelFilter(origins=(Origin.TRAINED,))).items == []

    def test_check_name_free(self, service: TrainedModelService, make_new_model: NewModelMaker):
        service.check_name_free(ME, "first")
        service.create_from_run(WORKER, make_new_model())
        with pytest.raises(Conflict):
            service.check_name_free(ME, "first")
        with pytest.raises(Conflict):
            service.check_name_free(ME, "rtmdet-tiny")
        with pytest.raises(Invalid):
            service.check_name_free(ME, "a@b")


class TestWeightsProblems:
    def test_what_befalls_a_file(self, service: TrainedModelService, make_new_model: NewModelMaker):
        model = service.create_from_run(WORKER, make_new_model())
        path = service.open_weights(ME, model.id)
        assert path is not None
        path.chmod(0o600)
        sound = path.read_bytes()

        def find(*, check_digest: bool = False) -> list[str]:
            found = service.find_weights_problems(ME, model, check_digest=check_digest)
            return [problem.code for problem in found]

        assert find() == find(check_digest=True) == []
        path.write_bytes(sound[:-1])
        assert find() == ["trained_model.weights_damaged"]
        path.write_bytes(b"\xff" * len(sound))
        assert find() == ["trained_model.weights_unreadable"]
        path.write_bytes(sound[:-1] + b"\0")
        assert find() == []
        assert find(check_digest=True) == ["trained_model.weights_damaged"]
        path.unlink()
        assert find() == ["trained_model.weights_missing"]

    def test_no_tensor(
        self, service: TrainedModelService, make_new_model: NewModelMaker, blobs: LocalBlobStore
    ):
        empty = blobs.put_bytes(b"\x02\0\0\0\0\0\0\0{}")
        model = service.create_from_run(WORKER, make_new_model(weights_digest=empty))
        assert [problem.code for problem in service.find_weights_problems(ME, model)] == [
            "trained_model.weights_empty"
        ]


CALLS: dict[str, tuple[Claim, Callable[[TrainedModelService, Actor, NewTrainedModel], object]]] = {
    "get_model": (Claim.TRAINED_MODEL_VIEW, lambda s, a, _: s.get_model(a, "dino-r50")),
    "find_model": (Claim.TRAINED_MODEL_VIEW, lambda s, a, _: s.find_model(a, "dino-r50")),
    "keep_model": (Claim.TRAINED_MODEL_VIEW, lambda s, a, n: s.keep_model(a, n.base_model_id)),
    "follow_run": (Claim.TRAINING_RUN_EDIT, lambda s, a, n: s.follow_run(a, n.training_run_id, "x")),
    "list_models": (Claim.TRAINED_MODEL_VIEW, lambda s, a, _: s.list_models(a, ALL)),
    "check_name_free": (Claim.TRAINED_MODEL_VIEW, lambda s, a, _: s.check_name_free(a, "x")),
    "open_weights": (Claim.TRAINED_MODEL_VIEW, lambda s, a, n: s.open_weights(a, n.base_model_id)),
    "open_configuration": (
        Claim.TRAINED_MODEL_VIEW,
        lambda s, a, n: s.open_configuration(a, n.base_model_id),
    ),
    "find_weights_problems": (
        Claim.TRAINED_MODEL_VIEW,
        lambda s, a, _: s.find_weights_problems(a, s.get_model(ME, "dino-r50")),
    ),
    "create_from_run": (Claim.TRAINED_MODEL_CREATE, lambda s, a, n: s.create_from_run(a, n)),
    "create_from_package": (
        Claim.TRAINED_MODEL_IMPORT,
        lambda s, a, _: s.create_from_package(
            a, cast("NewPackagedModel", SimpleNamespace(architecture="?", name="x"))
        ),
    ),
    "select_ids": (Claim.TRAINED_MODEL_VIEW, lambda s, a, _: s.select_ids(a)),
    "check_import": (
        Claim.TRAINED_MODEL_IMPORT,
        lambda s, a, _: s.check_import(a, architecture="dino-r50", name="x"),
    ),
    "open_upload": (
        Claim.TRAINED_MODEL_IMPORT,
        lambda s, a, _: s.open_upload(a, architecture="dino-r50", name="x", file_name="y").__enter__(),
    ),
    "import_checkpoint": (
        Claim.TRAINED_MODEL_IMPORT,
        lambda s, a, _: s.import_checkpoint(a, Path("/no/file"), architecture="dino-r50", name="x"),
    ),
    "check_pull": (Claim.TRAINED_MODEL_IMPORT, lambda s, a, _: s.check_pull(a, "rtmdet-lite0")),
    "pull_model": (Claim.TRAINED_MODEL_IMPORT, lambda s, a, _: s.pull_model(a, "yolox-nano")),
    "list_blob_digests": (
        Claim.TRAINED_MODEL_VIEW,
        lambda service, actor, _: service.list_blob_digests(actor),
    ),
}


SINGLE = {"get_model", "find_model", "open_weights", "open_configuration", "keep_model"}
"""Who may not see models is told that there is none."""


class TestClaims:
    def test_every_use_case_is_here(self):
        public = {name for name in vars(TrainedModelService) if not name.startswith("_")}
        assert public - {"ensure_builtins"} == set(CALLS)

    def test_each_wants_its_claim(self, service: TrainedModelService, make_new_model: NewModelMaker):
        new = make_new_model()
        for name, (claim, call) in CALLS.items():
            without = Actor(make_id(), "nosy", frozenset(Claim) - {claim})
            if name == "find_model":
                assert call(service, without, new) is None
            else:
                with pytest.raises(NotFound if name in SINGLE else Forbidden) as caught:
                    call(service, without, new)
                assert name in SINGLE or caught.value.parameters == {"claim": str(claim)}
            allowed = Actor(make_id(), "able", frozenset({claim, Claim.TRAINED_MODEL_VIEW}))
            with contextlib.suppress(Invalid):
                call(service, allowed, new)

    def test_no_framework_is_imported(self):
        code = "import sys, raven_scan.trained_models.api; print({'torch', 'mmdet', 'mmengine'} & set(sys.modules))"
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert run.stdout.strip() == "set()"
