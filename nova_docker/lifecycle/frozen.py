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

"""The file systems of an instance's volumes, while it is quiesced.

On its device, one that is frozen is as after an unmount. Whoever writes to it
waits, and can not even be killed: so it is thawed before its server is
stopped. That an instance is quiesced is written down beside it, for a
nova-compute that starts after one that was killed.
"""

import contextlib
import os

from nova import exception
from oslo_log import log as logging

from nova_docker.lifecycle import base
from nova_docker.lifecycle import connections
from nova_docker.lifecycle import records
from nova_docker.network import plans
from nova_docker.privsep import filesystem
from nova_docker.spec import volumes
from nova_docker.volume import device
from nova_docker.volume import root

LOG = logging.getLogger(__name__)


def begin(services: base.Services, instance_uuid: str) -> None:
    """Note that an instance is about to be quiesced."""
    plans.ensure(services.options.state_dir, instance_uuid)
    plans.write_json(_mark(services, instance_uuid), True)


def freeze(services: base.Services, instance_uuid: str) -> None:
    """Freeze the file systems, whose users are frozen already.

    :raises OSError: one cannot be; then none is
    """
    filesystem.freeze(_places(services, instance_uuid))


def thaw(services: base.Services, instance_uuid: str) -> None:
    """Thaw the file systems, if the instance is quiesced (idempotent).

    Never raises: its processes must not stay frozen for a device that fails.
    """
    if not os.path.exists(_mark(services, instance_uuid)):
        return
    try:
        filesystem.thaw(_places(services, instance_uuid))
    except OSError:
        LOG.exception('Volumes of instance %s may be left frozen',
                      instance_uuid)


def shut_down(services: base.Services, instance_uuid: str) -> None:
    """Have an instance that was evacuated write nothing to them any more.

    Another host does by now, and what this one has not written yet would
    damage what it finds; the container still runs if this host was not
    fenced. Never raises.
    """
    for volume in records.read(services.options.state_dir, instance_uuid):
        try:
            device.check(volume)
            filesystem.shut_down(
                volume.path, _places_of(services, instance_uuid, volume))
        except exception.InternalError as error:
            # As after a boot of the host.
            LOG.info('%s', error)
        except OSError:
            LOG.exception('Volume %s may be written to', volume.id)


def end(services: base.Services, instance_uuid: str) -> None:
    """Note that an instance is not quiesced any more."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_mark(services, instance_uuid))


def instances(services: base.Services) -> list[str]:
    """The instances that are quiesced, or were as nova-compute ended."""
    return [uuid for uuid in plans.instances(services.options.state_dir)
            if os.path.exists(_mark(services, uuid))]


def _places(services: base.Services, instance_uuid: str) -> list[str]:
    """Where the host has each file system mounted that is written to."""
    return [place for volume in records.read(
        services.options.state_dir, instance_uuid)
        if volume.state == volumes.ATTACHED
        for place in _places_of(services, instance_uuid, volume)]


def _places_of(services: base.Services, instance_uuid: str,
               volume: volumes.Volume) -> list[str]:
    """Where the host has one mounted, if it has."""
    if volume.read_only:
        return []
    if volume.mount_path:
        return [connections.place(services, instance_uuid, volume)]
    # All of its mounts are the same file system.
    return root.places(volume.path)[:1] if volume.root else []


def _mark(services: base.Services, instance_uuid: str) -> str:
    return os.path.join(plans.instance_dir(
        services.options.state_dir, instance_uuid), 'quiesced.json')
