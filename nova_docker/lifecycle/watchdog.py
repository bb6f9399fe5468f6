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

"""The watchdog: what Nova does with an instance whose health check fails.

It asks Nova as a user would, so that the state of the server, its list of
events and all that watches Nova show what was done; the driver does it then
as one of its verbs.
"""

import typing

from nova.compute import api
from nova import context as nova_context
from nova import exception
from oslo_log import log as logging

from nova_docker.lifecycle import base
from nova_docker.spec import names
from nova_docker.spec import watchdog

LOG = logging.getLogger(__name__)


def of(instance: typing.Any, image_meta: typing.Any) -> str | None:
    """What the watchdog of the instance does; None without one.

    :raises nova.exception.BuildAbortException: it is none of the known ones
    """
    try:
        return watchdog.action(instance.flavor.extra_specs,
                               image_meta.properties)
    except ValueError as error:
        raise exception.BuildAbortException(
            instance_uuid=instance.uuid, reason=str(error)) from error


def act(services: base.Services, instance_uuid: str) -> None:
    """Act on an instance if its container is unhealthy and runs.

    One with a task is left alone, and so is one in a state that does not
    allow the action, such as a rescued one.
    """
    unhealthy = services.engine.list_containers(
        names.instance_filter(instance_uuid, services.host),
        health='unhealthy')
    if not unhealthy or unhealthy[0]['State'] != 'running':
        return
    action = unhealthy[0]['Labels'].get(names.LABEL_WATCHDOG)
    if not action:
        return
    context = nova_context.get_admin_context()
    try:
        instance = base.instance_of(services, context, instance_uuid)
        LOG.warning('The health check fails; watchdog action: %s', action,
                    instance=instance)
        _request(api.API(), context, instance, action)
    except (exception.InstanceNotFound,
            exception.InstanceInvalidState) as error:
        LOG.info('The watchdog leaves instance %(uuid)s alone: %(error)s',
                 {'uuid': instance_uuid, 'error': error})


def _request(compute_api: typing.Any, context: typing.Any,
             instance: typing.Any, action: str) -> None:
    """Ask Nova; nothing is given time, as the instance does not work."""
    if action == watchdog.PAUSE:
        compute_api.pause(context, instance)
    elif action == watchdog.POWER_OFF:
        compute_api.stop(context, instance, clean_shutdown=False)
    elif action == watchdog.RESET:
        compute_api.reboot(context, instance, 'HARD')
