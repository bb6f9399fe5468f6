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

"""What runs in the container, and in what: command, environment, tmpfs...

Sources: the image property ``os_command_line`` of Nova, the ``docker_*`` image
properties, and ``docker_env_*`` of the server's metadata. Nova keeps the image
properties in the instance's system metadata as ``image_docker_*``, cut to 255
characters (nova.utils, safe_truncate), so a value of that length is refused
rather than run in half.
"""

import collections.abc
import json
import re
import shlex
import typing

from oslo_utils import strutils

from nova_docker.spec import tmpfs

_PREFIX = 'docker_'
_IN_SYSTEM_METADATA = f'image_{_PREFIX}'
_CUT_AT = 255
_IN_METADATA = 'docker_env_'
_ENV = 'env_'
_CONSOLE = 'console'
_NANOSECONDS = 10**9
_ENV_NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_]*')
_NUMBER = re.compile(r'[0-9]{1,5}')
_Check = collections.abc.Callable[[str, str], typing.Any]
_Section = collections.abc.Callable[[str, str], dict[str, typing.Any]]
_SIGNAL = re.compile(r'(SIG)?[A-Z]+[A-Z0-9]*([+-][0-9]+)?|[0-9]{1,2}')


def properties(system_metadata: collections.abc.Mapping[str, str]
               ) -> dict[str, str]:
    """The docker_* image properties of an instance, without that prefix.

    That of docker_image_ref may be cut: Glance is asked for it again.

    :param system_metadata: nova.objects.Instance.system_metadata
    :raises ValueError: a value may have been cut by Nova
    """
    found = {}
    for key, value in system_metadata.items():
        if not key.startswith(_IN_SYSTEM_METADATA):
            continue
        name = key.removeprefix(_IN_SYSTEM_METADATA)
        if len(value.encode()) >= _CUT_AT and name != 'image_ref':
            raise ValueError(
                f'the image property docker_{name} is longer than '
                f'{_CUT_AT - 1} bytes')
        found[name] = value
    return found


def of_glance(properties: collections.abc.Mapping[str, typing.Any]
              ) -> dict[str, str]:
    """The docker_* ones of an image's properties, without that prefix.

    :param properties: as Glance has them
    """
    return {key.removeprefix(_PREFIX): str(value)
            for key, value in properties.items() if key.startswith(_PREFIX)}


def config(image_properties: collections.abc.Mapping[str, str],
           os_command_line: str | None,
           metadata: collections.abc.Mapping[str, str] | None = None,
           docker: collections.abc.Mapping[str, typing.Any] | None = None
           ) -> dict[str, typing.Any]:
    """The keys of the create body that say what to run.

    Keys that no property sets are left out: the engine takes the image's.

    :param image_properties: as :func:`properties` returns them
    :param metadata: of :func:`variables`
    :param docker: of :func:`nova_docker.spec.extra_specs.parse`
    :raises ValueError: a property is unknown or malformed
    """
    body: dict[str, typing.Any] = {}
    if os_command_line:
        body['Cmd'] = _command('os_command_line', os_command_line)
    environment: dict[str, str] = {}
    for name, value in sorted(image_properties.items()):
        if name.startswith(_ENV):
            environment |= _variable(name.removeprefix(_ENV), value)
        elif name in _CONFIG:
            body |= _CONFIG[name](f'docker_{name}', value)
        elif name in _HEALTHCHECK:
            key, check = _HEALTHCHECK[name]
            body.setdefault('Healthcheck', {})[key] = check(
                f'docker_{name}', value)
        elif name not in _HOST_CONFIG and name not in _ELSEWHERE:
            raise ValueError(f'the image property docker_{name} is unknown')
    environment |= metadata or {}
    if environment:
        body['Env'] = [f'{name}={value}'
                       for name, value in sorted(environment.items())]
    if docker and 'stop_timeout' in docker:
        # For those who stop it and are not Nova, as the engine at its end.
        body['StopTimeout'] = docker['stop_timeout']
    return body


def console(image_properties: collections.abc.Mapping[str, str]
            ) -> list[str]:
    """The command of the console; empty where it is the terminal.

    :param image_properties: as :func:`properties` returns them
    :raises ValueError: the property is malformed
    """
    value = image_properties.get(_CONSOLE)
    return _command(f'{_PREFIX}{_CONSOLE}', value) if value else []


def host_config(image_properties: collections.abc.Mapping[str, str],
                docker: collections.abc.Mapping[str, typing.Any] | None = None
                ) -> dict[str, typing.Any]:
    """The keys of HostConfig that image properties and flavors may set.

    :param image_properties: as :func:`properties` returns them
    :param docker: of :func:`nova_docker.spec.extra_specs.parse`, which wins
    :raises ValueError: a property is malformed
    """
    body: dict[str, typing.Any] = {}
    for name, key in _HOST_CONFIG.items():
        if name in image_properties:
            body |= key(f'docker_{name}', image_properties[name])
    if docker and docker.get('init'):
        body['Init'] = True
    if docker and 'tmpfs' in docker:
        body['Tmpfs'] = body.get('Tmpfs', {}) | docker['tmpfs']
    return body


