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

"""What is known of a live migration, on either host, while it lasts.

It is written down beside the instance. So a nova-compute that starts after
one that was killed knows that the instance may go on, or be about to, on the
other host as well.
"""

import contextlib
import dataclasses
import os
import typing

from nova import context as nova_context
from nova import exception
from nova import objects
from oslo_log import log as logging

from nova_docker.lifecycle import base
from nova_docker.network import plans
from nova_docker.transfer import control

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Live:
    """A live migration.

    :ivar source: the host that has the instance, as long as Nova says so
    :ivar target: the one that it goes to
    :ivar asked: whether the target was asked to let it go on there; known to
        the source only
    """
    source: str
    target: str
    asked: bool = False


def read(services: base.Services, instance_uuid: str) -> Live | None:
    """The live migration of an instance, None without one."""
    plain = plans.read_json(_path(services, instance_uuid))
    return Live(**plain) if plain else None


def write(services: base.Services, instance_uuid: str, live: Live) -> None:
    """Note a live migration, from now on."""
    plans.ensure(services.options.state_dir, instance_uuid)
    plans.write_json(_path(services, instance_uuid), dataclasses.asdict(live),
                     durable=True)


def drop(services: base.Services, instance_uuid: str) -> None:
    """Note that there is none any more (idempotent)."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(services, instance_uuid))


def instances(services: base.Services) -> list[str]:
    """The instances with one, also with one that was cut off."""
    return [uuid for uuid in plans.instances(services.options.state_dir)
            if os.path.exists(_path(services, uuid))]


def settle(services: base.Services, instance_uuid: str) -> None:
    """See that an instance of this host goes on nowhere else (idempotent).

    Before each start of it, in its turn.

    :raises nova.exception.MigrationError: it may, as the other host does not
        answer, and nobody says that it is off
    """
    live = read(services, instance_uuid)
    if live and live.source == services.host:
        if live.asked:
            _withdraw(live.target, instance_uuid)
        drop(services, instance_uuid)


def _withdraw(host: str, instance_uuid: str) -> None:
    context = nova_context.get_admin_context()
    try:
        control.Client(context, host).withdraw(instance_uuid)
    except exception.MigrationError:
        if not _is_off(context, host):
            raise
        LOG.warning('Instance %(uuid)s goes on here, as host %(host)s is '
                    'forced down', {'uuid': instance_uuid, 'host': host})


def _is_off(context: typing.Any, host: str) -> bool:
    """Whether an administrator says so, as before an evacuation.

    What is left there goes when its nova-compute starts.
    """
    try:
        return bool(objects.Service.get_by_compute_host(
            context, host).forced_down)
    except exception.ComputeHostNotFound:
        return True
    except Exception:
        LOG.exception('Nova does not say whether host %s is down', host)
        return False


def _path(services: base.Services, instance_uuid: str) -> str:
    return os.path.join(plans.instance_dir(
        services.options.state_dir, instance_uuid), 'migrating.json')
