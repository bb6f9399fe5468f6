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

"""CRIU, which the engine makes checkpoints with."""

import contextlib
import os

import nova_docker.privsep
from nova_docker.privsep import archive
from nova_docker.privsep import program

#: Seconds for what takes less than one.
_TIMEOUT = 60


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def check(criu: str) -> None:
    """See that CRIU knows the kernel of this host.

    :param criu: the program, by its path or by its name
    :raises oslo_concurrency.processutils.ProcessExecutionError: says what it
        misses
    :raises OSError: there is no such program, or it does not answer
    """
    program.run(criu, 'check', timeout=_TIMEOUT)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def version(criu: str) -> str:
    """What CRIU says of its version.

    Errors as of :func:`check`.
    """
    said: str = program.run(criu, '--version', timeout=_TIMEOUT)
    return ' '.join(said.split())


@nova_docker.privsep.moves_pctxt.entrypoint
def put(file: str, directory: str, caller: int) -> None:
    """Have a checkpoint of another host where the engine has its own ones.

    :param file: its archive
    :param directory: in that of a container, which is there
    :param caller: as of :func:`nova_docker.privsep.archive.unpack`
    :raises FileExistsError: it has such a one

    Other errors are those of :func:`nova_docker.privsep.archive.unpack`.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(os.path.dirname(directory), 0o700)
    os.mkdir(directory, 0o700)
    archive.unpack(file, directory, caller)
