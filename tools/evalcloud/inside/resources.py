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

"""Flavors, image, networks; then wait until servers can be made."""

import pathlib
import sys
import time
import typing

import openstack

from evalcloud import inside
from evalcloud import progress
from evalcloud import settings

#: MiB of memory, VCPUs, GiB of disk.
_FLAVORS = {'m1.nano': (64, 1, 1), 'm1.tiny': (256, 1, 1),
            'm1.small': (512, 1, 2), 'm1.medium': (1024, 2, 5)}

#: The Docker hosts, where there are others.
_AGGREGATE = 'docker'
#: On every host, and on the controller.
_AGENTS = {'ovn': (['ovn-controller'], []),
           'ovs': (['neutron-openvswitch-agent'],
                   ['neutron-dhcp-agent', 'neutron-l3-agent',
                    'neutron-metadata-agent'])}


def main() -> None:
    cloud = settings.load(pathlib.Path(sys.argv[1]))
    assert cloud is not None
    admin: typing.Any = openstack.connect(cloud='nova-docker')
    demo: typing.Any = openstack.connect(cloud='nova-docker-demo')
    _flavors(admin)
    _image(admin, pathlib.Path(sys.argv[2]), cloud)
    progress.say('flavors and image: done')
    # An agent must live for a router's or DHCP server's port to be bound.
    _wait(lambda: _missing_agents(admin, cloud))
    _public(admin)
    _default_pool(admin)
    _private(demo)
    for each in (admin, demo):
        _rules(each)
    progress.say('networks, router and security group rules: done')
    _wait(lambda: _missing_hosts(admin, cloud))
    if cloud.vm_hosts:
        _keep_apart(admin, cloud)
        progress.say('aggregate of the Docker hosts: done')
    if cloud.volumes:
        _volume_types(admin, cloud)
        _wait(lambda: _missing_pools(admin, cloud))
        progress.say('volume types: done')
    if cloud.network == 'ovs':
        _wait(lambda: _missing_ports(admin))


def _flavors(admin: typing.Any) -> None:
    known = {flavor.name for flavor in admin.compute.flavors()}
    for name, (ram, vcpus, disk) in _FLAVORS.items():
        if name not in known:
            admin.compute.create_flavor(name=name, ram=ram, vcpus=vcpus,
                                        disk=disk)


def _image(admin: typing.Any, file: pathlib.Path,
           cloud: settings.Settings) -> None:
    if admin.image.find_image('busybox'):
        return
    properties = cloud.image_properties
    if cloud.is_docker:
        properties['docker_console'] = 'sh'
    admin.create_image('busybox', filename=str(file), wait=True,
                       container_format='docker', disk_format='raw',
                       visibility='public', **properties)


def _keep_apart(admin: typing.Any, cloud: settings.Settings) -> None:
    """Let only servers whose images ask for it come to the Docker hosts."""
    compute = admin.compute
    aggregate = (compute.find_aggregate(_AGGREGATE)
                 or compute.create_aggregate(name=_AGGREGATE))
    compute.set_aggregate_metadata(
        aggregate, {f'trait:{settings.TRAIT}': 'required'})
    for host in cloud.compute_hosts:
        if host.name not in (aggregate.hosts or ()):
            compute.add_host_to_aggregate(aggregate, host.name)


def _public(admin: typing.Any) -> None:
    network = admin.network
    if network.find_network('public'):
        return
    public = network.create_network(
        name='public', is_router_external=True, is_default=True,
        provider_network_type='flat', provider_physical_network='public')
    network.create_subnet(
        name='public-v4', network_id=public.id, ip_version=4,
        cidr=settings.PUBLIC_CIDR, gateway_ip=settings.PUBLIC_GATEWAY,
        is_dhcp_enabled=False)


def _default_pool(admin: typing.Any) -> None:
    """What a project's subnet is made of by a server's network "auto"."""
    network = admin.network
    if not network.find_subnet_pool('default'):
        network.create_subnet_pool(
            name='default', is_default=True, is_shared=True,
            prefixes=[settings.AUTOMATIC_CIDR], default_prefix_length=24)


