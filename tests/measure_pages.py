"""Where the first result of each page of a study stands, how high the page is and how much of it is code:

.venv/bin/python tests/measure_pages.py reports/sessions

The window is 1360 pixels wide and 900 high. A page that says where its results are is asked for the first
figure or table there; an older one for the first below its heading "The study", or the first of all where
it has none.
"""

import argparse
import shutil
from pathlib import Path
from statistics import median

from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1360, 900
MEASURE = r"""() => {
  const shown = e => e.checkVisibility() && e.getBoundingClientRect().height > 1;
  const top = e => e.getBoundingClientRect().top + scrollY;
  const main = document.querySelector('main');
  const inside = main.querySelector('.results');
  const study = /^(the study|this study|what is left|beside ours)/i;
  const heading = [...main.querySelectorAll('h2, h3')].find(h => study.test(h.textContent));
  const begins = inside ? 0 : heading ? top(heading) : 0;
  const within = inside ? [...main.querySelectorAll('.results')] : [main];
  const found = kind => within.flatMap(part => [...part.querySelectorAll(kind)])
    .filter(e => shown(e) && top(e) >= begins && !e.closest('.parameters, .toc, details.how'));
  const picture = found('figure img, .output svg')[0];
  const result = found('figure, table')[0];
  const height = document.documentElement.scrollHeight;
  const outer = [...main.querySelectorAll('details.code')].filter(shown);
  const code = [...main.querySelectorAll('details.code .highlight')].filter(shown);
  const total = list => list.reduce((sum, e) => sum + e.getBoundingClientRect().height, 0);
  return {
    top: result ? top(result) : null,
    bottom: result ? top(result) + result.getBoundingClientRect().height : null,
    picture: picture ? top(picture) : null, height, code: total(code) / height, folds: total(outer) / height,
    wide: document.documentElement.scrollWidth > innerWidth,
  };
}"""


def measured(browser, path, width=WIDTH, height=HEIGHT):
    "Numbers of one page: pixels from its top; shares of its height."
    page = browser.new_page(viewport=dict(width=width, height=height))
    page.goto(path.absolute().as_uri())
    found = page.evaluate(MEASURE)
    page.close()
    return found


def pixels(number):
    "A number of pixels, or a dash."
    return '–' if number is None else f'{number:,.0f}'


def report(rows):
    "The table as lines of Markdown."
    yield '| page | first result from | to | within 900 | first picture | height | code | code and folds |'
    yield '|---|---:|---:|---|---:|---:|---:|---:|'
    for name, r in rows.items():
        whole = r['bottom'] is not None and r['bottom'] <= HEIGHT
        yield (
            f'| {name} | {pixels(r["top"])} | {pixels(r["bottom"])} | {"yes" if whole else "no"} '
            f'| {pixels(r["picture"])} | {pixels(r["height"])} | {r["code"]:.1%} | {r["folds"]:.1%} |'
        )
    middle = {}
    for key in ('top', 'bottom', 'picture', 'height', 'code', 'folds'):
        middle[key] = median([r[key] for r in rows.values() if r[key] is not None] or [0])
    inside = sum(r['bottom'] is not None and r['bottom'] <= HEIGHT for r in rows.values())
    places = f'{middle["top"]:,.0f} | {middle["bottom"]:,.0f} | {inside} of {len(rows)}'
    sizes = (
        f'{middle["picture"]:,.0f} | {middle["height"]:,.0f} | {middle["code"]:.1%} | {middle["folds"]:.1%}'
    )
    yield f'| **median** | {places} | {sizes} |'


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=Path, help='a study, such as reports/sessions')
    options = parser.parse_args(arguments)
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which('chromium'),
            args=['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
        )
        pages = sorted(options.folder.glob('[0-9][0-9]_*.html'))
        rows = {path.stem: measured(browser, path) for path in pages}
        browser.close()
    print('\n'.join(report(rows)))


if __name__ == '__main__':
    main()
