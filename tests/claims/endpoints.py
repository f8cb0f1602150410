"""Every operation of the REST API, with the claims that it needs.

An operation that is added without a row fails `test_every_endpoint_has_a_row`.
"""

from typing import Any

from raven_scan.access.builtin_roles import VIEWER
from raven_scan.access.types import Claim

from .rows import Endpoint
from .world import (
    DATASET,
    DISABLED_USER,
    DRAFT,
    EVALUATION,
    FOREIGN_TOKEN,
    FOREIGN_UPLOAD,
    MODEL,
    NOWHERE,
    PRESET,
    PROCESSING,
    PUBLISHED,
    ROLE,
    USER,
    WAITING,
)

_REFERRED = frozenset({Claim.DATASET_VIEW, Claim.TRAINED_MODEL_VIEW})
"""What a run refers to."""

_OWN = frozenset[Claim]()
"""Whoever is signed in looks after what is their own."""

_RUN = "/api/v1/training-runs"
_PRESET = "/api/v1/training-presets"
_MODEL = "/api/v1/trained-models"
_DATASET = "/api/v1/datasets"
_USER = "/api/v1/users"
_ROLE = "/api/v1/roles"


def _needs(*claims: Claim) -> frozenset[Claim]:
    return frozenset(claims)


def _stale(body: object) -> dict[str, Any]:
    """An edit of a revision that is gone."""
    return {"body": body, "headers": {"If-Match": '"999"'}, "status": 412}


def _act(
    collection: str,
    method: str,
    path: str,
    view: Claim,
    claim: Claim,
    *,
    ref: str,
    parameter: str = "ref",
    refers: frozenset[Claim] = frozenset(),
    number: str = "",
    name: str = "",
    **more: Any,
) -> Endpoint:
    """On one thing, which is not there for those without the claim to view it."""
    return Endpoint(
        method=method,
        path=f"{collection}/{{{parameter}}}{path}",
        needs=_needs(view, claim, *refers),
        view=view,
        refers=refers,
        values={parameter: ref, "number": number, "name": name},
        **more,
    )


def _act_on_run(method: str, path: str, claim: Claim, *, ref: str = DRAFT, **more: Any) -> Endpoint:
    return _act(_RUN, method, path, Claim.TRAINING_RUN_VIEW, claim, ref=ref, **more)


SYSTEM = [
    Endpoint(method="get", path="/api/v1/system/health", is_open=True),
    Endpoint(method="get", path="/api/v1/system/readiness", is_open=True),
    Endpoint(method="get", path="/api/v1/system/version", needs=_OWN),
    Endpoint(method="get", path="/api/v1/system", needs=_needs(Claim.SYSTEM_VIEW)),
    Endpoint(method="get", path="/api/v1/system/settings", needs=_needs(Claim.SETTINGS_VIEW)),
    Endpoint(
        method="get",
        path="/api/v1/system/settings/{name}",
        needs=_needs(Claim.SETTINGS_VIEW),
        values={"name": "contact"},
    ),
    Endpoint(
        method="patch",
        path="/api/v1/system/settings/{name}",
        needs=_needs(Claim.SETTINGS_VIEW, Claim.SETTINGS_EDIT),
        values={"name": "contact"},
        **_stale({"value": None}),
    ),
    Endpoint(method="get", path="/api/v1/system/queue", needs=_needs(Claim.TRAINING_RUN_VIEW)),
    Endpoint(method="get", path="/api/v1/system/workers", needs=_needs(Claim.SYSTEM_VIEW)),
]

