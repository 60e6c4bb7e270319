"""Takes the viewer's picture from a finished demo: the unseen landscape, its map, and what stands at a pixel.

python docs/make_viewer_picture.py DEMO_FOLDER

Needs the built viewer (make viewer), Playwright and Debian's chromium.
"""

import argparse
import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

GOAL = Path(__file__).parent / "images" / "viewer.png"
WIDTH, HEIGHT = 1200, 760
COLOURS = 256


def main() -> None:
    """Map the scene with its confidence and probabilities, look at it, and keep what is seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder that `terrazzo demo` has filled")
    folder = parser.parse_args().folder
    program = Path(sys.executable).with_name("terrazzo")
    with tempfile.TemporaryDirectory() as temporary:
        command = [program, "predict", folder / "runs" / "demo", folder / "data" / "images" / "test_0.tif"]
        layers = ["--out", temporary, "--layers", "confidence,probabilities", "predict.report=false"]
        subprocess.run([*command, *layers], check=True)
        server = subprocess.Popen([program, "view", temporary], stdout=subprocess.PIPE, text=True)
        try:
            address = server.stdout.readline().strip() if server.stdout else ""
            picture = Image.open(io.BytesIO(seen(address))).convert("RGB")
        finally:
            server.terminate()
            server.wait()
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(GOAL, optimize=True)


def seen(address: str) -> bytes:
    """Return what the page shows after a click on the map, as a PNG."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(address)
        page.locator("#legend tbody tr").first.wait_for()
        page.wait_for_load_state("networkidle")
        page.locator("#map").click(position={"x": 520, "y": 250})
        page.locator("#pixel dl").wait_for()
        page.locator("#layers summary").first.click()
        page.locator("#legend").scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        found: bytes = page.screenshot()
        browser.close()
    return found


if __name__ == "__main__":
    main()
