"What keeps people from reading a page: the rules of axe-core, run in the page itself."

from functools import cache
from pathlib import Path

import pytest


@cache
def script():
    package = pytest.importorskip('axe_playwright_python')
    return (Path(package.__file__).parent / 'axe.min.js').read_text(encoding='utf-8')


def barriers(page, within='html'):
    "Serious and critical findings in a part of an open page: rule, the first element that breaks it."
    page.evaluate(script())
    options = {'resultTypes': ['violations']}
    found = page.evaluate('([within, options]) => axe.run(within, options)', [within, options])
    return [
        (v['id'], v['nodes'][0]['html'][:200])
        for v in found['violations']
        if v['impact'] in ('serious', 'critical')
    ]