TRAINING_RUNS = [
    Endpoint(method="get", path=_RUN, needs=_needs(Claim.TRAINING_RUN_VIEW)),
    Endpoint(
        method="post",
        path=_RUN,
        needs=_needs(Claim.TRAINING_RUN_CREATE, *_REFERRED),
        refers=_REFERRED,
        status=409,
        body={"name": DRAFT, "dataset": "tiny", "base_model": "yolox-nano"},
    ),
    _act_on_run("get", "", Claim.TRAINING_RUN_VIEW),
    _act_on_run("patch", "", Claim.TRAINING_RUN_EDIT, **_stale({"notes": "x"})),
    _act_on_run("delete", "", Claim.TRAINING_RUN_DELETE, ref=PROCESSING, status=409),
    _act_on_run("post", "/preflight", Claim.TRAINING_RUN_SCHEDULE, refers=_REFERRED),
    _act_on_run("post", "/schedule", Claim.TRAINING_RUN_SCHEDULE, ref=WAITING, status=409),
    _act_on_run(
        "post", "/clone", Claim.TRAINING_RUN_CREATE, refers=_REFERRED, body={"name": DRAFT}, status=409
    ),
    _act_on_run("get", "/comparison", Claim.TRAINING_RUN_VIEW, query={"with": WAITING}),
    _act_on_run("post", "/reproduce", Claim.TRAINING_RUN_CREATE, body={}, status=409),
    _act_on_run("get", "/reproduction", Claim.TRAINING_RUN_VIEW, status=404),
    _act_on_run("post", "/cancel", Claim.TRAINING_RUN_CANCEL, status=409),
    _act_on_run("post", "/pause", Claim.TRAINING_RUN_CANCEL, status=409),
    _act_on_run("post", "/resume", Claim.TRAINING_RUN_SCHEDULE, status=409),
    _act_on_run("post", "/retry", Claim.TRAINING_RUN_SCHEDULE, status=409),
    _act_on_run("post", "/move", Claim.TRAINING_RUN_SCHEDULE, body={"place": 1}, status=409),
    _act_on_run("post", "/priority", Claim.TRAINING_RUN_SCHEDULE, body={"priority": 0}),
    _act_on_run("get", "/metrics", Claim.TRAINING_RUN_VIEW),
    _act_on_run("get", "/logs", Claim.TRAINING_RUN_VIEW),
    _act_on_run("get", "/logs/raw", Claim.TRAINING_RUN_VIEW),
    _act_on_run("get", "/logs/search", Claim.TRAINING_RUN_VIEW, query={"q": "x"}),
    # A Draft is at rest, so that its stream ends.
    _act_on_run("get", "/events", Claim.TRAINING_RUN_VIEW),
    _act_on_run("get", "/artifacts", Claim.TRAINING_RUN_VIEW),
    _act_on_run("get", "/artifacts/{name}", Claim.TRAINING_RUN_VIEW, name="parameters.json"),
]

PRESETS = [
    Endpoint(method="get", path=_PRESET, needs=_needs(Claim.TRAINING_RUN_VIEW)),
    Endpoint(
        method="post",
        path=_PRESET,
        needs=_needs(Claim.TRAINING_RUN_VIEW, Claim.TRAINING_RUN_CREATE),
        view=Claim.TRAINING_RUN_VIEW,
        body={"name": PRESET, "run": DRAFT},
        status=409,
    ),
    _act(_PRESET, "get", "", Claim.TRAINING_RUN_VIEW, Claim.TRAINING_RUN_VIEW, ref=PRESET),
    # Deleting has no other way to fail than that there is none.
    Endpoint(
        method="delete",
        path=f"{_PRESET}/{{ref}}",
        needs=_needs(Claim.TRAINING_RUN_VIEW, Claim.TRAINING_RUN_CREATE),
        view=Claim.TRAINING_RUN_VIEW,
        values={"ref": "there is none"},
        status=404,
    ),
]

DATASETS = [
    Endpoint(method="get", path=_DATASET, needs=_needs(Claim.DATASET_VIEW)),
    Endpoint(
        method="post",
        path=f"{_DATASET}/import",
        needs=_needs(Claim.DATASET_IMPORT),
        body={"upload": NOWHERE, "name": "new"},
        status=404,
    ),
    _act(_DATASET, "get", "", Claim.DATASET_VIEW, Claim.DATASET_VIEW, ref=DATASET),
    _act(
        _DATASET, "patch", "", Claim.DATASET_VIEW, Claim.DATASET_EDIT, ref=DATASET, **_stale({"notes": "x"})
    ),
    _act(_DATASET, "delete", "", Claim.DATASET_VIEW, Claim.DATASET_DELETE, ref=DATASET, status=409),
    _act(_DATASET, "get", "/versions", Claim.DATASET_VIEW, Claim.DATASET_VIEW, ref=DATASET),
    _act(
        _DATASET, "get", "/versions/{number}", Claim.DATASET_VIEW, Claim.DATASET_VIEW, ref=DATASET, number="1"
    ),
    _act(_DATASET, "get", "/export", Claim.DATASET_VIEW, Claim.DATASET_EXPORT, ref=DATASET),
    # No image has this digest.
    Endpoint(
        method="get",
        path=f"{_DATASET}/{{ref}}/images/{{digest}}",
        needs=_needs(Claim.DATASET_VIEW),
        view=Claim.DATASET_VIEW,
        values={"ref": DATASET, "digest": "0" * 64},
        status=404,
    ),
]

