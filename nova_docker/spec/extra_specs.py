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

"""The flavor extra specs of this driver, ``docker:*``. Pure.

Each has one parser: nova-api refuses with it what the driver would refuse, and
the driver, which may not have been asked then, makes its values of it.
"""

import collections.abc
import dataclasses
import re
import typing

from oslo_utils import strutils

from nova_docker.spec import privileges
from nova_docker.spec import tmpfs

NAMESPACE = 'docker:'
PARAMETER = '{name}'
_ULIMIT = re.compile(r'(-1|[0-9]{1,18})(?::(-1|[0-9]{1,18}))?')
#: Of the engine's options, those that the other extra specs do not have. A
#: level of SELinux has commas of its own.
_SECURITY = re.compile(
    r'no-new-privileges(:true|:false)?|systempaths=unconfined|label=disable|'
    r'label=(user|role|type|level):[\w:.,-]+')
_NEXT = re.compile(r',(?=no-new-privileges|systempaths|label)')
_ACCESS = re.compile(r'r?w?m?')


@dataclasses.dataclass(frozen=True)
class Spec:
    """One extra spec, or all those whose names differ in ``{name}``.

    :ivar description: what it does, and its unit
    :ivar parse: makes of a value what the driver applies; the message of its
        ValueError says what is wrong, and goes on after the name and value
    :ivar schema: what JSON schema can say of the values
    :ivar names: regular expression of ``{name}``
    :ivar known: some names to choose among
    """

    description: str
    parse: collections.abc.Callable[[str], typing.Any]
    schema: collections.abc.Mapping[str, typing.Any]
    names: str = ''
    known: tuple[str, ...] = ()


