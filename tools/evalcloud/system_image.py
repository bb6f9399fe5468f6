#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""Root filesystems with an init, made of Debian packages by mmdebstrap.

The packages come from the package sources of this machine.
"""

import dataclasses
import hashlib
import pathlib
import tempfile

from evalcloud import packages
from evalcloud import paths
from evalcloud import progress

#: Debian packages that make them.
TOOLS = ('mmdebstrap',)

#: Of such an image in Glance.
FORMATS = {'container_format': 'bare', 'disk_format': 'raw'}
PROPERTIES = {
    'docker_image_type': 'rootfs',
    'docker_command': '/sbin/init',
    'docker_system_container': 'true',
}


@dataclasses.dataclass(frozen=True)
class File:
    """A file of the image that is in no package."""

    text: str
    mode: int = 0o644


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What makes one image.

    :ivar include: names of the packages
    :ivar files: by path
    :ivar hooks: shell commands, run last; "$1" is the root of the image
    :ivar options: of mmdebstrap
    :ivar variant: mmdebstrap's. "extract" unpacks packages and runs none of
        their scripts.
    """

    name: str
    include: tuple[str, ...]
    files: dict[str, File]
    hooks: tuple[str, ...]
    options: tuple[str, ...] = ()
    variant: str = 'minbase'


def build(recipe: Recipe) -> pathlib.Path:
    """The tarball, made on its first use and kept in the cache."""
    # Another recipe makes another file.
    mark = hashlib.sha256(repr(recipe).encode())
    suite = packages.codename()
    file = paths.cache_dir() / (
        f'{recipe.name}-{suite}-{mark.hexdigest()[:16]}.tar')
    with paths.locked(recipe.name):
        if not file.exists():
            packages.install(TOOLS)
            with (progress.Step(f'root filesystem {recipe.name}'),
                  tempfile.TemporaryDirectory(
                      dir=paths.cache_dir()) as name):
                fresh = pathlib.Path(name, 'rootfs.tar')
                progress.run(*_command(recipe, pathlib.Path(name), fresh),
                             log=str(pathlib.Path(name, 'log')))
                fresh.rename(file)
    return file


def _command(recipe: Recipe, folder: pathlib.Path,
             target: pathlib.Path) -> list[str]:
    """mmdebstrap with the machine's own sources, copied into ``folder``."""
    suite = packages.codename()
    _write(recipe.files, folder / 'files')
    command = ['mmdebstrap', '--mode=root', f'--variant={recipe.variant}',
               '--format=tar', f'--include={",".join(recipe.include)}',
               *recipe.options]
    # The last ones that mmdebstrap runs.
    kind = 'extract' if recipe.variant == 'extract' else 'customize'
    command += [f'--{kind}-hook={hook}'
                for hook in (f'sync-in {folder}/files /', *recipe.hooks)]
    command += [suite, str(target)]
    for suffix, text in zip(('list', 'sources'),
                            packages.suite_sources(suite, suite)):
        if text:
            source = folder / f'suite.{suffix}'
            source.write_text(text)
            command.append(str(source))
    return command


def _write(files: dict[str, File], folder: pathlib.Path) -> None:
    folder.mkdir(mode=0o755)
    for path, file in files.items():
        target = folder / path.lstrip('/')
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file.text)
        target.chmod(file.mode)


def tree(name: str) -> dict[str, File]:
    """The files below ``trees/NAME``, with their modes."""
    folder = pathlib.Path(__file__).with_name('trees') / name
    return {f'/{file.relative_to(folder)}':
            File(file.read_text(), file.stat().st_mode & 0o755)
            for file in sorted(folder.rglob('*')) if file.is_file()}
