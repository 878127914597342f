"""README's pictures, each at most 300 kB, taken with Chromium:

.venv/bin/python tests/pictures.py --reports sessions
    index.png and page.png, from reports/sessions
.venv/bin/python tests/pictures.py --demo default
    demo.png, from the fitted models in reports/default/results
"""

import argparse
import io
import json
import os
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
LIMIT = 300_000  # bytes


def small_png(shot: bytes) -> bytes:
    "A picture of few colours; half as wide where that is still too much."
    picture = Image.open(io.BytesIO(shot)).convert('RGB')
    for size in (picture.size, (picture.width // 2, picture.height // 2)):
        file = io.BytesIO()
        picture.resize(size, Image.LANCZOS).quantize(256, dither=Image.Dither.NONE).save(
            file, 'png', optimize=True
        )
        if file.tell() <= LIMIT:
            break
    return file.getvalue()


def take(browser, url, path, height=900, before=lambda page: None):
    "The top of a page, at twice the resolution of the screen."
    page = browser.new_page(viewport=dict(width=1200, height=height), device_scale_factor=2)
    page.goto(url)
    before(page)
    page.wait_for_timeout(500)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(small_png(page.screenshot()))
    page.close()
    print(f'{path.name}: {path.stat().st_size / 1000:.0f} kB')


def first_figure(page):
    "To the first figure of a page that does not begin with its results; the index stays at its top."
    if page.locator('.results').count():
        return
    figures = page.locator('main figure img, main .output img')
    if not page.locator('#comparison-table').count() and figures.count():
        figures.first.evaluate('e => e.scrollIntoView({block: "center"})')


def shop(page):
    "What a few visitors did next is revealed; the mouse rests on a recommendation with a reason."
    page.wait_for_function("document.querySelectorAll('.list ol').length === 2")
    for _ in range(4):
        page.get_by_role('button', name='Next visitor').click()
        page.locator('.came-next').wait_for(state='detached')
        page.get_by_role('button', name='Reveal').click()
        page.locator('.came-next').wait_for()
    page.locator('.list li:not([data-why=""])').first.hover()


def demo(browser, study, folder):
    "The demo of a study, in use."
    from recsys_nb.demo import load_demo
    from recsys_nb.demo_app import launch_app, make_demo

    os.chdir(ROOT / 'nbs')  # paths in a manifest are meant from there
    data = json.loads((ROOT / 'reports' / study / 'manifest.json').read_text(encoding='utf-8'))['data'][
        'source'
    ]
    app = make_demo(load_demo(ROOT / 'reports' / study, data))
    take(browser, launch_app(app), folder / 'demo.png', 1400, shop)
    app.close(verbose=False)


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--reports', help='study whose index and page are shown')
    parser.add_argument('--page', default='30_comparison', help='the notebook that is shown')
    parser.add_argument('--demo', help='study whose demo is shown')
    parser.add_argument('--out', type=Path, default=ROOT / 'nbs' / 'images', help='where the pictures go')
    options = parser.parse_args(arguments)
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which('chromium'),
            args=['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
        )
        for name, page in (('index', 'index'), ('page', options.page)):
            if options.reports:
                take(
                    browser,
                    (ROOT / 'reports' / options.reports / f'{page}.html').as_uri(),
                    options.out.absolute() / f'{name}.png',
                    before=first_figure,
                )
        if options.demo:
            demo(browser, options.demo, options.out.absolute())
        browser.close()


if __name__ == '__main__':
    main()
