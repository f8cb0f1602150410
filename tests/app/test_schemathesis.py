"""Whatever is sent to the API, it answers as its OpenAPI document says; nothing that is sent breaks it.

Schemathesis makes requests from the document, valid ones and others; they meet an application on a real database that
holds something of everything. No operation is left out. The same requests come every time: what fails, fails again.
"""

import logging
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import structlog
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky, Unsatisfiable
from pydantic import SecretStr
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.generation.stateful.state_machine import StepInput
from schemathesis.python.asgi import ASGIClient
from sqlalchemy import URL
from tests.conftest import make_database
from tests.publishing.conftest import Place, World

from raven_scan.access.types import LOCAL_ADMINISTRATOR, Claim
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform, build_platform
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.progress import ignore_progress
from raven_scan.kernel.settings import Settings
from raven_scan.notifications.subscriptions import Wish
from raven_scan.uploads.types import UploadPurpose

ADMIN = LOCAL_ADMINISTRATOR
TOKEN = "a-token"
DOCUMENT = "/api/v1/openapi.json"
_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)
_OF_AN_ACCOUNT = ("/api/v1/session", "/api/v1/tokens", "/api/v1/subscriptions")
"""What the local administrator, who has no account, is mostly refused."""


_MOST_EXAMPLES = {"POST /api/v1/trained-models/upload": 2}
"""Each file is read by a process of its own, which takes a second to start."""


_MANY_OPERATIONS = 60


@schemathesis.serializer("application/offset+octet-stream")
def _serialize_bytes(ctx: Any, value: Any) -> bytes:
    del ctx
    return value if isinstance(value, bytes) else str(value).encode()


@dataclass(frozen=True)
class Ground:
    """What requests meet.

    Attributes:
        refs: names and ids of what is there, by the first word of paths.
        named: values that bodies and queries may have under a name, of what is there.
    """

    platform: Platform
    schema: Any
    client: ASGIClient
    refs: dict[str, list[str]]
    named: dict[str, str]


@pytest.fixture(scope="module")
def quiet() -> Generator[None]:
    """Thousands of requests are not logged."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def ground(
    quiet: None,
    server_url: URL,
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
    sample_folder: Path,
) -> Generator[Ground]:
    del quiet
    load_all_checks()
    home = tmp_path_factory.mktemp("home")
    with make_database(server_url, template_database) as url:
        # Nothing is fetched from outside.
        configured = Settings(
            home=home,
            database_url=SecretStr(url),
            model_index="http://127.0.0.1:9/",
            # Subscriptions can be made; no mail is taken.
            smtp_host="127.0.0.1",
            smtp_port=9,
            smtp_sender="raven@example.org",
        )
        with build_platform(configured) as platform:
            refs, named = fill(platform, sample_folder)
            app: Any = build_app(platform, token=SecretStr(TOKEN), allow_server_paths=False)
            # A stream of events is read to its first.
            with ASGIClient(app, max_stream_events=1) as client:
                schema = schemathesis.openapi.from_asgi(DOCUMENT, app)
                yield Ground(platform, schema, client, refs, named)


def fill(platform: Platform, sample_folder: Path) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Something of everything."""
    version = platform.datasets.import_version(
        ADMIN, sample_folder, ImportOptions(name="flights"), ignore_progress
    )
    parameters = TrainingParameters(epochs=1, batch_size=2, image_size=64)
    runs = [
        platform.training_runs.create(
            ADMIN, name=name, dataset=version.full_name, base_model="yolox-nano", parameters=parameters
        )
        for name in ("first", "second", "third", "fourth")
    ]
    for run in ("second", "third"):
        platform.training_runs.schedule(ADMIN, run)
    platform.run_control.cancel(ADMIN, "third")
    platform.run_stewardship.delete(ADMIN, "fourth")
    platform.presets.save(ADMIN, name="good", run="first")
    platform.users.create(ADMIN, name="ana", roles=["Trainer"], email="ana@example.org")
    platform.users.create(ADMIN, name="chief", roles=["Admin"], email="chief@example.org", has_password=False)
    tokens = [platform.tokens.create(ADMIN, name=name, user="ana").token for name in ("nightly", "daily")]
    platform.roles.create(ADMIN, name="Reader", claims=[Claim.DATASET_VIEW])
    upload = platform.uploads.begin(ADMIN, UploadPurpose.DATASET, file_name="a.zip", size_bytes=10)
    model = platform.trained_models.get_model(ADMIN, "yolox-nano")
    place = Place(version.id, version.full_name)
    detector = World(platform, sample_folder).add_model("detector", place)
    platform.publishing.publish(ADMIN, "detector", name="waste", override="It was never evaluated.")
    subscription = platform.subscriptions.subscribe(ADMIN, Wish(user="chief")).subscription
    refs = {
        "system": ["contact"],
        "datasets": ["flights", str(version.dataset_id), version.full_name, "1"],
        "training-runs": [*(run.name for run in runs), *(str(run.id) for run in runs)],
        "trained-models": ["yolox-nano", str(model.id), "rtmdet-tiny", str(detector.id)],
        "published-models": ["waste", "waste@1"],
        "training-presets": ["good"],
        "users": ["ana", "chief"],
        "roles": ["Reader", "Viewer"],
        "tokens": [str(token.id) for token in tokens],
        "uploads": [str(upload.id)],
        "subscriptions": [str(subscription.id)],
        "trash": [str(runs[-1].id)],
        "sessions": [str(run.id) for run in runs[:1]],
    }
    named = {
        "dataset": version.full_name,
        "base_model": "yolox-nano",
        "run": "first",
        "user": "ana",
        "role": "Viewer",
        "architecture": "yolox-nano",
    }
    return refs, named


