"""What pyproject.toml cannot say: the extension, one wheel for all CPythons, the sdist's octets."""

import gzip
import os
import shutil
import sysconfig
import tarfile
import time
from pathlib import Path

from setuptools import setup
from setuptools.command.build import build
from setuptools.command.sdist import sdist


class Build(build):
    """Builds all anew: what is left in ``build/`` may be for another Python, OpenSSL or commit."""

    def run(self) -> None:
        """Build."""
        if self.build_base == "build" and Path(self.build_base).is_dir():  # else somebody chose it
            shutil.rmtree(self.build_base)
        super().run()


class Sdist(sdist):
    """With ``SOURCE_DATE_EPOCH``, the same files are packed into the same octets everywhere."""

    def make_archive(self, base_name, _format, *, base_dir, **_owner):  # noqa: ANN001, ANN003, ANN201 - setuptools has no types
        """Pack ``base_dir`` without owners, umask and times of files."""
        now = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())

        def same(member: tarfile.TarInfo) -> tarfile.TarInfo:
            member.mtime, member.mode = now, 0o755 if member.mode & 0o100 else 0o644
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            return member

        path = f"{base_name}.tar.gz"
        with (
            gzip.GzipFile(path, "wb", mtime=now) as packed,
            tarfile.open(path, "w", packed, format=tarfile.PAX_FORMAT) as archive,
        ):
            archive.add(base_dir, filter=same)
        return path


free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
setup(
    cmdclass={"build": Build, "sdist": Sdist},
    cffi_modules=["build_ffi.py:ffibuilder"],
    options={} if free_threaded else {"bdist_wheel": {"py_limited_api": "cp310"}},
)
