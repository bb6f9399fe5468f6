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

"""Where the files of a container are, which only root may look up."""

import collections.abc
import os
import stat

import nova_docker.privsep
from nova_docker.privsep import program

#: Seconds to connect to containerd, and for its answer.
_CONNECT = 5
_ANSWER = 30


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def are_directories(paths: collections.abc.Sequence[str]) -> bool:
    """Whether all paths are directories, and none a symbolic link."""
    try:
        return all(stat.S_ISDIR(os.lstat(path).st_mode) for path in paths)
    except OSError:
        return False


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def short_names(directory: str) -> list[str]:
    """Other names of the lower layers of a container, each of 28 characters.

    :param directory: the container's in the data of the storage driver
        overlay2; the names are relative to its parent
    :raises OSError: it is not there
    """
    with open(os.path.join(directory, 'lower'), encoding='utf-8') as lower:
        return lower.read().strip().split(':')


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def snapshot_mounts(address: str, namespace: str, key: str) -> str:
    """How containerd would mount a snapshot, as a mount(8) command.

    :param address: path of containerd's socket
    :raises OSError: there is no ctr, which comes with containerd
    :raises oslo_concurrency.processutils.ProcessExecutionError: there is no
        such containerd, or it has no such snapshot
    """
    return program.run(
        'ctr', '--address', address, '--namespace', namespace,
        '--connect-timeout', f'{_CONNECT}s', '--timeout', f'{_ANSWER}s',
        'snapshots', '--snapshotter', 'overlayfs', 'mounts', '/mnt', key)
