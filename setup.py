"Everything comes from settings.ini; its pkg_resources-free reading is the only code here."

from configparser import ConfigParser
from pathlib import Path
from setuptools import setup

config = ConfigParser(delimiters=['='])
config.read('settings.ini')
cfg = config['DEFAULT']

setup(
    name=cfg['lib_name'],
    version=cfg['version'],
    description=cfg['description'],
    license=cfg['license'].upper(),
    packages=[cfg['lib_name']],
    include_package_data=True,
    python_requires=f">={cfg['min_python']}",
    install_requires=cfg['requirements'].split(),
    extras_require={'kaggle': cfg['kaggle_requirements'].split(), 'dev': cfg['dev_requirements'].split()},
    entry_points={'console_scripts': cfg['console_scripts'].split()},
    long_description=Path('README.md').read_text(encoding='utf-8') if Path('README.md').exists() else '',
    long_description_content_type='text/markdown',
)