def variables(metadata: collections.abc.Mapping[str, str]) -> dict[str, str]:
    """The environment variables in a server's metadata.

    :param metadata: nova.objects.Instance.metadata
    :raises ValueError: a name or value is none of a variable
    """
    found: dict[str, str] = {}
    for key, value in metadata.items():
        if key.startswith(_IN_METADATA):
            found |= _variable(key.removeprefix(_IN_METADATA), value)
    return found


def _command(name: str, value: str) -> list[str]:
    """A JSON list of strings, or words quoted as in a shell."""
    try:
        words = (json.loads(value) if value.lstrip().startswith('[')
                 else shlex.split(value))
    except ValueError as error:
        raise ValueError(
            f'the image property {name} is neither words nor a JSON list of '
            f'strings: {error}') from None
    if not words or not all(isinstance(word, str) for word in words):
        raise ValueError(
            f'the image property {name} must name a command: words, or a '
            'JSON list of strings')
    return typing.cast(list[str], words)


def _variable(name: str, value: str) -> dict[str, str]:
    if not _ENV_NAME.fullmatch(name):
        raise ValueError(
            f'docker_env_{name} is no name for an environment variable')
    if '\0' in value:
        raise ValueError(f'the value of docker_env_{name} has a NUL in it')
    return {name: value}


def boolean(name: str, value: str) -> bool:
    """The value of a boolean image property.

    :raises ValueError: it is not one
    """
    try:
        return strutils.bool_from_string(value, strict=True)
    except ValueError:
        raise ValueError(
            f'the image property {name}={value!r} is not a boolean') from None


def _tty(name: str, value: str) -> dict[str, typing.Any]:
    """A terminal for the command; stdin stays open, else a shell ends."""
    tty = boolean(name, value)
    return {'Tty': tty, 'OpenStdin': tty}


def _stop_signal(name: str, value: str) -> dict[str, typing.Any]:
    if not _SIGNAL.fullmatch(value):
        raise ValueError(
            f'the image property {name}={value!r} is not a signal')
    return {'StopSignal': value}


def _workdir(name: str, value: str) -> dict[str, typing.Any]:
    if not value.startswith('/'):
        raise ValueError(
            f'the image property {name}={value!r} is not an absolute path')
    return {'WorkingDir': value}


def _health_command(name: str, value: str) -> list[str]:
    if value == 'none':
        return ['NONE']
    return ['CMD', *_command(name, value)]


def _number(factor: int) -> _Check:
    def number(name: str, value: str) -> int:
        if not _NUMBER.fullmatch(value) or int(value) < 1:
            raise ValueError(
                f'the image property {name}={value!r} is not a whole number '
                'from 1 to 99999')
        return int(value) * factor
    return number


def _image_type(name: str, value: str) -> dict[str, typing.Any]:
    """Nothing of the create body: it says how the image is read."""
    if value != 'rootfs':
        raise ValueError(f'the image property {name}={value!r} is not rootfs')
    return {}


def _tmpfs(name: str, value: str) -> dict[str, typing.Any]:
    try:
        return {'Tmpfs': tmpfs.parse(value)}
    except ValueError as error:
        raise ValueError(f'the image property {name} {error}') from None


#: Keys of the create body.
_CONFIG: dict[str, _Section] = {
    'command': lambda name, value: {'Cmd': _command(name, value)},
    'entrypoint': lambda name, value: {'Entrypoint': _command(name, value)},
    'user': lambda name, value: {'User': value},
    'workdir': _workdir,
    'tty': _tty,
    'stop_signal': _stop_signal,
    'image_type': _image_type,
}

#: Keys of Healthcheck; those that are not set are the image's own.
_HEALTHCHECK: dict[str, tuple[str, _Check]] = {
    'healthcheck': ('Test', _health_command),
    'healthcheck_interval': ('Interval', _number(_NANOSECONDS)),
    'healthcheck_timeout': ('Timeout', _number(_NANOSECONDS)),
    'healthcheck_start_period': ('StartPeriod', _number(_NANOSECONDS)),
    'healthcheck_retries': ('Retries', _number(1)),
}

#: Keys of HostConfig.
_HOST_CONFIG: dict[str, _Section] = {
    'init': lambda name, value: {'Init': boolean(name, value)},
    'tmpfs': _tmpfs,
}

#: What others read, or :func:`console`: where the image is (image.remote),
#: nova_docker.metadata.guest, nova_docker.spec.system, nova_docker.spec.dhcp
#: and nova_docker.spec.volumes.
_ELSEWHERE = frozenset(('image_ref', _CONSOLE, 'ssh_user', 'system_container',
                        'dhcp', 'volume_mount_path'))
