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


"""Files in directories of root."""

import collections.abc
import contextlib
import os
import shutil
import typing

import nova_docker.privsep


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def replace(path: str, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one.

    Its directory is made when it is missing.

    :raises OSError: it cannot be written
    """
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    temporary = f'{path}.tmp'
    try:
        with open(temporary, 'w', encoding='utf-8') as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(text)
        os.rename(temporary, path)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def sync() -> None:
    """Write all cached data of this host to its disks.

    Here as it may take long, and is a call that blocks eventlet's threads.
    """
    os.sync()


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def remove(path: str) -> None:
    """Remove a file if it is there.

    :raises OSError: it is there and cannot be removed
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def write_tree(path: str, files: collections.abc.Sequence[
        collections.abc.Sequence[typing.Any]]) -> None:
    """Make a directory with files that only root can read, whole or not.

    :param files: paths below it, and the data as bytes
    :raises OSError: it is there already, or cannot be made
    """
    temporary = f'{path}.tmp'
    _remove_tree(temporary)
    os.mkdir(temporary, 0o700)
    for name, data in files:
        file = os.path.join(temporary, name)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, 'wb') as writer:
            writer.write(data)
    os.rename(temporary, path)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def remove_tree(path: str) -> None:
    """Remove a directory with all that is in it, if it is there.

    :raises OSError: something cannot be removed
    """
    _remove_tree(path)


def _remove_tree(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)
