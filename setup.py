"""What pyproject.toml cannot say: the extension, and one wheel for all CPythons with a GIL."""

import shutil
import sysconfig
from pathlib import Path

from setuptools import setup
from setuptools.command.build import build


class Build(build):
    """Builds all anew: what is left in ``build/`` may be for another Python, OpenSSL or commit."""

    def run(self) -> None:
        """Build."""
        if Path(self.build_base).is_dir():
            shutil.rmtree(self.build_base)
        super().run()


free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
setup(
    cmdclass={"build": Build},
    cffi_modules=["build_ffi.py:ffibuilder"],
    options={} if free_threaded else {"bdist_wheel": {"py_limited_api": "cp310"}},
)