MODELS = [
    Endpoint(method="get", path=_MODEL, needs=_needs(Claim.TRAINED_MODEL_VIEW)),
    Endpoint(
        method="post",
        path=f"{_MODEL}/import",
        needs=_needs(Claim.TRAINED_MODEL_IMPORT),
        body={"upload": NOWHERE, "architecture": MODEL, "name": "new"},
        status=404,
    ),
    Endpoint(
        method="post",
        path=f"{_MODEL}/upload",
        needs=_needs(Claim.TRAINED_MODEL_IMPORT),
        query={"architecture": MODEL, "name": "a/b", "file_name": "x.pth"},
        content=b"x",
        status=422,
    ),
    Endpoint(
        method="post",
        path=f"{_MODEL}/pull",
        needs=_needs(Claim.TRAINED_MODEL_IMPORT),
        body={"model": "there is none"},
        status=404,
    ),
    _act(_MODEL, "get", "", Claim.TRAINED_MODEL_VIEW, Claim.TRAINED_MODEL_VIEW, ref=MODEL),
    _act(_MODEL, "get", "/lineage", Claim.TRAINED_MODEL_VIEW, Claim.TRAINED_MODEL_VIEW, ref=MODEL),
    _act(_MODEL, "post", "/verify", Claim.TRAINED_MODEL_VIEW, Claim.TRAINED_MODEL_VIEW, ref=MODEL),
    _act(
        _MODEL,
        "patch",
        "",
        Claim.TRAINED_MODEL_VIEW,
        Claim.TRAINED_MODEL_EDIT,
        ref=MODEL,
        **_stale({"notes": "x"}),
    ),
    _act(_MODEL, "delete", "", Claim.TRAINED_MODEL_VIEW, Claim.TRAINED_MODEL_DELETE, ref=MODEL, status=409),
    _act(
        _MODEL,
        "get",
        "/download",
        Claim.TRAINED_MODEL_VIEW,
        Claim.TRAINED_MODEL_EXPORT,
        ref=MODEL,
        query={"file": "weights"},
        status=404,
    ),
]

_KEY = "/api/v1/package-keys"

PACKAGES = [
    Endpoint(
        method="post",
        path=f"{_MODEL}/packages/import",
        needs=_needs(Claim.TRAINED_MODEL_IMPORT),
        body={"upload": NOWHERE, "name": "new"},
        status=404,
    ),
    _act(
        _MODEL,
        "post",
        "/package",
        Claim.TRAINED_MODEL_VIEW,
        Claim.TRAINED_MODEL_EXPORT,
        ref=MODEL,
        body={},
        status=404,
    ),
    _act(
        _MODEL,
        "get",
        "/package/{digest}",
        Claim.TRAINED_MODEL_VIEW,
        Claim.TRAINED_MODEL_EXPORT,
        ref=MODEL,
        status=404,
    ),
    Endpoint(method="get", path=_KEY, needs=_needs(Claim.TRAINED_MODEL_VIEW)),
    Endpoint(method="get", path=f"{_KEY}/own", needs=_needs(Claim.TRAINED_MODEL_VIEW)),
    Endpoint(
        method="post",
        path=_KEY,
        needs=_needs(Claim.SETTINGS_EDIT),
        body={"key": "none", "name": "new"},
        status=422,
    ),
    Endpoint(
        method="delete",
        path=f"{_KEY}/{{ref}}",
        needs=_needs(Claim.SETTINGS_EDIT),
        values={"ref": "there is none"},
        status=404,
    ),
]

