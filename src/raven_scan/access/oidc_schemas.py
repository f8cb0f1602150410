"""Ways to sign in, over REST."""

from pydantic import BaseModel


class OidcWay(BaseModel):
    """An identity provider: what to write on the button, and where the button leads."""

    name: str
    path: str


class SignInWays(BaseModel):
    """How one can sign in. `oidc`: at an identity provider, where one is set."""

    password: bool
    oidc: OidcWay | None
