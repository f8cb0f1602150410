"""What goes wrong when somebody signs in at an identity provider."""

from raven_scan.kernel.errors import Invalid, NotFound, Unauthenticated, Unavailable


def not_configured() -> NotFound:
    return NotFound(
        "access.oidc_not_configured",
        "No identity provider is set.",
        hint="Sign in with name and password; an administrator sets a provider with RAVEN_OIDC_ISSUER.",
    )


def provider_unavailable(name: str, reason: str) -> Unavailable:
    return Unavailable(
        "access.oidc_unavailable",
        f"{name} cannot be asked who you are: {reason}.",
        hint="Try again later, or sign in with name and password.",
        parameters={"provider": name},
    )


def provider_refused(name: str, error: str) -> Unauthenticated:
    """`error`: the code of OAuth 2.0, such as `access_denied`."""
    return Unauthenticated(
        "access.oidc_refused",
        f"{name} did not sign you in: {error}.",
        hint="Begin again at /api/v1/session/oidc.",
        parameters={"provider": name, "error": error},
    )


def attempt_lost() -> Unauthenticated:
    return Unauthenticated(
        "access.oidc_state_wrong",
        "This answer belongs to no sign-in that this browser has begun within the last minutes.",
        hint="Begin again at /api/v1/session/oidc, in one window, with cookies allowed.",
    )


def token_refused(name: str, reason: str) -> Unauthenticated:
    return Unauthenticated(
        "access.oidc_token_wrong",
        f"What {name} says of you cannot be believed: {reason}.",
        hint="Begin again at /api/v1/session/oidc. Where it happens again, see the clocks of both servers and "
        "RAVEN_OIDC_ISSUER.",
        parameters={"provider": name},
    )


def account_not_enabled(name: str) -> Unauthenticated:
    return Unauthenticated(
        "access.account_disabled",
        f"The account {name} is disabled.",
        hint="Ask an administrator to enable it: `raven users enable`.",
        parameters={"name": name},
    )


def bad_return_path() -> Invalid:
    return Invalid(
        "access.bad_return_path",
        "After signing in, a browser is sent to paths of this server alone.",
        hint="Give `next` as a path, such as /models.",
    )