def _private(demo: typing.Any) -> None:
    network = demo.network
    if network.find_router('router'):
        return
    private = (network.find_network('private')
               or network.create_network(name='private'))
    subnets = [
        network.find_subnet(name) or network.create_subnet(
            name=name, network_id=private.id, cidr=cidr, gateway_ip=gateway,
            ip_version=6 if ':' in cidr else 4)
        for name, (cidr, gateway) in settings.PRIVATE.items()]
    public = network.find_network('public')
    router = network.create_router(
        name='router', external_gateway_info={'network_id': public.id})
    for subnet in subnets:
        network.add_interface_to_router(router, subnet_id=subnet.id)


def _rules(user: typing.Any) -> None:
    """Let ping, ssh and http in, in the user's default security group."""
    network = user.network
    project = user.current_project_id
    group = next(network.security_groups(name='default', project_id=project))
    known = {(rule.ether_type, rule.protocol, rule.port_range_min)
             for rule in network.security_group_rules(
                 security_group_id=group.id, direction='ingress')}
    for family, icmp in (('IPv4', 'icmp'), ('IPv6', 'ipv6-icmp')):
        for protocol, port in ((icmp, None), ('tcp', 22), ('tcp', 80)):
            if (family, protocol, port) not in known:
                network.create_security_group_rule(
                    security_group_id=group.id, direction='ingress',
                    ether_type=family, protocol=protocol,
                    port_range_min=port, port_range_max=port)


def _volume_types(admin: typing.Any, cloud: settings.Settings) -> None:
    volumes = admin.block_storage
    known = {each.name for each in volumes.types()}
    backend = {'volume_backend_name': cloud.volumes}
    more: list[dict[str, str]] = [{}, {'multiattach': '<is> True'}]
    for name, specs in zip(settings.VOLUME_TYPES, more, strict=True):
        if name not in known:
            volumes.create_type(name=name, extra_specs=backend | specs)


def _wait(find_missing: typing.Callable[[], set[str]]) -> None:
    """Wait until nothing is missing."""
    deadline = time.monotonic() + 180
    said: set[str] = set()
    while missing := find_missing():
        if missing != said:
            progress.say('waiting for ' + ', '.join(sorted(missing)))
            said = missing
        if time.monotonic() > deadline:
            sys.exit(f'not ready: {", ".join(sorted(missing))}')
        time.sleep(0.5)


def _missing_agents(admin: typing.Any, cloud: settings.Settings) -> set[str]:
    everywhere, central = _AGENTS[cloud.network]
    wanted = {f'{name} of {host.name}' for host in cloud.all_hosts
              for name in everywhere}
    wanted |= {f'{name} of {cloud.controller.name}' for name in central}
    return wanted - {f'{agent.binary} of {agent.host}'
                     for agent in admin.network.agents() if agent.is_alive}


def _missing_hosts(admin: typing.Any, cloud: settings.Settings) -> set[str]:
    """What a server needs: services up, the hosts mapped to their cell."""
    names = [host.name for host in cloud.nova_hosts]
    wanted = {f'{kind} of {name}' for name in names
              for kind in ('nova-compute', 'hypervisor', 'resource provider')}
    wanted |= {f'{kind} of {cloud.controller.name}'
               for kind in ('nova-conductor', 'nova-scheduler')}
    found = {f'{service.binary} of {service.host}'
             for service in admin.compute.services() if service.state == 'up'}
    found |= {f'hypervisor of {each.name}'
              for each in admin.compute.hypervisors()}
    found |= {f'resource provider of {each.name}'
              for each in admin.placement.resource_providers()}
    return wanted - found


def _missing_pools(admin: typing.Any, cloud: settings.Settings) -> set[str]:
    """What a volume needs: the scheduler knows of the back end."""
    host, backend = cloud.controller.name, cloud.volumes
    return {f'{host}@{backend}#{backend}'} - {
        pool.name for pool in admin.block_storage.backend_pools()}


def _missing_ports(admin: typing.Any) -> set[str]:
    """The agents' own ports, which they plug a while later."""
    wanted = {'network:dhcp', 'network:router_interface',
              'network:router_gateway'}
    ports = [port for port in admin.network.ports()
             if port.device_owner in wanted]
    return wanted - {port.device_owner for port in ports} | {
        port.device_owner for port in ports if port.status != 'ACTIVE'}


if __name__ == '__main__':
    inside.run(main)
