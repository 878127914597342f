"The folder for a static host: every link and anchor leads somewhere, nothing comes from elsewhere."

import re
import shutil
from pathlib import Path

import pytest
from bs4 import BeautifulSoup, SoupStrainer
from studies import ROOT, recsys

from recsys_nb.site import broken_links, make_site, online_studies, report_files

FEW = ('10_baselines', '30_comparison', '71_show')


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    "The site of a checkout with the committed reports, its documents and a few notebooks."
    root = tmp_path_factory.mktemp('checkout')
    (root / 'nbs').mkdir()
    for name in FEW:
        shutil.copy(ROOT / 'nbs' / f'{name}.ipynb', root / 'nbs')
    shutil.copytree(ROOT / 'nbs' / '_report', root / 'nbs' / '_report')
    shutil.copytree(ROOT / 'nbs' / 'images', root / 'nbs' / 'images')
    for path in [*ROOT.glob('*.md'), ROOT / 'settings.ini']:
        shutil.copy(path, root)
    for path in report_files(ROOT):
        target = root / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    top = root / 'build' / 'site'
    return root, top, make_site(root, top)


def test_every_link_leads_somewhere(made):
    _, top, files = made
    assert broken_links(top) == []
    assert {'index.html', 'README.html', 'GLOSSARY.html', 'notebooks/index.html'} <= {
        p.relative_to(top).as_posix() for p in files
    }


def test_a_line_for_each_study(made):
    root, top, _ = made
    page = (top / 'index.html').read_text()
    studies = online_studies(report_files(root))
    assert studies and re.findall(r'<li><a href="reports/([\w-]+)/index.html"', page) == studies
    assert page.count('class="bars"') == len(
        [s for s in studies if (root / 'reports' / s / 'ties.csv').exists()]
    )


def test_nothing_is_loaded_and_nothing_names_this_machine(made):
    _, top, files = made
    for path in files:
        if path.suffix == '.html':
            text = path.read_text(encoding='utf-8')
            assert str(Path.home()) + '/' not in text, path
            loads = SoupStrainer(
                ['link', 'iframe', 'base', 'a', 'img', 'script', 'source', 'video', 'audio', 'embed']
            )
            page = BeautifulSoup(text, 'html.parser', parse_only=loads)
            assert page.select('link, iframe, base') == [], path
            assert all(e['src'].startswith('data:') for e in page.select('[src]')), path
            assert not [a for a in page.select('a[href]') if 'site.invalid' in a['href']], path


def test_notebooks_keep_their_order(made):
    "What a page of a report moves to its top stands where its notebook has it."
    _, top, _ = made
    page = (top / 'notebooks' / '10_baselines.html').read_text()
    assert page.index('Question.') < page.index('id="Popularity"')
    assert BeautifulSoup(page, 'html.parser').select('.results, details.how') == []


def test_a_folder_of_somebody_else_stays(made, tmp_path):
    root, _, _ = made
    (tmp_path / 'mine.txt').write_text('mine')
    done = recsys(root, 'site', '--folder', str(tmp_path))
    assert done.returncode == 2 and 'holds other files' in done.stderr
    assert (tmp_path / 'mine.txt').read_text() == 'mine'
