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


def of(topology: typing.Any, small_kb: int, part: int | None = None
       ) -> Pages:
    """What an instance has.

    Nova claims huge pages for all memory of its flavor, which is what a
    virtual machine has. A container needs other pages, too, and has no more
    memory for that.

    :param topology: nova.objects.InstanceNUMATopology, or None
    :param small_kb: KiB of the host's pages that are not huge
    :param part: MiB of the memory that are huge pages; None for half of it
    :raises ValueError: it can't have so many, or so few
    """
    claimed: Pages = collections.defaultdict(int)
    for cell in topology.cells if topology else ():
        if cell.pagesize and cell.pagesize > small_kb:
            claimed[cell.pagesize] += cell.memory
    total = sum(claimed.values())
    wanted = total // 2 if part is None else part
    if wanted > total:
        raise ValueError(f'of {wanted} MiB in huge pages, Nova has claimed '
                         f'{total} MiB (hw:mem_page_size)')
    found = {size: _whole(size, memory * wanted // total)
             for size, memory in claimed.items()}
    if not all(found.values()):
        raise ValueError(f'{wanted} MiB in huge pages are less than one page '
                         f'of {max(found)} KiB')
    return found


def _whole(size: int, memory: int) -> int:
    """MiB that are whole pages."""
    return memory - memory % max(size // 1024, 1)


def mounts(pages: Pages) -> list[dict[str, typing.Any]]:
    """The CDI mounts of an instance."""
    return [{'hostPath': 'hugetlbfs', 'containerPath': _PATH.format(size),
             'type': 'hugetlbfs',
             'options': ['rw', 'nosuid', 'nodev', 'noexec', 'mode=1777',
                         f'pagesize={size}K', f'size={memory}M']}
            for size, memory in sorted(pages.items())]
