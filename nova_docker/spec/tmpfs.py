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

"""File systems in memory, of which images and flavors may name some.

Source: HostConfig.Tmpfs of POST /containers/create.
"""

import re

from nova_docker.spec import paths

_OPTION = re.compile(
    r'(no)?exec|size=[0-9]+[kmg]?|nr_inodes=[0-9]+[kmg]?|mode=[0-7]{3,4}|'
    r'[ug]id=[0-9]+')
#: No program runs in a container where these are empty.
_NEEDED = frozenset((
    '/bin', '/etc', '/lib', '/lib32', '/lib64', '/libx32', '/sbin', '/usr',
    '/usr/bin', '/usr/lib', '/usr/lib64', '/usr/sbin'))


def parse(value: str) -> dict[str, str]:
    """``PATH[:OPTION,...][,PATH...]``; what starts with / is a path.

    :returns: the options by the path
    :raises ValueError: says why it can't be applied, without its name
    """
    mounts: dict[str, list[str]] = {}
    options: list[str] = []
    for word in value.split(','):
        path, colon, option = word.partition(':')
        if path.startswith('/'):
            if not _can_be_at(path) or path in mounts:
                raise ValueError(f'can not mount a tmpfs at {path!r}')
            options = mounts.setdefault(path, [])
        else:
            colon, option = ',', word
        if colon:
            if not mounts or not _OPTION.fullmatch(option):
                raise ValueError(
                    f'has {option!r}, which is no option of a tmpfs')
            options.append(option)
    return {path: ','.join(each) for path, each in mounts.items()}


def _can_be_at(path: str) -> bool:
    """Whether there can be one; a server must start, and be what it is."""
    return (paths.is_plain(path) and path not in _NEEDED and
            not paths.within(path, (*paths.KERNEL, *paths.ENGINE,
                                    paths.CONFIG_DRIVE)) and
            not paths.within(paths.CONFIG_DRIVE, (path,)))
