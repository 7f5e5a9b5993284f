"""What a browser is told with every answer, Swagger UI's files included."""

from __future__ import annotations

import pytest

from tests.security.guarded import Tokens, bearer
from tests.server.running import ControlPlane

pytestmark = pytest.mark.security

ADDRESSES = (
    "/",
    "/swagger-ui",
    "/swagger-ui/start.js",
    "/api-docs/openapi.json",
    "/healthz",
    "/vms",
    "/nowhere",
)


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize("known", [True, False])
async def test_no_answer_can_be_framed_sniffed_or_read_by_another_origin(
    plane: ControlPlane, tokens: Tokens, path: str, known: bool
) -> None:
    headers = bearer(tokens.viewer) if known else {}
    origin = {"Origin": "https://evil.example"}
    url = plane.url + path
    async with plane.session.get(url, headers={**headers, **origin}, allow_redirects=False) as response:
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        policy = response.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy or "default-src 'self'" in policy
        assert "unsafe-eval" not in policy
        assert "Access-Control-Allow-Origin" not in response.headers
        assert "Set-Cookie" not in response.headers
