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

"""The root disk of a server that boots from a volume.

The volume has all files of the server, and a document that says of which image
it was made: command, environment and the like. So it boots on any host, also
when that image is gone. It is mounted under the writable layer of a container
that is made of an image without files: see :mod:`nova_docker.volume.disk`.
"""

import collections.abc
import contextlib
import io

from nova import exception
from nova.i18n import _
from oslo_concurrency import processutils
from oslo_log import log as logging
from oslo_utils.imageutils import format_inspector

from nova_docker.engine import client
from nova_docker.privsep import filesystem
from nova_docker.privsep import root as privileged
from nova_docker.volume import rootfs

LOG = logging.getLogger(__name__)

_PIECE = 1 << 20
#: Characters of what a program says that fit into a fault.
_REASON = 120


def content(device: str) -> dict[str, str]:
    """What is on a volume, as of nova_docker.privsep.filesystem.probe.

    :raises nova.exception.InvalidVolume: it has the signs of several things
    :raises OSError: it cannot be read
    """
    with _invalid():
        return dict(filesystem.probe(device))


def is_root(found: dict[str, str]) -> bool:
    """Whether a server has, or was to have, its files on a volume.

    :param found: of :func:`content`
    """
    return (found.get('TYPE'), found.get('LABEL')) == ('ext4',
                                                       privileged.LABEL)


def described(device: str, found: dict[str, str]) -> str:
    """What a volume has that is no root disk of a container, in words."""
    if 'TYPE' in found:
        return f'a file system of another kind or origin ({found["TYPE"]})'
    if 'PTTYPE' in found:
        return (f'a partition table ({found["PTTYPE"]}), as of the disk of a '
                'virtual machine')
    start = privileged.read(device, 0, _PIECE)
    if not any(start):
        return 'nothing where it begins'
    inspector = format_inspector.InspectWrapper(io.BytesIO(start))
    while inspector.read(_PIECE):
        pass
    inspector.close()
    kinds = {str(each) for each in inspector.formats or ()} - {'raw'}
    if kinds:
        return (f'the image of a disk ({"/".join(sorted(kinds))}), as of a '
                'virtual machine')
    return 'unknown data'


def size(device: str) -> int:
    """Bytes of a volume."""
    return int(privileged.size(device))


def digests(device: str, length: int) -> tuple[str, str]:
    """MD5 and SHA-256 of what a volume begins with.

    :raises OSError: it cannot be read
    """
    md5, sha256 = privileged.digests(device, length)
    return md5, sha256


def pieces(device: str, length: int) -> collections.abc.Iterator[bytes]:
    """What a volume begins with.

    :raises OSError: it cannot be read
    """
    for offset in range(0, length, _PIECE):
        yield privileged.read(device, offset, min(_PIECE, length - offset))


def document(device: str, place: str) -> bytes | None:
    """The document of a root volume that is not mounted; None without.

    :param place: where it is looked at; nothing is there
    :raises nova.exception.InvalidVolume: it is damaged
    :raises OSError: it cannot be read
    """
    with _invalid():
        found: bytes | None = privileged.document(device, place)
    return found


def make(engine: client.Engine, device: str, place: str, container_id: str,
         content: bytes) -> None:
    """Make a root volume, of a container that never ran.

    What is on it is lost.

    :param place: as of :func:`document`
    :param content: its document
    :raises nova.exception.InvalidVolume: the files cannot be copied to it
    :raises nova.exception.Invalid: the engine does not tell where they are
    :raises OSError: somebody uses it
    """
    layers = rootfs.layers(engine, container_id)
    with _invalid():
        privileged.make(device, place, layers, content)


def mount(engine: client.Engine, device: str, place: str,
          container_id: str) -> None:
    """Have a root volume mounted for a container that starts (idempotent).

    :param place: as of :func:`document`
    :raises nova.exception.InvalidVolume: it cannot be
    :raises nova.exception.Invalid: the engine does not tell where the
        container's file system is
    """
    with _invalid():
        if privileged.mounts(device):
            privileged.protect(device, False)
        else:
            directory, layer = rootfs.directory(engine, container_id)
            privileged.attach(device, place, directory, layer)


def protect(device: str) -> None:
    """Keep its files when somebody removes the container by hand.

    Never raises: nothing else depends on it.
    """
    try:
        privileged.protect(device, True)
    except OSError:
        LOG.exception('%s is not protected from the engine', device)


def mounted(device: str) -> bool:
    """Whether a volume is mounted on the host.

    :raises OSError: it is not there
    """
    return bool(places(device))


def places(device: str) -> list[str]:
    """Where the host has a volume mounted.

    :raises OSError: it is not there
    """
    return list(privileged.mounts(device))


def unmount(device: str) -> None:
    """Unmount a volume, wherever it is mounted (idempotent).

    :raises OSError: it is in use
    """
    privileged.detach(device)


def release(engine: client.Engine, container_id: str) -> None:
    """See that a container, which does not run, can be removed.

    Some engines remove what they find where its files were.

    :raises OSError: its volume is in use
    :raises nova.exception.Invalid: the engine does not tell where it is
    """
    directory, _layer = rootfs.directory(engine, container_id)
    privileged.release(directory)


def grow(device: str) -> None:
    """Let the file system have all of its volume, which has grown.

    Else it has at its next start.

    :raises OSError: it can't
    :raises oslo_concurrency.processutils.ProcessExecutionError: likewise
    """
    privileged.grow(device)


@contextlib.contextmanager
def _invalid() -> collections.abc.Iterator[None]:
    try:
        yield
    except (ValueError, NotADirectoryError) as error:
        raise exception.InvalidVolume(reason=str(error)) from error
    except processutils.ProcessExecutionError as error:
        LOG.exception('A root volume can not be used')
        # Of e2fsck both matter, and the last lines say what is wrong.
        said = ' '.join(f'{error.stdout} {error.stderr}'.split())
        raise exception.InvalidVolume(
            reason=_('its file system cannot be used: %s') %
            said[-_REASON:]) from error
