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

"""The files that a container does not share with its image."""

import os
import shutil

import nova_docker.privsep
from nova_docker.privsep import archive
from nova_docker.privsep import program

_NOTED = 'trusted.overlay.'


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def used(directory: str) -> int:
    """Bytes that the files in a directory take, each once.

    Others may write there.

    :raises NotADirectoryError: it is a link, or is not there
    :raises oslo_concurrency.processutils.ProcessExecutionError: it can't be
        read
    """
    archive.check(directory)
    # It may fail as files go that it has just seen.
    said = program.run(
        'du', '--summarize', '--one-file-system', '--block-size=1', '--',
        directory, check_exit_code=(0, 1))
    return int(said.split()[0])


@nova_docker.privsep.moves_pctxt.entrypoint
def noted(directory: str) -> list[str]:
    """What overlay notes of the files in a directory: names of attributes.

    Without ``trusted.overlay.``, each once. Nobody writes there.

    :raises NotADirectoryError: it is a link, or is not there
    :raises OSError: it can't be read
    """
    archive.check(directory)
    found: set[str] = set()
    # Not os.walk, which some trees of a tenant are too deep for.
    directories = [directory]
    while directories:
        folder = directories.pop()
        found.update(os.listxattr(folder))
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    directories.append(entry.path)
                else:
                    found.update(os.listxattr(entry.path,
                                              follow_symlinks=False))
    return sorted(name.removeprefix(_NOTED) for name in found
                  if name.startswith(_NOTED))


@nova_docker.privsep.moves_pctxt.entrypoint
def copy(source: str, target: str, caller: int) -> None:
    """Have in one directory what is in another one, and nothing else.

    It is on the disk then, as what is copied may go. Neither is in use. Holes
    of files stay holes, and links of files links.

    :param caller: as of :func:`nova_docker.privsep.archive.unpack`
    :raises NotADirectoryError: one of them is a link, or is not there
    :raises oslo_concurrency.processutils.ProcessExecutionError: it can't be
        read or written, as where the disk is full
    """
    archive.check(source)
    _clear(target)
    archive.copy(source, target, caller)
    sync(target)


@nova_docker.privsep.moves_pctxt.entrypoint
def unpack(file: str, target: str, caller: int) -> None:
    """Have in a directory what is in an archive, and nothing else.

    Parameters and errors as of :func:`nova_docker.privsep.archive.unpack`.
    """
    _clear(target)
    archive.unpack(file, target, caller)


@nova_docker.privsep.moves_pctxt.entrypoint
def change(file: str, target: str, caller: int) -> None:
    """Have in a directory what was changed in the one that it is a copy of.

    Other parameters and errors as of
    :func:`nova_docker.privsep.archive.unpack`.

    :param file: of :func:`nova_docker.privsep.changes.pack`
    """
    archive.check(target)
    archive.extract(file, target, caller, 'changes')


@nova_docker.privsep.moves_pctxt.entrypoint
def sync(directory: str) -> None:
    """Have on the disk what is in a directory.

    :raises oslo_concurrency.processutils.ProcessExecutionError: it can't be
    """
    program.run('sync', '--file-system', directory)


def _clear(directory: str) -> None:
    """Remove all that is in a directory.

    :raises NotADirectoryError: it is a link, or is not there
    """
    archive.check(directory)
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
