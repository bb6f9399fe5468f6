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

"""Huge pages of an instance: file systems of the kernel's hugetlbfs. Pure.

Source: Nova's flavor extra spec ``hw:mem_page_size``, and
Documentation/admin-guide/mm/hugetlbpage.rst of Linux.
"""

import collections
import collections.abc
import typing

#: MiB by the size of a page in KiB.
Pages = dict[int, int]

_PATH = '/dev/hugepages-{}kB'


def of(topology: typing.Any, small_kb: int) -> Pages:
    """What Nova has claimed.

    :param topology: nova.objects.InstanceNUMATopology, or None
    :param small_kb: KiB of the host's pages that are not huge
    """
    found: Pages = collections.defaultdict(int)
    for cell in topology.cells if topology else ():
        if cell.pagesize and cell.pagesize > small_kb:
            found[cell.pagesize] += cell.memory
    return dict(found)


def mounts(pages: Pages) -> list[dict[str, typing.Any]]:
    """The CDI mounts of an instance."""
    return [{'hostPath': 'hugetlbfs', 'containerPath': _PATH.format(size),
             'type': 'hugetlbfs',
             'options': ['rw', 'nosuid', 'nodev', 'noexec', 'mode=1777',
                         f'pagesize={size}K', f'size={memory}M']}
            for size, memory in sorted(pages.items())]
