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

"""Limits of the huge pages that a container has."""

import os

import nova_docker.privsep
from nova_docker.privsep import cgroup

_FILES = {True: ('limit_in_bytes', 'rsvd.limit_in_bytes'),
          False: ('max', 'rsvd.max')}


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def limit(pid: int, container: str, limits: list[list[int]]) -> None:
    """Hold a container to a memory in huge pages (idempotent).

    Source: Documentation/admin-guide/cgroup-v2.rst of Linux, HugeTLB.

    :param pid: of a process of the container
    :param container: its id
    :param limits: KiB of a page, and bytes in such pages
    :raises OSError: the container has ended, or the host can not do that
    """
    directory, is_first = cgroup.find(pid, container, controller='hugetlb')
    first, *others = _FILES[is_first]
    for size, most in limits:
        _write(directory, size, first, most)
        for name in others:
            # Of what is mapped and not used yet; older kernels have none.
            if os.path.exists(_path(directory, size, name)):
                _write(directory, size, name, most)


def _write(directory: str, size: int, name: str, most: int) -> None:
    # Not to be made where the host lacks the controller.
    with open(_path(directory, size, name), 'r+') as file:
        file.write(str(most))


def _path(directory: str, size: int, name: str) -> str:
    for unit, factor in (('GB', 1 << 20), ('MB', 1 << 10)):
        if size >= factor:
            return os.path.join(
                directory, f'hugetlb.{size // factor}{unit}.{name}')
    return os.path.join(directory, f'hugetlb.{size}KB.{name}')
