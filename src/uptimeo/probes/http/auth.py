"""As whom does a monitor ask? What it may say about that."""

from base64 import b64encode
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from uptimeo.probes.http.urls import ascii_url, assert_requestable


class _Auth(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class BasicAuth(_Auth):
    """User and password with each request (RFC 7617)."""

    kind: Literal["basic"]
    username: str = Field(max_length=500, description="The user.")
    password: SecretStr = Field(description="The password.")

    @property
    def authorization(self) -> str:
        """The header's value."""
        pair = f"{self.username}:{self.password.get_secret_value()}"
        return f"Basic {b64encode(pair.encode()).decode()}"


class BearerAuth(_Auth):
    """A token with each request (RFC 6750)."""

    kind: Literal["bearer"]
    token: SecretStr = Field(description="The token.")

    @field_validator("token")
    @classmethod
    def _one_line(cls, token: SecretStr) -> SecretStr:
        if not token.get_secret_value().isprintable():
            raise ValueError("the token contains a line break or a control character")
        return token

    @property
    def authorization(self) -> str:
        """The header's value."""
        return f"Bearer {self.token.get_secret_value()}"


class DigestAuth(_Auth):
    """User and password in answer to the server's challenge (RFC 7616), in a request before."""

    kind: Literal["digest"]
    username: str = Field(max_length=500, description="The user.")
    password: SecretStr = Field(description="The password.")


class OAuth2Auth(_Auth):
    """A token for client credentials (RFC 6749, 4.4), fetched apart and kept until it expires."""

    kind: Literal["oauth2"]
    token_url: str = Field(max_length=2000, description="Where tokens are given out.")
    client_id: str = Field(min_length=1, max_length=500, description="Who asks for a token.")
    client_secret: SecretStr = Field(description="The client's secret.")
    scope: str | None = Field(default=None, max_length=1000, description="Scopes, by spaces.")
    audience: str | None = Field(
        default=None, max_length=1000, description="For whom the token is, if the server asks."
    )
    credentials_in: Literal["header", "body"] = Field(
        default="header", description="Whether id and secret are sent by Basic or in the form."
    )

    @field_validator("token_url")
    @classmethod
    def _token_url(cls, url: str) -> str:
        assert_requestable(url)
        ascii_url(url)
        return url


Auth = Annotated[
    BasicAuth | BearerAuth | DigestAuth | OAuth2Auth,
    Field(discriminator="kind"),
]
