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

"""What of a flavor a host has to allow, or to have. Pure.

A flavor is the operator's, and gives a container what its image can never
ask for. What gives it power over its host needs that host's word, too.
"""

import collections.abc
import dataclasses
import fnmatch
import typing

from nova_docker.spec import bandwidth
from nova_docker.spec import paths

#: Of a container by default, as the engine has it, and what counts within its
#: own namespaces or its memory limit. Any other one gives root of a container
#: power over the host.
_HARMLESS = frozenset((
    'AUDIT_WRITE', 'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'IPC_LOCK',
    'KILL', 'MKNOD', 'NET_ADMIN', 'NET_BIND_SERVICE', 'NET_BROADCAST',
    'NET_RAW', 'SETFCAP', 'SETGID', 'SETPCAP', 'SETUID', 'SYS_CHROOT'))
#: Source: capabilities(7).
CAPABILITIES = _HARMLESS | {
    'AUDIT_CONTROL', 'AUDIT_READ', 'BLOCK_SUSPEND', 'BPF',
    'CHECKPOINT_RESTORE', 'DAC_READ_SEARCH', 'IPC_OWNER', 'LEASE',
    'LINUX_IMMUTABLE', 'MAC_ADMIN', 'MAC_OVERRIDE', 'PERFMON', 'SYSLOG',
    'SYS_ADMIN', 'SYS_BOOT', 'SYS_MODULE', 'SYS_NICE', 'SYS_PACCT',
    'SYS_PTRACE', 'SYS_RAWIO', 'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG',
    'WAKE_ALARM'}
#: With these a process takes the CPU from all others of the host.
_PRIORITY = ('nice', 'rtprio')
#: Not those that the kernel ignores (locks, rss) or counts by user (msgqueue,
#: nproc, sigpending): users of different instances are the same.
ULIMITS = ('core', 'cpu', 'data', 'fsize', 'memlock', 'nice', 'nofile',
           'rtprio', 'rttime', 'stack')
_UNCONFINED = 'unconfined'
_OF_ENGINE = frozenset(('runtime', 'userns', 'privileged', 'init',
                        'apparmor_profile', 'seccomp_profile',
                        'security_opt'))


@dataclasses.dataclass(frozen=True)
class Device:
    """A device of the host that an instance has.

    :ivar path: on the host
    :ivar inside: in the instance
    :ivar access: some of r, w and m (mknod)
    """

    path: str
    inside: str
    access: str


@dataclasses.dataclass(frozen=True)
class Allowed:
    """What a host allows to flavors.

    :ivar privileged: power over itself
    :ivar sysctls: patterns of names, as of fnmatch
    :ivar devices: patterns of paths
    :ivar apparmor: patterns of names of profiles
    """

    privileged: bool
    sysctls: tuple[str, ...]
    devices: tuple[str, ...]
    apparmor: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Engine:
    """What the engine of a host has.

    :ivar security: names of its security options
    :ivar init: whether there is a program for the first process
    """

    runtimes: frozenset[str]
    security: frozenset[str]
    init: bool


def is_device(path: str) -> bool:
    """Whether a path can be one of a device."""
    return paths.is_plain(path) and path.startswith('/dev/')


def check(docker: collections.abc.Mapping[str, typing.Any],
          limits: bandwidth.Limits, is_system: bool) -> None:
    """See that a flavor does not contradict itself or its image.

    :param docker: of :func:`nova_docker.spec.extra_specs.parse`
    :param limits: of the flavor, too
    :param is_system: whether the instance is a system container
    :raises ValueError: it does
    """
    if docker.get('init') and is_system:
        raise ValueError('docker:init and the image property '
                         'docker_system_container exclude each other')
    for name in ('privileged', 'nesting'):
        _check_limits(docker.get(name), f'docker:{name}', limits)
    _check_limits('NET_ADMIN' in docker.get('cap_add', ()),
                  'docker:cap_add=NET_ADMIN', limits)