def _integer(description: str, low: int, high: int) -> Spec:
    def parse(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            raise ValueError('is not an integer') from None
        if not low <= number <= high:
            raise ValueError(f'is not within {low} and {high}')
        return number
    return Spec(description, parse, {
        'type': 'integer', 'minimum': low, 'maximum': high})


def _boolean(description: str) -> Spec:
    def parse(value: str) -> bool:
        try:
            return strutils.bool_from_string(value, strict=True)
        except ValueError:
            raise ValueError('is not a boolean') from None
    return Spec(description, parse, {'type': 'boolean'})


def _text(description: str, pattern: str, names: str = '',
          known: tuple[str, ...] = ()) -> Spec:
    def parse(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f'does not match {pattern}')
        return value
    return Spec(description, parse,
                {'type': 'string', 'pattern': f'^{pattern}$'}, names, known)


def _capabilities(description: str, all_of_them: bool) -> Spec:
    known = privileges.CAPABILITIES | ({'ALL'} if all_of_them else set())

    def parse(value: str) -> tuple[str, ...]:
        words = [word.removeprefix('CAP_') for word in value.split(',')]
        for number, word in enumerate(words):
            if word not in known:
                raise ValueError(f'has {word!r}, which is no capability')
            if word in words[:number]:
                raise ValueError(f'has {word} twice')
        return tuple(words)
    return Spec(description, parse, {'type': 'string'})


def _security(value: str) -> tuple[str, ...]:
    options = _NEXT.split(value)
    for option in options:
        if not _SECURITY.fullmatch(option):
            raise ValueError(f'has {option!r}, which is no security option')
    return tuple(options)


def _ulimit(value: str) -> tuple[int, int]:
    """Soft and hard limit, -1 without limit."""
    match = _ULIMIT.fullmatch(value)
    if match is None:
        raise ValueError('is not SOFT[:HARD], whole numbers or -1')
    soft = int(match[1])
    hard = int(match[2] or soft)
    if hard >= 0 and not 0 <= soft <= hard:
        raise ValueError('has a soft limit above the hard one')
    return soft, hard


def _devices(value: str) -> tuple[privileges.Device, ...]:
    """``PATH[:PATH IN THE SERVER[:ACCESS]]``, separated by commas."""
    devices = []
    for word in value.split(','):
        path, inside, access = (*word.split(':', 2), '', '')[:3]
        device = privileges.Device(path, inside or path, access or 'rw')
        if not all(privileges.is_device(each)
                   for each in (device.path, device.inside)):
            raise ValueError(f'has {word!r}, which is no path below /dev')
        if not _ACCESS.fullmatch(device.access):
            raise ValueError(f'has {word!r}, whose access is not of r, w, m')
        devices.append(device)
    if len({device.inside for device in devices}) < len(devices):
        raise ValueError('has two devices at one path')
    return tuple(devices)


SPECS: dict[str, Spec] = {
    # The kernel has no more process ids than that (kernel.pid_max).
    'docker:pids_limit': _integer(
        'Largest number of processes and threads in the instance. Without '
        'it, the option [docker]pids_limit of the compute host counts.',
        low=16, high=4194304),
    'docker:net_admin': _boolean(
        'Whether images of the property docker_dhcp=true can be used, with '
        'which an instance has the capability NET_ADMIN in its own network '
        'namespace. Without it, they are refused.'),
    'docker:volume_mount_path': _text(
        'Where an instance has the file systems of its volumes mounted, whose '
        'device names are put for {device}. Without it, it has the volumes as '
        'block devices.',
        pattern=r'(/[\w.@+{}-]+)+'),
    'docker:memory_reservation_mb': _integer(
        'MiB of memory below which the kernel takes none from the instance '
        'when the host has little left. At most that of the flavor.',
        low=6, high=2**31 - 1),
    'docker:huge_pages_mb': _integer(
        'MiB of the memory of the flavor that the instance has in huge pages '
        '(hw:mem_page_size); half of it without it.', low=1, high=2**31 - 1),
    'docker:shm_size_mb': _integer(
        'Size of /dev/shm in MiB, which counts as memory; 64 without it.',
        low=1, high=2**31 - 1),
    'docker:oom_score_adj': _integer(
        'How much sooner than others processes of the instance are killed '
        'when the host has no memory left.', low=0, high=1000),
    'docker:ulimit_{name}': Spec(
        'Limit of a process of the instance, SOFT[:HARD], -1 for none: see '
        'getrlimit(2).', _ulimit,
        {'type': 'string', 'pattern': f'^{_ULIMIT.pattern}$'},
        names='|'.join(privileges.ULIMITS), known=privileges.ULIMITS),
    'docker:sysctl_{name}': _text(
        'Value of a setting of the kernel that each instance has for itself. '
        'The host must allow it ([docker]allowed_sysctls).',
        pattern=r'[\w.-]+([ \t][\w.-]+)*',
        # What the engine lets a container have, but for what some kernels
        # let it change for the whole host.
        names=r'kernel\.(?:msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|'
              r'shm_rmid_forced)|fs\.mqueue\.[a-z_]+|'
              r'net(?!\.ipv4\.tcp_allowed_congestion_control$|'
              r'\.netfilter\.nf_conntrack_(?:buckets|expect_max|max)$)'
              r'(?:\.[\w-]+)+',
        known=('fs.mqueue.msg_max', 'kernel.shmmax', 'net.core.somaxconn',
               'net.ipv4.ip_forward', 'net.ipv4.ip_local_port_range',
               'net.ipv4.ip_unprivileged_port_start',
               'net.ipv4.ping_group_range',
               'net.ipv4.tcp_keepalive_time')),
    'docker:init': _boolean(
        'Whether a small init of the engine is the first process, which reaps '
        'orphans and passes signals on, whatever the image says.'),
    'docker:tmpfs': Spec(
        'File systems in memory, PATH[:OPTION,...][,PATH...], beside those of '
        'the image.', tmpfs.parse, {'type': 'string'}),
    'docker:read_only_rootfs': _boolean(
        'Whether the files of the image are read-only. Such an instance gets '
        'neither keys nor files but by its config drive or the metadata.'),
    'docker:stop_timeout': _integer(
        'Seconds for a clean stop, in place of [DEFAULT]shutdown_timeout. The '
        'image property os_shutdown_timeout wins.', low=1, high=3600),
    'docker:log_max_size_mb': _integer(
        'Largest size, in MiB, of one file of the console log, in place of '
        '[docker]log_max_size.', low=1, high=2**20),
    'docker:log_max_files': _integer(
        'Number of files that the console log keeps, in place of '
        '[docker]log_max_files.', low=1, high=1000),
    'docker:runtime': _text(
        'Name of the runtime of the engine that runs the instance.',
        pattern=r'\w[\w.-]*'),
    'docker:userns': _text(
        'With remap, root of the instance must be an unprivileged user of the '
        'host: other hosts refuse it.', pattern=r'remap'),
    'docker:cap_add': _capabilities(
        'Capabilities to add, separated by commas. Most need '
        '[docker]allow_privileged.', all_of_them=False),
    'docker:cap_drop': _capabilities(
        'Capabilities to drop, separated by commas, or ALL.',
        all_of_them=True),
    'docker:security_opt': Spec(
        'Security options of the engine, separated by commas: '
        'no-new-privileges:false, and label=type:NAME and the like, '
        'label=disable and systempaths=unconfined, which need '
        '[docker]allow_privileged.', _security, {'type': 'string'}),
    'docker:seccomp_profile': _text(
        'Name of a seccomp profile in [docker]seccomp_profiles_dir of the '
        'host, or builtin, or unconfined, which needs '
        '[docker]allow_privileged.', pattern=r'\w[\w.-]*'),
    'docker:apparmor_profile': _text(
        'Name of an AppArmor profile that the host has loaded and allows '
        '([docker]allowed_apparmor_profiles), or unconfined, which needs '
        '[docker]allow_privileged.', pattern=r'\w[\w./-]*'),
    'docker:devices': Spec(
        'Devices of the host, PATH[:PATH IN THE INSTANCE[:ACCESS]], separated '
        'by commas. The host must allow each ([docker]allowed_devices).',
        _devices, {'type': 'string'}),
    'docker:nesting': _boolean(
        'Whether the instance can run an engine of its own. It can mount, and '
        'has no device more. Needs [docker]allow_privileged.'),
    'docker:privileged': _boolean(
        'Whether the instance has all devices of the host and all power over '
        'it. Needs [docker]allow_privileged.'),
}


def parse(extra_specs: collections.abc.Mapping[str, str]
          ) -> dict[str, typing.Any]:
    """The docker:* extra specs of a flavor, without that prefix.

    :raises ValueError: one is unknown or has a value that can't be applied
    """
    return {name.removeprefix(NAMESPACE): parse_one(name, value)
            for name, value in sorted(extra_specs.items())
            if name.startswith(NAMESPACE)}


def parse_one(name: str, value: str) -> typing.Any:
    """The value of one extra spec.

    :raises ValueError: it is unknown, or the value can't be applied
    """
    spec = next((spec for known, spec in SPECS.items()
                 if re.fullmatch(_pattern(known, spec), name)), None)
    if spec is None:
        raise ValueError(f'the flavor extra spec {name} is unknown')
    try:
        return spec.parse(value)
    except ValueError as error:
        raise ValueError(f'the flavor extra spec {name}={value[:100]!r} '
                         f'{error}') from None


def _pattern(name: str, spec: Spec) -> str:
    fixed, parameter, _nothing = name.partition(PARAMETER)
    return re.escape(fixed) + (f'({spec.names})' if parameter else '')
