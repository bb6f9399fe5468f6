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

"""What is kept of an instance while it is suspended.

Its processes are in a checkpoint of its container, which is in the engine's
directory of that container, for root only, and goes with it. Or they are
frozen. That it is suspended is written down beside the instance: its
container looks like one that ended, or that was paused.
"""

import contextlib
import os

from oslo_log import log as logging

from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker.lifecycle import base
from nova_docker.network import plans

LOG = logging.getLogger(__name__)

#: The one that a container has.
CHECKPOINT = 'suspended'


def begin(services: base.Services, instance_uuid: str,
          kind: str | None) -> None:
    """Note that an instance is about to be suspended, or is.

    :param kind: CHECKPOINT; None when its processes are frozen
    """
    plans.ensure(services.options.state_dir, instance_uuid)
    plans.write_json(_path(services, instance_uuid), {'checkpoint': kind})


def noted(services: base.Services, instance_uuid: str) -> bool:
    """Whether an instance is suspended, unless its container runs."""
    return os.path.exists(_path(services, instance_uuid))


def checkpoint(services: base.Services, instance_uuid: str,
               container: client.Json) -> str | None:
    """The checkpoint that a container was suspended to; None without.

    Only an experimental engine can be asked for it.
    """
    kept = plans.read_json(_path(services, instance_uuid))
    wanted: str | None = kept and kept['checkpoint']
    return wanted if wanted and wanted in services.engine.list_checkpoints(
        container['Id']) else None


def end(services: base.Services, instance_uuid: str) -> None:
    """Remove what there is of it: an instance is not suspended any more."""
    if not noted(services, instance_uuid):
        return
    container = base.find(services, instance_uuid)
    try:
        if container and (kept := checkpoint(services, instance_uuid,
                                             container)):
            services.engine.remove_checkpoint(container['Id'], kept)
    except errors.NotFound:
        pass
    except errors.ServerError:
        # As of one that is not experimental any more.
        LOG.exception('A checkpoint of instance %s is left until its '
                      'container is removed', instance_uuid)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(services, instance_uuid))


def instances(services: base.Services) -> list[str]:
    """The instances that are suspended, or were as nova-compute ended."""
    return [uuid for uuid in plans.instances(services.options.state_dir)
            if noted(services, uuid)]


def _path(services: base.Services, instance_uuid: str) -> str:
    return os.path.join(plans.instance_dir(
        services.options.state_dir, instance_uuid), 'suspended.json')
