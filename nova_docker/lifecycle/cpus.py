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

"""The CPUs and the NUMA nodes of instances, as Nova has claimed them."""

import itertools
import typing

from nova import exception
from nova.i18n import _
from nova.virt import hardware
from oslo_log import log as logging

from nova_docker.engine import errors
from nova_docker.host import numa
from nova_docker.lifecycle import base
from nova_docker.spec import limits
from nova_docker.spec import names

LOG = logging.getLogger(__name__)


def of(services: base.Services, instance: typing.Any) -> limits.Cpus:
    """Where an instance runs.

    Nova's claim has chosen dedicated CPUs. The others float over those of
    their NUMA nodes that are for sharing. A container has one set of CPUs: its
    threads choose among them.

    :raises nova.exception.ComputeResourcesUnavailable: there are none
    """
    topology = instance.numa_topology
    if topology is None:
        return limits.Cpus(services.options.floating)
    nodes = {node.id: node.cpus.keys() for node in numa.read()}
    chosen = set(topology.cpu_pinning)
    shares = [cell.id for cell in topology.cells if cell.cpuset]
    for number in shares:
        chosen |= nodes.get(number, set()) & services.options.shared
    if not chosen:
        raise exception.ComputeResourcesUnavailable(
            reason=_('no CPU of its NUMA nodes is for it'))
    return limits.Cpus(frozenset(chosen),
                       frozenset(cell.id for cell in topology.cells),
                       dedicated=not shares)


def heal(services: base.Services) -> None:
    """Keep instances off CPUs that are not for them since the last start.

    Those without CPUs of their own follow the options; what Nova has claimed
    for the others stays. Never raises.
    """
    options = services.options
    wanted = options.floating or options.online
    try:
        containers = services.engine.list_containers(
            names.host_filter(services.host))
    except errors.EngineError:
        LOG.exception('Instances may run on CPUs that are not for them')
        return
    for container in itertools.filterfalse(
            lambda each: names.has_cpus(each['Labels']), containers):
        try:
            config = services.engine.inspect_container(
                container['Id'])['HostConfig']
            listed = config.get('CpusetCpus') or ''
            here = hardware.parse_cpu_spec(listed) if listed else set(
                options.online)
            if here != wanted:
                services.engine.update_container(
                    container['Id'], limits.cpuset(limits.Cpus(wanted)))
        except errors.EngineError:
            LOG.exception('Container %s may run on CPUs that are not for it',
                          container['Id'])
