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

"""Limits of what a container reads of a block device and writes to it."""

import os

import nova_docker.privsep
from nova_docker.privsep import cgroup

_NONE = 'max'


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def limit(pid: int, container: str, major: int, minor: int,
          limits: list[int]) -> None:
    """Hold a container to limits (idempotent), until it ends.

    Sources: Documentation/admin-guide/cgroup-v2.rst of Linux, io.max, and
    cgroup-v1/blkio-controller.rst.

    :param pid: of a process of the container
    :param container: its id
    :param limits: bytes read and written, and requests to read and to write,
        a second; 0 is none
    :raises OSError: the container has ended, or the host can not do that
    """
    directory, is_first = cgroup.find(pid, container, controller='blkio')
    number = f'{major}:{minor}'
    if is_first:
        for name, value in zip(('read_bps', 'write_bps', 'read_iops',
                                'write_iops'), limits):
            _write(directory, f'blkio.throttle.{name}_device',
                   f'{number} {value}')
    else:
        _write(directory, 'io.max', ' '.join((number, *(
            f'{name}={value or _NONE}' for name, value in zip(
                ('rbps', 'wbps', 'riops', 'wiops'), limits)))))


def _write(directory: str, name: str, line: str) -> None:
    # Not to be made where the host lacks the controller.
    with open(os.path.join(directory, name), 'r+') as file:
        file.write(line)