USERS = [
    Endpoint(method="get", path=_USER, needs=_needs(Claim.USER_VIEW)),
    Endpoint(
        method="post",
        path=_USER,
        needs=_needs(Claim.USER_VIEW, Claim.USER_EDIT, *VIEWER.claims),
        body={"name": USER},
        status=409,
    ),
    _act(_USER, "get", "", Claim.USER_VIEW, Claim.USER_VIEW, ref=USER),
    _act(_USER, "patch", "", Claim.USER_VIEW, Claim.USER_EDIT, ref=USER, **_stale({"name": "other"})),
    _act(_USER, "delete", "", Claim.USER_VIEW, Claim.USER_EDIT, ref=USER, **_stale(None)),
    _act(_USER, "post", "/disable", Claim.USER_VIEW, Claim.USER_EDIT, ref=DISABLED_USER),
    _act(_USER, "post", "/enable", Claim.USER_VIEW, Claim.USER_EDIT, ref=USER),
    _act(_USER, "post", "/reset-password", Claim.USER_VIEW, Claim.USER_EDIT, ref=USER, body={}),
    Endpoint(method="get", path=_ROLE, needs=_needs(Claim.USER_VIEW)),
    Endpoint(
        method="post",
        path=_ROLE,
        needs=_needs(Claim.USER_VIEW, Claim.ROLE_EDIT, Claim.SYSTEM_VIEW),
        body={"name": ROLE, "claims": ["system:view"]},
        status=409,
    ),
    _act(_ROLE, "get", "", Claim.USER_VIEW, Claim.USER_VIEW, ref=ROLE),
    _act(_ROLE, "patch", "", Claim.USER_VIEW, Claim.ROLE_EDIT, ref=ROLE, **_stale({"description": "x"})),
    _act(_ROLE, "delete", "", Claim.USER_VIEW, Claim.ROLE_EDIT, ref=ROLE, **_stale(None)),
]

OWN = [
    Endpoint(method="get", path="/api/v1/session"),
    Endpoint(
        method="post", path="/api/v1/session", is_open=True, body={"name": "x", "password": "y"}, status=401
    ),
    Endpoint(method="delete", path="/api/v1/session", status=204, ends_token=True),
    Endpoint(method="get", path="/api/v1/session/ways", is_open=True),
    Endpoint(method="get", path="/api/v1/session/oidc", is_open=True, status=404),
    Endpoint(method="get", path="/api/v1/session/oidc/callback", is_open=True, status=404),
    Endpoint(
        method="put",
        path="/api/v1/session/password",
        body={"current_password": "wrong", "new_password": "long enough, and new"},
        status=409,
    ),
    Endpoint(method="get", path="/api/v1/sessions"),
    Endpoint(method="delete", path="/api/v1/sessions"),
    Endpoint(
        method="delete", path="/api/v1/sessions/{session_id}", values={"session_id": NOWHERE}, status=404
    ),
    Endpoint(method="get", path="/api/v1/tokens"),
    Endpoint(method="post", path="/api/v1/tokens", body={"name": "a/b"}, status=422),
    # Another's token, which only those see who may see users.
    _act(
        "/api/v1/tokens", "get", "", Claim.USER_VIEW, Claim.USER_VIEW, parameter="token_id", ref=FOREIGN_TOKEN
    ),
    _act(
        "/api/v1/tokens",
        "delete",
        "",
        Claim.USER_VIEW,
        Claim.USER_EDIT,
        parameter="token_id",
        ref=FOREIGN_TOKEN,
        status=204,
    ),
]

AUDIT = [
    Endpoint(method="get", path="/api/v1/audit", needs=_needs(Claim.AUDIT_VIEW)),
    Endpoint(method="post", path="/api/v1/audit/verify", needs=_needs(Claim.AUDIT_VIEW), body={}),
]

