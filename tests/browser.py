"""A real browser, headless Chromium, that tells how a page looks at a given width.

``python -m tests.browser docs/_build/html shots`` writes a picture of every page at both widths.
"""

import asyncio
import base64
import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

WIDTHS = {"desktop": 1280, "phone": 390}
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run")
_SECONDS = 60
"""For a browser to start, and for one page."""


class Page:
    """One tab, spoken to by the DevTools protocol (https://chromedevtools.github.io)."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._number, self.problems = socket, 0, []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command, and wait for its answer; errors of the page are noted meanwhile."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        while (message := await self._socket.receive_json(timeout=_SECONDS)).get("id") is None or (
            message["id"] != self._number
        ):
            self._note(message)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']['message']}")
        return message["result"]

    def _note(self, message: dict[str, Any]) -> None:
        """Keep what went wrong in the page: exceptions, and files that are not there."""
        if message["method"] == "Runtime.exceptionThrown":
            self.problems.append(message["params"]["exceptionDetails"]["text"])
        if message["method"] == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
            entry = message["params"]["entry"]
            self.problems.append(f"{entry['text']} {entry.get('url', '')}")

    async def open(self, url: str, width: int) -> None:
        """Open an address in a window of a width, and wait until it is drawn."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        self.problems.clear()
        await self.call("Page.navigate", url=url)
        async with asyncio.timeout(_SECONDS):
            while await self.evaluate("document.readyState + location.href") != f"complete{url}":
                await asyncio.sleep(0.05)

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["text"])
        return answer["result"].get("value")

    async def picture(self) -> bytes:
        """Draw the whole page as a PNG."""
        answer = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Page]:
    """Start a browser with an empty profile, and end it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        place = f"--user-data-dir={profile}"
        process = subprocess.Popen(
            [CHROMIUM, *_FLAGS, place, "--remote-debugging-port=0", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port = await _port(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                    tabs = await answer.json()
                address = next(tab for tab in tabs if tab["type"] == "page")
                async with session.ws_connect(
                    address["webSocketDebuggerUrl"], max_msg_size=0
                ) as socket:
                    page = Page(socket)
                    for domain in ("Page", "Runtime", "Log"):
                        await page.call(f"{domain}.enable")
                    yield page
        finally:
            process.terminate()
            process.wait(_SECONDS)


async def _port(file: Path) -> int:
    """Wait for the port that a browser chose."""
    async with asyncio.timeout(_SECONDS):
        while not file.exists() or not file.read_text().strip():
            await asyncio.sleep(0.05)
    return int(file.read_text().split()[0])


async def _pictures(site: Path, folder: Path) -> None:
    """Write pictures of all pages of a site."""
    folder.mkdir(parents=True, exist_ok=True)
    async with browser() as page:
        for path in sorted(site.rglob("*.html")):
            name = path.relative_to(site).with_suffix("").as_posix().replace("/", "-")
            for kind, width in WIDTHS.items():
                await page.open(path.resolve().as_uri(), width)
                (folder / f"{name}-{kind}.png").write_bytes(await page.picture())


if __name__ == "__main__":
    asyncio.run(_pictures(Path(sys.argv[1]), Path(sys.argv[2])))