def _check_limits(has: typing.Any, name: str, limits: bandwidth.Limits
                  ) -> None:
    if has and limits != bandwidth.Limits():
        # They are on the instance's own end of a port.
        raise ValueError(f'with {name} an instance could lift the limits of '
                         'the flavor (quota:vif_*); use a QoS policy of '
                         'Neutron')


def asks_engine(docker: collections.abc.Mapping[str, typing.Any]) -> bool:
    """Whether :func:`of_engine` could have anything against a flavor."""
    return not _OF_ENGINE.isdisjoint(docker)


def powers(docker: collections.abc.Mapping[str, typing.Any]
           ) -> collections.abc.Iterator[str]:
    """What of a flavor gives an instance power over its host.

    :param docker: of :func:`nova_docker.spec.extra_specs.parse`
    """
    for name in ('nesting', 'privileged'):
        if docker.get(name):
            yield f'docker:{name}'
    for capability in docker.get('cap_add', ()):
        if capability not in _HARMLESS:
            yield f'docker:cap_add={capability}'
    for option in docker.get('security_opt', ()):
        # Types of SELinux, as spc_t, may confine nothing.
        if option.startswith(('label=', 'systempaths=')):
            yield f'docker:security_opt={option}'
    for name in ('apparmor_profile', 'seccomp_profile'):
        if docker.get(name) == _UNCONFINED:
            yield f'docker:{name}={_UNCONFINED}'
    for name in _PRIORITY:
        if f'ulimit_{name}' in docker:
            yield f'docker:ulimit_{name}'


def of_host(docker: collections.abc.Mapping[str, typing.Any],
            allowed: Allowed) -> collections.abc.Iterator[str]:
    """What of a flavor the configuration of a host does not allow.

    :param docker: of :func:`nova_docker.spec.extra_specs.parse`
    """
    if not allowed.privileged:
        for power in powers(docker):
            yield f'{power} needs [docker]allow_privileged'
    for name in docker:
        sysctl = name.removeprefix('sysctl_')
        if sysctl != name and not _matches(sysctl, allowed.sysctls):
            yield f'docker:{name} is not within [docker]allowed_sysctls'
    for device in docker.get('devices', ()):
        if not _matches(device.path, allowed.devices):
            yield (f'the device {device.path} is not within '
                   '[docker]allowed_devices')
    # Those of programs of the host need not be in force.
    profile = docker.get('apparmor_profile', _UNCONFINED)
    if profile != _UNCONFINED and not _matches(profile, allowed.apparmor):
        yield (f'docker:apparmor_profile={profile} is not within '
               '[docker]allowed_apparmor_profiles')


def of_engine(docker: collections.abc.Mapping[str, typing.Any],
              engine: Engine) -> collections.abc.Iterator[str]:
    """What of a flavor the engine of a host does not have.

    Of most it would say nothing, and go without.

    :param docker: of :func:`nova_docker.spec.extra_specs.parse`
    """
    if 'runtime' in docker and docker['runtime'] not in engine.runtimes:
        yield f'its engine has no runtime {docker["runtime"]}'
    if 'userns' in docker and 'userns' not in engine.security:
        yield 'its engine does not remap users'
    if docker.get('privileged') and 'userns' in engine.security:
        yield 'its engine remaps users, and so runs nothing privileged'
    if docker.get('init') and not engine.init:
        yield 'its engine has no docker-init'
    if (docker.get('apparmor_profile', _UNCONFINED) != _UNCONFINED and
            'apparmor' not in engine.security):
        yield 'it has no AppArmor'
    if 'seccomp_profile' in docker and 'seccomp' not in engine.security:
        yield 'it has no seccomp'
    if ('selinux' not in engine.security and any(
            option.startswith('label=')
            for option in docker.get('security_opt', ()))):
        yield 'it has no SELinux'


def _matches(name: str, patterns: collections.abc.Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
