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

"""Instances that ended with their engine, without its live-restore.

To a container the restart of its engine is what the reboot of its host is to
a virtual machine. ``[DEFAULT]resume_guests_state_on_host_boot`` says what
comes of it. Nova looks at the option only as nova-compute starts; here it is
the engine that comes back, under a nova-compute that runs.
"""

from nova.compute import api
from nova.compute import vm_states
from nova import context as nova_context
from nova import exception
from oslo_log import log as logging

from nova_docker.lifecycle import base

LOG = logging.getLogger(__name__)


def after_engine(services: base.Services, instance_uuid: str) -> bool:
    """Have Nova start an instance again, if the operator wants it to.

    By a hard reboot, so that the instance has a task from now on: Nova does
    not take it for stopped meanwhile, goes on with it should nova-compute die
    as well, and shows it in the list of the server's events.

    :returns: whether it will; not for one that is not to be active, or has
        another task
    """
    if not services.options.resume:
        return False
    context = nova_context.get_admin_context()
    try:
        instance = base.instance_of(services, context, instance_uuid)
        if (instance.vm_state != vm_states.ACTIVE or
                instance.task_state is not None):
            return False
        LOG.info('Rebooting the instance, which ended with its engine',
                 instance=instance)
        api.API().reboot(context, instance, 'HARD')
    except (exception.InstanceNotFound,
            exception.InstanceInvalidState) as error:
        LOG.info('Instance %(uuid)s is not started again: %(error)s',
                 {'uuid': instance_uuid, 'error': error})
        return False
    return True
