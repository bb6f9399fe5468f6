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

"""The files that a container does not share with its image."""

import collections.abc
import contextlib
import os

from nova import exception
from nova.i18n import _
from oslo_concurrency import processutils
from oslo_log import log as logging

from nova_docker.privsep import layer

LOG = logging.getLogger(__name__)

#: Characters of what a program says that fit into a fault.
_REASON = 150


def copy(source: str, target: str) -> None:
    """Have in one directory what is in another one, and nothing else.

    :param source: as of nova_docker.volume.rootfs.upper, as target
    :raises nova.exception.InternalError: it can't be
    """
    with _reported(source):
        layer.copy(source, target, os.getpid())


def unpack(file: str, target: str) -> None:
    """Have in a directory what is in an archive, and nothing else.

    :param file: path of what another host has packed of such a directory
    :raises nova.exception.InternalError: it can't be
    """
    with _reported(target):
        layer.unpack(file, target, os.getpid())


def change(file: str, target: str) -> None:
    """Have in a directory what has changed since it was unpacked.

    :param file: as of :func:`nova_docker.privsep.layer.change`
    :raises nova.exception.InternalError: it can't be
    """
    with _reported(target):
        layer.change(file, target, os.getpid())


def sync(directory: str) -> None:
    """Have on the disk what was unpacked into a directory.

    :raises nova.exception.InternalError: it can't be
    """
    with _reported(directory):
        layer.sync(directory)


def used(directory: str) -> int:
    """Bytes that the files in a directory take, each once.

    :param directory: as of nova_docker.volume.rootfs.upper
    :raises nova.exception.InternalError: they can't be seen
    """
    with _reported(directory):
        return int(layer.used(directory))


def noted(directory: str) -> set[str]:
    """What overlay notes of the files in a directory.

    :returns: as of nova_docker.privsep.layer.noted
    :raises nova.exception.InternalError: they can't be seen
    """
    with _reported(directory):
        return set(layer.noted(directory))


@contextlib.contextmanager
def _reported(directory: str) -> collections.abc.Iterator[None]:
    """Tell the user why it fails.

    :raises nova.exception.InternalError: says so
    """
    try:
        yield
    except (OSError, processutils.ProcessExecutionError) as error:
        LOG.exception('The files in %s can not be copied', directory)
        said = getattr(error, 'stderr', None) or str(error)
        raise exception.InternalError(
            _('The files of the server can not be copied: %s') %
            said.strip()[-_REASON:]) from error
