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
"""Shares of Manila that an instance has mounted. Pure."""

import collections.abc
import dataclasses
import re
import typing

from nova.objects import fields

from nova_docker.spec import paths

_HOST = r'(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])'
#: What mount(8) and the kernel take for a source and nothing else: a comma
#: ends an option, white space a field of a table of mounts.
_PATH = r'/[!-+\--\[\]-~]*'
_SOURCES = {
    fields.ShareMappingProto.NFS: re.compile(f'{_HOST}:{_PATH}'),
    fields.ShareMappingProto.CEPHFS: re.compile(
        rf'{_HOST}(?::\d+)?(?:,{_HOST}(?::\d+)?)*:{_PATH}')}
_USER = re.compile(r'[A-Za-z0-9_.-]+')
_KEY = re.compile(r'[A-Za-z0-9+/]+=*')
#: As Nova's API has it.
_TAG = re.compile(r'[A-Za-z0-9-]{1,255}')
#: After the operator's, as the last one counts.
_OPTIONS = ('nosuid', 'nodev')


@dataclasses.dataclass(frozen=True)
class Options:
    """How this host mounts shares.

    :ivar nfs: options of mount(8) for those of NFS
    :ivar ceph: the same for those of CephFS
    :ivar timeout: seconds that the storage may take
    """

    nfs: tuple[str, ...]
    ceph: tuple[str, ...]
    timeout: int


@dataclasses.dataclass(frozen=True)
class Export:
    """What is mounted.

    :ivar kind: of file system, as mount(8) calls it
    :ivar source: where the storage has it
    :ivar secret: what opens it; '' where nothing does
    """

    kind: str
    source: str
    options: tuple[str, ...]
    secret: str = dataclasses.field(default='', repr=False)


@dataclasses.dataclass(frozen=True)
class Share:
    """A share of an instance, as it is kept beside the instance.

    :ivar id: Manila's
    :ivar tag: what the user calls it
    """

    id: str
    tag: str


def export(protocol: str, location: str, user: str | None,
           key: str | None, options: Options) -> Export:
    """What is to be mounted of a share.

    :param location: Manila's export location
    :param user: of Ceph, with its key
    :raises ValueError: it can be no such thing; the message has no secret
    """
    if not _SOURCES[protocol].fullmatch(location):
        raise ValueError(f'its export location is no {protocol} one: '
                         f'{location[:100]!r}')
    if protocol == fields.ShareMappingProto.NFS:
        return Export('nfs', location, (*options.nfs, *_OPTIONS))
    if not _USER.fullmatch(user or '') or not _KEY.fullmatch(key or ''):
        raise ValueError('Manila tells no user of Ceph and key for it')
    return Export('ceph', location,
                  (*options.ceph, f'name={user}', *_OPTIONS), key or '')


def share(share_id: str, tag: str) -> Share:
    """A share that an instance gets.

    :raises ValueError: no directory can have its tag as a name
    """
    if not _TAG.fullmatch(tag):
        raise ValueError(f'{tag[:100]!r} is no tag of a share')
    return Share(share_id, tag)


def mounts(shares: collections.abc.Iterable[Share],
           directory: str) -> list[dict[str, typing.Any]]:
    """The CDI mounts of shares.

    :param directory: where the host has them mounted, by their ids
    """
    return [{'hostPath': f'{directory}/{share.id}',
             'containerPath': f'{paths.SHARES}/{share.tag}', 'type': 'bind',
             'options': ['bind', 'rw', *_OPTIONS]}
            for share in shares]