UPLOADS = [
    Endpoint(
        method="get",
        path="/api/v1/uploads",
        any_of=_needs(Claim.DATASET_IMPORT, Claim.TRAINED_MODEL_IMPORT),
    ),
    Endpoint(
        method="post",
        path="/api/v1/uploads",
        needs=_needs(Claim.DATASET_IMPORT),
        body={"purpose": "dataset", "file_name": "x.zip", "size_bytes": 1 << 60},
        status=422,
    ),
    *(
        # Another's: nobody sees it, whatever their claims.
        Endpoint(
            method=method,
            path=f"/api/v1/uploads/{{ref}}{path}",
            values={"ref": FOREIGN_UPLOAD},
            body=body,
            content=content,
            headers=headers,
            status=404,
        )
        for method, path, body, content, headers in (
            ("get", "", None, None, {}),
            ("head", "", None, None, {}),
            ("delete", "", None, None, {}),
            ("post", "/complete", {"sha256": "0" * 64}, None, {}),
            (
                "patch",
                "",
                None,
                b"x",
                {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
            ),
        )
    ),
]

NOTIFICATIONS = [
    Endpoint(method="get", path="/api/v1/notifications", needs=_needs(Claim.SYSTEM_VIEW)),
    Endpoint(
        method="post", path="/api/v1/notifications/test", needs=_needs(Claim.NOTIFICATION_SEND), status=409
    ),
]

_SUBSCRIPTION = "/api/v1/subscriptions"

SUBSCRIPTIONS = [
    Endpoint(method="get", path=_SUBSCRIPTION, needs=_needs(Claim.TRAINING_RUN_VIEW)),
    Endpoint(
        method="post",
        path=_SUBSCRIPTION,
        needs=_needs(Claim.TRAINING_RUN_VIEW),
        body={"runs": "one", "run": "there is none"},
        status=404,
    ),
    # Another's, which only those see who may edit users.
    *(
        Endpoint(
            method=method,
            path=f"{_SUBSCRIPTION}/{{subscription_id}}{path}",
            values={"subscription_id": NOWHERE},
            body=body,
            status=404,
        )
        for method, path, body in (
            ("get", "", None),
            ("patch", "", {"is_active": False}),
            ("delete", "", None),
            ("post", "/test", None),
        )
    ),
]

UNSUBSCRIBING = [
    Endpoint(method=method, path="/api/v1/unsubscribe", is_open=True, query={"token": "x.y"}, status=404)
    for method in ("get", "post")
]

_DETECTION = "/api/v1/detections"
_FORM_OF_AN_IMAGE = (
    b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nthere is none\r\n'
    b'--x\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\nx\r\n--x--\r\n'
)

DETECTIONS = [
    Endpoint(
        method="post",
        path=_DETECTION,
        needs=_needs(Claim.DETECTION_CREATE),
        content=_FORM_OF_AN_IMAGE,
        headers={"Content-Type": "multipart/form-data; boundary=x"},
        status=404,
    ),
    Endpoint(method="get", path=f"{_DETECTION}/warm-models", needs=_needs(Claim.SYSTEM_VIEW)),
]

_EVALUATION = "/api/v1/evaluations"


def _act_on_evaluation(method: str, path: str, claim: Claim, **more: Any) -> Endpoint:
    view = Claim.TRAINED_MODEL_VIEW
    return _act(_EVALUATION, method, path, view, claim, parameter="evaluation_id", ref=EVALUATION, **more)


EVALUATIONS = [
    Endpoint(method="get", path=_EVALUATION, needs=_needs(Claim.TRAINED_MODEL_VIEW)),
    Endpoint(
        method="post",
        path=_EVALUATION,
        needs=_needs(Claim.TRAINED_MODEL_REVIEW, *_REFERRED),
        refers=_REFERRED,
        body={"model": MODEL, "dataset": DATASET},
        status=409,
    ),
    Endpoint(
        method="get",
        path=f"{_EVALUATION}/comparison",
        needs=_needs(Claim.TRAINED_MODEL_REVIEW, Claim.TRAINED_MODEL_VIEW),
        view=Claim.TRAINED_MODEL_VIEW,
        query={"model": MODEL},
        status=422,
    ),
    _act(_MODEL, "get", "/evaluations", Claim.TRAINED_MODEL_VIEW, Claim.TRAINED_MODEL_VIEW, ref=MODEL),
    _act_on_evaluation("get", "", Claim.TRAINED_MODEL_VIEW),
    _act_on_evaluation("get", "/log", Claim.TRAINED_MODEL_VIEW),
    _act_on_evaluation("get", "/report", Claim.TRAINED_MODEL_VIEW, status=409),
    _act_on_evaluation("get", "/images", Claim.TRAINED_MODEL_VIEW, status=409),
    _act_on_evaluation("post", "/cancel", Claim.TRAINED_MODEL_REVIEW, status=409),
]

_PUBLISHED = "/api/v1/published-models"


def _act_on_published(method: str, path: str, claim: Claim, *, ref: str = PUBLISHED, **more: Any) -> Endpoint:
    return _act(_PUBLISHED, method, path, Claim.TRAINED_MODEL_VIEW, claim, ref=ref, **more)


PUBLISHING = [
    Endpoint(
        method="post",
        path=f"{_MODEL}/{{ref}}/publication-check",
        needs=_needs(Claim.TRAINED_MODEL_VIEW),
        any_of=_needs(Claim.TRAINED_MODEL_REVIEW, Claim.TRAINED_MODEL_PUBLISH),
        view=Claim.TRAINED_MODEL_VIEW,
        values={"ref": MODEL},
        status=409,
    ),
    Endpoint(method="get", path=_PUBLISHED, needs=_needs(Claim.TRAINED_MODEL_VIEW)),
    Endpoint(
        method="post",
        path=_PUBLISHED,
        needs=_needs(Claim.TRAINED_MODEL_VIEW, Claim.TRAINED_MODEL_PUBLISH),
        view=Claim.TRAINED_MODEL_VIEW,
        body={"model": MODEL},
        status=409,
    ),
    _act_on_published("get", "", Claim.TRAINED_MODEL_VIEW),
    _act_on_published("get", "/versions", Claim.TRAINED_MODEL_VIEW),
    _act_on_published("get", "/history", Claim.TRAINED_MODEL_VIEW),
    _act_on_published(
        "post",
        "/withdraw",
        Claim.TRAINED_MODEL_PUBLISH,
        ref=f"{PUBLISHED}@1",
        body={"reason": "x"},
        status=409,
    ),
    _act_on_published("post", "/rollback", Claim.TRAINED_MODEL_PUBLISH, body={"to": 1}, status=409),
    Endpoint(method="get", path="/api/v1/policy", needs=_needs(Claim.TRAINED_MODEL_VIEW)),
    Endpoint(
        method="patch",
        path="/api/v1/policy",
        needs=_needs(Claim.TRAINED_MODEL_VIEW, Claim.POLICY_EDIT),
        **_stale({"set": {"min_map50": 0.1}}),
    ),
    Endpoint(method="get", path="/api/v1/policy/history", needs=_needs(Claim.TRAINED_MODEL_VIEW)),
]

_DELETE_CLAIMS = _needs(Claim.TRAINING_RUN_DELETE, Claim.TRAINED_MODEL_DELETE, Claim.DATASET_DELETE)

TRASH = [
    Endpoint(method="get", path="/api/v1/trash", any_of=_DELETE_CLAIMS),
    Endpoint(method="delete", path="/api/v1/trash", any_of=_DELETE_CLAIMS),
    *(
        Endpoint(
            method=method,
            path=f"/api/v1/trash/{{id}}{path}",
            any_of=_DELETE_CLAIMS,
            values={"id": NOWHERE},
            status=404,
        )
        for method, path in (("delete", ""), ("post", "/restore"))
    ),
]

ENDPOINTS = [
    *SYSTEM,
    *TRAINING_RUNS,
    *PRESETS,
    *DATASETS,
    *MODELS,
    *PACKAGES,
    *USERS,
    *OWN,
    *AUDIT,
    *UPLOADS,
    *NOTIFICATIONS,
    *SUBSCRIPTIONS,
    *UNSUBSCRIBING,
    *DETECTIONS,
    *EVALUATIONS,
    *PUBLISHING,
    *TRASH,
]
