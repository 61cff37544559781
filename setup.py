"""What setup.cfg cannot say: options/ and its schema travel in the wheel, as dukd_basicsr/shipped_options."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithOptions(build_py):
    """Modules and data as ever, then the options files; an editable install reads those of the checkout."""

    def run(self) -> None:
        """Build into build_lib."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, 'dukd_basicsr', 'shipped_options')
        self.mkpath(str(target))
        for file in (*sorted(Path('options').glob('*.yml')), Path('options', 'options.schema.json')):
            self.copy_file(str(file), str(target / file.name))


setup(cmdclass={'build_py': BuildWithOptions})
