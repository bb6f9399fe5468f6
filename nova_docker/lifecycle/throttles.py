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

"""How fast instances may use their disks: set at each start, and later on."""

import collections.abc
import dataclasses
import errno
import typing

from nova.i18n import _

from nova_docker.host import blocks
from nova_docker.lifecycle import base
from nova_docker.lifecycle import disks
from nova_docker.lifecycle import records
from nova_docker.privsep import throttle as privileged
from nova_docker.spec import names
from nova_docker.spec import throttle
from nova_docker.spec import volumes

#: What the kernel says of the number of a device that is gone.
_GONE = (errno.ENODEV, errno.ENXIO)


def refusals(services: base.Services,
             extra_specs: collections.abc.Mapping[str, str]
             ) -> collections.abc.Iterator[str]:
    """Why this host can't hold the instances of a flavor to its limits."""
    try:
        if throttle.of_flavor(extra_specs):
            _disk(services)
    except ValueError:
        # No host can.
        return
    except OSError as error:
        yield _('the disk of its engine can not be limited: %s') % error


def apply(services: base.Services, instance_uuid: str, pid: int,
          container_id: str, labels: collections.abc.Mapping[str, str]
          ) -> None:
    """Hold a container that starts to its limits.

    Numbers of devices are others after a boot of the host, so they are looked
    up at each start.

    :param pid: of its first process
    :param labels: of the container
    :raises OSError: the host can not do that
    """
    limits = [(volume.major, volume.minor,
               throttle.of_volume(volume.connection))
              for volume in records.read(services.options.state_dir,
                                         instance_uuid) if volume.path]
    if own := names.disk_limits(labels):
        limits += [(*number, own) for number in (
            _disk(services), *disks.numbers(services, {
                'Id': container_id, 'Labels': labels}))]
    for major, minor, each in limits:
        if each:
            _limit(pid, container_id, major, minor, each)


def start(volume: volumes.Volume, pid: int, container_id: str) -> None:
    """Hold a container that runs to the limits of a volume that it gets."""
    limits = throttle.of_volume(volume.connection)
    if limits:
        _limit(pid, container_id, volume.major, volume.minor, limits)


def end(volume: volumes.Volume, pid: int, container_id: str) -> None:
    """Forget them: the next volume may have the same number."""
    if throttle.of_volume(volume.connection):
        try:
            _limit(pid, container_id, volume.major, volume.minor,
                   throttle.Limits())
        except OSError as error:
            if error.errno not in _GONE:
                raise


def _disk(services: base.Services) -> blocks.Number:
    """The disk with the files of images, and of containers without another.

    :raises OSError: they are on none
    """
    return blocks.disk_of(services.engine.info()['DockerRootDir'])


def _limit(pid: int, container_id: str, major: int, minor: int,
           limits: throttle.Limits) -> typing.Any:
    privileged.limit(pid, container_id, major, minor,
                     list(dataclasses.astuple(limits)))
