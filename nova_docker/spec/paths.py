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

"""Paths inside a container, and what its own mounts hide of its image."""

import collections.abc

#: Where a server finds its config drive. cloud-init's ConfigDrive looks here.
CONFIG_DRIVE = '/var/lib/cloud/seed/config_drive'

#: Where a server has its shares, by their tags.
SHARES = '/shares'

#: File systems of the kernel, which a container gets new.
KERNEL = ('/proc', '/sys', '/dev')

#: Files that the engine makes for a container.
ENGINE = ('/etc/hosts', '/etc/hostname', '/etc/resolv.conf')

#: Of a name and of a path; the latter with its terminator.
_NAME_MAX = 255
_PATH_MAX = 4096


def from_root(path: str) -> str:
    """The path of a file to inject; users may leave its first slash out.

    Source: nova.virt.disk.vfs.
    """
    return path if path.startswith('/') else f'/{path}'


def is_plain(path: str) -> bool:
    """Whether a path is absolute, straight, and one that Linux could have.

    Straight is one without empty parts, ``.`` and ``..``.
    """
    first, *parts = path.split('/')
    return (not first and bool(parts) and path.isprintable() and
            len(path.encode()) < _PATH_MAX and
            all(part not in ('', '.', '..') and
                len(part.encode()) <= _NAME_MAX for part in parts))


def within(path: str, parents: collections.abc.Iterable[str]) -> bool:
    """Whether a plain path is one of these, or below one."""
    return any(path == parent or path.startswith(f'{parent}/')
               for parent in parents)