def sign_in(ground: Ground, operation: APIOperation) -> str:
    """The token for an operation: a new one, where requests may end it."""
    if not operation.path.startswith(_OF_AN_ACCOUNT):
        return TOKEN
    return ground.platform.tokens.create(ADMIN, name="test", user="chief").secret.get_secret_value()


def attack(ground: Ground, operation: APIOperation, mode: GenerationMode, examples: int) -> None:
    """Sends requests of one operation; most of them to something that is there."""
    checks: Any = [CHECKS.get_one(name) for name in _CHECKS]
    noun = operation.path.split("/")[3]
    headers = {"Authorization": f"Bearer {sign_in(ground, operation)}"}

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.filter_too_much,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
        ],
    )
    @given(
        case=operation.as_strategy(mode),
        ref=st.sampled_from([*ground.refs.get(noun, []), None, "nothing-here"]),
        names_what_is_there=st.booleans(),
    )
    def send(case: Case, ref: str | None, *, names_what_is_there: bool) -> None:
        if ref is not None and case.path_parameters:
            case.path_parameters.update(dict.fromkeys(case.path_parameters, ref))
        if names_what_is_there:
            for given_values in (case.body, case.query):
                if isinstance(given_values, dict):
                    given_values.update({k: v for k, v in ground.named.items() if k in given_values})
        if mode is GenerationMode.POSITIVE and "Idempotency-Key" in case.headers:
            # Of one that came before, the request would not be looked at.
            case.headers["Idempotency-Key"] = str(make_id())
        response = case.call(session=ground.client, headers=headers)
        case.validate_response(response, checks=checks, headers=headers)

    send()


def find_failures(ground: Ground, examples: int) -> dict[str, str]:
    failures: dict[str, str] = {}
    operations = [result.ok() for result in ground.schema.get_all_operations()]
    # What removes things comes last.
    for operation in sorted(operations, key=lambda operation: operation.method == "delete"):
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                attack(ground, operation, mode, min(examples, _MOST_EXAMPLES.get(operation.label, examples)))
            except Unsatisfiable:  # it has no parameter that could be wrong
                assert mode is GenerationMode.NEGATIVE, operation.label
            except FailureGroup as error:
                failures[f"{operation.label} ({mode.value})"] = str(error)
    return failures


@dataclass
class Walked:
    """`led_to`: operations that links led to."""

    led_to: set[str] = field(default_factory=set[str])
    failures: dict[str, str] = field(default_factory=dict[str, str])


def walk(ground: Ground, walks: int, steps: int) -> Walked:
    """Goes where the document's links lead: what one request made or listed, the next ones use."""
    checks: Any = [
        CHECKS.get_one(name) for name in (*_CHECKS, "use_after_free", "ensure_resource_availability")
    ]
    walked = Walked()
    machine: Any = ground.schema.as_state_machine()

    class Walk(machine):
        def before_call(self, case: Case) -> None:
            if isinstance(case.body, dict):
                case.body.update({k: v for k, v in ground.named.items() if k in case.body})
            if "Idempotency-Key" in case.headers:
                case.headers["Idempotency-Key"] = str(make_id())

        def get_call_kwargs(self, case: Case) -> dict[str, Any]:
            token = sign_in(ground, case.operation)
            return {"session": ground.client, "headers": {"Authorization": f"Bearer {token}"}}

        def step(self, input: StepInput) -> Any:  # noqa: A002 - its name there
            if input.transition is not None and input.is_applied:
                walked.led_to.add(input.case.operation.label)
            return super().step(input)

        def validate_response(self, response: Any, case: Case, *_: Any, **options: Any) -> None:
            # Kept rather than raised: what is there has changed, so that no walk can be taken twice.
            try:
                case.validate_response(response, checks=checks, headers=options["headers"])
            except FailureGroup as error:
                walked.failures[case.operation.label] = str(error)

    options = settings(
        max_examples=4,
        stateful_step_count=steps,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],  # pyright: ignore[reportArgumentType] - its metaclass hides its members
    )
    for number in range(walks):
        with suppress(Flaky):  # for the same reason
            seed(number)(Walk).run(settings=options)
    return walked


def test_nothing_that_is_sent_is_answered_outside_the_document(ground: Ground) -> None:
    failures = find_failures(ground, examples=4)
    assert not failures, "\n\n".join(f"{name}\n{text}" for name, text in failures.items())


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_nothing_of_all_that_is_sent_is_answered_outside_the_document(ground: Ground) -> None:
    failures = find_failures(ground, examples=40)
    assert not failures, "\n\n".join(f"{name}\n{text}" for name, text in failures.items())


def test_what_links_lead_to_is_answered_inside_the_document(ground: Ground) -> None:
    walked = walk(ground, walks=3, steps=6)
    assert not walked.failures, "\n\n".join(f"{name}\n{text}" for name, text in walked.failures.items())
    assert walked.led_to


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_all_that_links_lead_to_is_answered_inside_the_document(ground: Ground) -> None:
    walked = walk(ground, walks=60, steps=15)
    assert not walked.failures, "\n\n".join(f"{name}\n{text}" for name, text in walked.failures.items())
    assert len(walked.led_to) > _MANY_OPERATIONS
