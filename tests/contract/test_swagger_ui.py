"""Swagger UI in a real browser: it renders, *Try it out* runs a call, and nothing leads outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.browser import CHROMIUM, open_page
from tests.server.running import ControlPlane

EXECUTE = """(() => {
  const block = [...document.querySelectorAll('.opblock-get')].find(
    (each) => each.querySelector('.opblock-summary-path').dataset.path === '/healthz');
  const button = (name) => block.querySelector(name);
  if (button('.live-responses-table')) return button('.live-responses-table').innerText;
  if (button('.execute')) button('.execute').click();
  else if (button('.try-out__btn')) button('.try-out__btn').click();
  else button('.opblock-summary-control').click();
  return '';
})()"""


@pytest.mark.skipif(not CHROMIUM, reason="needs Debian's chromium")
async def test_try_it_out_runs_a_call(plane: ControlPlane, tmp_path: Path) -> None:
    evil = "https://example.org/evil.json"
    async with open_page(f"{plane.url}/swagger-ui?url={evil}&configUrl={evil}", tmp_path / "profile") as page:
        title = await page.wait_for("document.querySelector('.info .title')?.innerText")
        assert title.startswith("qarax")
        assert await page.wait_for("document.querySelectorAll('.opblock').length > 30")
        answer = await page.wait_for(EXECUTE)
        assert "200" in answer
        assert "alive" in answer
        foreign = [each for each in page.addresses if not each.startswith((plane.url, "data:"))]
        assert foreign == []
        assert page.complaints == []
