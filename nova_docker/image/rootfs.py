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

"""Check the archive of a root filesystem while it passes.

What is in it is the tenant's: device nodes, hard links, programs that are
setuid and odd names are part of a root filesystem, and the engine, which
unpacks it inside its own root, puts them into the container's layer only.
Refused is what the engine would not see as it was checked here, or blow up.
"""

import collections.abc

from nova_docker.image import archive
from nova_docker.image import compression
from nova_docker.image import disk
from nova_docker.image import manifest
from nova_docker.image import tar

_ROOT = frozenset(name.encode() for name in manifest.ROOT)
_METADATA = frozenset(name.encode() for name in manifest.METADATA)


def checked(source: compression.Source, limit: int | None = None
            ) -> collections.abc.Iterator[bytes]:
    """Yield the uncompressed archive, its end only after the source's.

    What came before is no archive to the engine, unless the request ends as
    if it were whole.

    :param limit: most bytes that it may have unpacked; None, any
    :raises Refused: it is not acceptable
    :raises TooLarge: it is larger than the limit
    """
    parser = tar.Parser()
    tops: set[bytes] = set()
    sent = 0
    for chunk in _plain(source, limit):
        for event in parser.feed(chunk):
            if isinstance(event, tar.Entry):
                tops.add(_top(event.name))
        # Part of the block that ends it may be out already.
        if parser.length > sent:
            yield chunk[:parser.length - sent]
            sent = parser.length
    if not parser.ended:
        raise tar.truncated()
    _check(tops)
    yield bytes(parser.length + 2 * tar.BLOCK - sent)


def _plain(source: compression.Source, limit: int | None
           ) -> collections.abc.Iterator[bytes]:
    """The source without its compression, as far as the limit goes."""
    size = 0
    for chunk in compression.unpacked(source, compression.KINDS):
        if not size:
            _check_start(chunk)
        size += len(chunk)
        if limit is not None and size > limit:
            raise archive.TooLarge(size)
        yield chunk


def _check_start(start: bytes) -> None:
    """Refuse what the engine would unpack once more, and disks."""
    if kind := compression.kind(start):
        raise tar.Refused('the archive of the root filesystem is compressed '
                          f'twice, or starts as if with {kind}')
    disk.refuse(start)


def _top(name: bytes) -> bytes:
    """The first component of a member's name."""
    return name.removeprefix(b'./').lstrip(b'/').partition(b'/')[0]


def _check(tops: collections.abc.Set[bytes]) -> None:
    """Refuse what is an archive, but not of a root filesystem."""
    if not tops - {b'', b'.'}:
        raise tar.Refused('the archive of the root filesystem has no files')
    if tops & _ROOT:
        return
    if tops & _METADATA:
        raise tar.Refused(
            'it is an image archive and not that of a root filesystem: give '
            'it container_format docker, without docker_image_type')
    if b'rootfs' in tops:
        raise tar.Refused(
            'it has the root filesystem in the directory "rootfs": pack what '
            'is in there, as "tar -C rootfs -cf image.tar ." does')
