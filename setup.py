"Everything comes from settings.ini; reading it, and the data files of nbs/, are the only code here."

from configparser import ConfigParser
from pathlib import Path
from setuptools import setup
from setuptools.command.build_py import build_py

config = ConfigParser(delimiters=['='])
config.read('settings.ini')
cfg = config['DEFAULT']
readme = Path('README.md')


class WithDataFiles(build_py):
    "The library reads data files beside the notebooks; a wheel has no notebooks, so the package gets copies."

    def run(self):
        super().run()
        if self.editable_mode:
            return  # a checkout has them in nbs/
        for path in sorted(Path(cfg['nbs_path']).glob('*.toml')):
            self.copy_file(str(path), str(Path(self.build_lib) / cfg['lib_name'] / path.name))


setup(
    name=cfg['lib_name'],
    version=cfg['version'],
    description=cfg['description'],
    license=cfg['license'].upper(),
    packages=[cfg['lib_name']],
    include_package_data=True,
    cmdclass={'build_py': WithDataFiles},
    python_requires=f">={cfg['min_python']}",
    install_requires=cfg['requirements'].split(),
    extras_require={'kaggle': cfg['kaggle_requirements'].split(), 'dev': cfg['dev_requirements'].split()},
    entry_points={'console_scripts': cfg['console_scripts'].split()},
    long_description=readme.read_text(encoding='utf-8') if readme.exists() else '',
    long_description_content_type='text/markdown',
)
