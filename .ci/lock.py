"""Write requirements.lock: each package's version,
and the SHA-256 of every file of it that pip may install on Linux or macOS.

    make lock             the versions stay, hashes are looked up again, what settings.ini gained is added
    make lock UPGRADE=1   the newest versions that settings.ini allows

pip chooses the versions; uv, which the Makefile installs beside this, asks PyPI for the hashes.
What pip would take on this machine is added where it is another file:
torch here is a CPU build, 2.13.0+cpu, which the lock calls 2.13.0."""

import configparser
import datetime
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK, UV = ROOT / 'requirements.lock', Path(sys.executable).with_name('uv')
OLDEST = '>=3.11.5,<3.12'  # Python: soupsieve asks for 3.11.5
PROJECT = """[project]\nname = "locked"\nversion = "0"\nrequires-python = "{}"\ndependencies = {}
[tool.uv]\nenvironments = ["sys_platform == 'linux'", "sys_platform == 'darwin'"]\n"""


def plain(name):
    return re.sub(r'[-_.]+', '-', name).lower()


def pip_takes(requirements, *options):
    "What pip would install here: name -> (as it is written, version, hash)."
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / 'report.json'
        subprocess.run(
            [
                sys.executable,
                '-m',
                'pip',
                'install',
                '--dry-run',
                '--ignore-installed',
                '--quiet',
                '--report',
                report,
                *options,
                *requirements,
            ],
            check=True,
        )
        found = json.loads(report.read_text())['install']
    return {
        plain(i['metadata']['name']): (
            i['metadata']['name'],
            i['metadata']['version'].partition('+')[0],
            i['download_info']['archive_info']['hashes']['sha256'],
        )
        for i in found
    }


def wanted():
    "What settings.ini asks for, with everything that is optional."
    config = configparser.ConfigParser(delimiters=['='])
    config.read(ROOT / 'settings.ini')
    return [
        r
        for key in ('requirements', 'kaggle_requirements', 'dev_requirements')
        for r in config['DEFAULT'][key].split()
    ]


def not_yet(pins):
    "What settings.ini asks for that the lock does not have, and what that needs in turn."
    locked = {plain(pin.partition('==')[0]) for pin in pins}
    new = [r for r in wanted() if plain(re.match(r'[\w.-]+', r)[0]) not in locked]
    if not new:
        return []
    with tempfile.TemporaryDirectory() as folder:
        stays = Path(folder) / 'constraints.txt'
        stays.write_text('\n'.join(pins))
        found = pip_takes(new, '--constraint', stays)
    return [f'{name}=={version}' for key, (name, version, _) in found.items() if key not in locked]


def on_pypi(pins):
    "Hashes of each pinned package's files: name -> set."
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / 'pyproject.toml').write_text(PROJECT.format(OLDEST, json.dumps(pins)))
        subprocess.run(
            [
                UV,
                'lock',
                '--quiet',
                '--no-config',
                '--default-index',
                'https://pypi.org/simple',
                '--python',
                sys.executable,
            ],
            cwd=folder,
            check=True,
        )
        packages = tomllib.loads((Path(folder) / 'uv.lock').read_text())['package']
    files = {p['name']: [*p.get('wheels', []), *([p['sdist']] if 'sdist' in p else [])] for p in packages}
    return {name: {f['hash'].removeprefix('sha256:') for f in some} for name, some in files.items()}


def main():
    pins = re.findall(r'^[\w.-]+==[\w.]+', LOCK.read_text(), re.M)
    if '--upgrade' in sys.argv:
        pins = [f'{name}=={version}' for name, version, _ in pip_takes(wanted()).values()]
    else:
        pins += not_yet(pins)
    here, there, lines = pip_takes(pins, '--no-deps'), on_pypi(pins), []
    for key, (name, version, own) in sorted(here.items()):
        lines.append(
            ' \\\n'.join(
                [f'{name}=={version}', *(f'    --hash=sha256:{h}' for h in sorted({own} | there[key]))]
            )
        )
    LOCK.write_text(
        '\n'.join(
            [
                (
                    f'# renewed {datetime.date.today()} for Python {OLDEST} on Linux and macOS; '
                    'make lock does it again'
                ),
                *lines,
            ]
        )
        + '\n'
    )
    print(
        f'{LOCK.name}: {len(here)} packages, {sum(len({here[k][2]} | there[k]) for k in here)} hashes; '
        f"not on PyPI: {', '.join(here[k][0] for k in here if here[k][2] not in there[k]) or 'none'}"
    )


if __name__ == '__main__':
    main()
