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

"""What keeps an instance inside its container.

Source: HostConfig of POST /containers/create. doc/source/admin/security.rst
says line by line what each means to a tenant.
"""

import collections.abc
import typing

#: What a container that has all power leaves nothing to say of.
_EXCLUDED = ('cap_add', 'cap_drop', 'security_opt', 'seccomp_profile',
             'apparmor_profile', 'nesting')
#: The engine's client makes this of systempaths=unconfined.
_SYSTEM_PATHS: dict[str, typing.Any] = {
    'MaskedPaths': [], 'ReadonlyPaths': []}
#: What an engine in a container needs: to mount, to make namespaces and device
#: nodes, to set up networks, and to enter what runs as another user.
_NESTING_CAPABILITIES = ('MKNOD', 'NET_ADMIN', 'SYS_ADMIN', 'SYS_PTRACE')
#: The engine's own profiles forbid mounts, and keyrings for the containers.
_NESTING_PROFILES = {'seccomp_profile': 'unconfined',
                     'apparmor_profile': 'unconfined'}
#: As the engine's own, with all of /proc/sys but net, which is of the network
#: namespace: an init would set the kernel of the host up.
_NESTING_PATHS: dict[str, typing.Any] = {'ReadonlyPaths': [
    '/proc/bus', '/proc/fs', '/proc/irq', '/proc/sysrq-trigger',
    *(f'/proc/sys/{name}' for name in (
        'abi', 'crypto', 'debug', 'dev', 'fs', 'kernel', 'sunrpc', 'user',
        'vm', 'xen'))]}


def host_config() -> dict[str, typing.Any]:
    """HostConfig of the default isolation.

    Only what the flavor says (:func:`of_flavor`) differs between instances.

    The engine's own defaults that are relied upon are written out where the
    API lets them be, so that an engine configured otherwise changes nothing.
    NET_RAW stays: a guest may send what it likes, as a VM may, and Neutron's
    port security drops what is not its own. MKNOD goes: with it a device node
    made inside meets only the device cgroup.
    """
    return {
        'Privileged': False,
        **capabilities(raw_sockets=True, net_admin=False),
        'SecurityOpt': options(new_privileges=False),
        'NetworkMode': 'none',
        'IpcMode': 'private',
        'PidMode': '',
        'UTSMode': '',
        'CgroupnsMode': 'private',
        'PublishAllPorts': False,
    }


def of_flavor(docker: collections.abc.Mapping[str, typing.Any],
              raw_sockets: bool, net_admin: bool, new_privileges: bool,
              seccomp: str | None = None) -> dict[str, typing.Any]:
    """HostConfig of what a flavor says of the isolation.

    :param docker: of :func:`nova_docker.spec.extra_specs.parse`
    :param raw_sockets: as of :func:`capabilities`
    :param net_admin: as of :func:`capabilities`
    :param new_privileges: as of :func:`options`
    :param seccomp: the profile that it names, as JSON
    :raises ValueError: it contradicts itself
    """
    if docker.get('privileged'):
        config = _privileged(docker)
    elif docker.get('nesting'):
        config = _NESTING_PATHS | capabilities(
            raw_sockets, net_admin,
            {*_NESTING_CAPABILITIES, *docker.get('cap_add', ())},
            docker.get('cap_drop', ())) | {'SecurityOpt': options(
                True, {**_NESTING_PROFILES, **docker}, seccomp)}
    else:
        config = capabilities(
            raw_sockets, net_admin, docker.get('cap_add', ()),
            docker.get('cap_drop', ())) | {
                'SecurityOpt': options(new_privileges, docker, seccomp)}
    if 'systempaths=unconfined' in docker.get('security_opt', ()):
        config |= _SYSTEM_PATHS
    if 'runtime' in docker:
        config['Runtime'] = docker['runtime']
    if docker.get('read_only_rootfs'):
        config['ReadonlyRootfs'] = True
    if 'devices' in docker:
        config['Devices'] = [
            {'PathOnHost': device.path, 'PathInContainer': device.inside,
             'CgroupPermissions': device.access}
            for device in docker['devices']]
    return config


def _privileged(docker: collections.abc.Mapping[str, typing.Any]
                ) -> dict[str, typing.Any]:
    """HostConfig of a container that is not to be held."""
    for other in _EXCLUDED:
        if docker.get(other):
            raise ValueError('docker:privileged and docker:'
                             f'{other} exclude each other')
    return {'Privileged': True, 'CapAdd': [], 'CapDrop': [],
            'SecurityOpt': options(True)}


def capabilities(raw_sockets: bool, net_admin: bool,
                 add: collections.abc.Iterable[str] = (),
                 drop: collections.abc.Iterable[str] = ()
                 ) -> dict[str, typing.Any]:
    """HostConfig of the capabilities.

    :param raw_sockets: whether there may be packet and raw sockets. A packet
        socket can pass by the queue that limits what an interface sends
        (PACKET_QDISC_BYPASS).
    :param net_admin: whether the instance sets up its own interfaces; it has
        its own network namespace, and can reach no other
    :param add: more, of the flavor
    :param drop: others, of the flavor
    :raises ValueError: one is added and dropped
    """
    added = {*add, *(('NET_ADMIN',) if net_admin else ())}
    dropped = {*drop, *(() if raw_sockets else ('NET_RAW',))}
    if both := added & dropped:
        raise ValueError(f'the capability {min(both)} is needed and dropped')
    return {'CapDrop': sorted(dropped | {'MKNOD'} - added),
            'CapAdd': sorted(added)}


def options(new_privileges: bool,
            docker: collections.abc.Mapping[str, typing.Any] | None = None,
            seccomp: str | None = None) -> list[str]:
    """SecurityOpt.

    :param new_privileges: whether set-user-ID programs such as sudo work,
        where the flavor does not say
    :param docker: of :func:`nova_docker.spec.extra_specs.parse`
    :param seccomp: the profile that the flavor names, as JSON
    """
    known = docker or {}
    said = {'no-new-privileges': str(not new_privileges).lower()}
    found = []
    for option in known.get('security_opt', ()):
        name, colon, value = option.partition(':')
        if name in said:
            said[name] = value or 'true'
        elif option.startswith('label='):
            found.append(option)
    if 'apparmor_profile' in known:
        found.append(f'apparmor={known["apparmor_profile"]}')
    if 'seccomp_profile' in known:
        found.append(f'seccomp={seccomp or known["seccomp_profile"]}')
    return [*(f'{name}:{value}' for name, value in said.items()), *found]
