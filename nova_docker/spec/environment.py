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

"""What runs in the container: command, environment, user, terminal.

Sources: the image property ``os_command_line`` of Nova and the ``docker_*``
image properties. Nova keeps the latter in the instance's system metadata as
``image_docker_*``, cut to 255 characters (nova.utils, safe_truncate), so a
value of that length is refused rather than run in half.
"""

import collections.abc
import json
import re
import shlex
import typing

from oslo_utils import strutils

_IN_SYSTEM_METADATA = 'image_docker_'
_CUT_AT = 255
_ENV = 'env_'
#: What others read: how the image gets into the engine
#: (nova_docker.image.load), and nova_docker.spec.system.
_OF_OTHERS = ('image_type', 'image_ref', 'system_container')
_ENV_NAME = re.compile(r'[A-Za-z_][A-Za-z0-9_]*')
_SIGNAL = re.compile(r'(SIG)?[A-Z]+[A-Z0-9]*([+-][0-9]+)?|[0-9]{1,2}')


def properties(system_metadata: collections.abc.Mapping[str, str]
               ) -> dict[str, str]:
    """The docker_* image properties of an instance, without that prefix.

    :param system_metadata: nova.objects.Instance.system_metadata
    :raises ValueError: a value may have been cut by Nova
    """
    found = {}
    for key, value in system_metadata.items():
        if not key.startswith(_IN_SYSTEM_METADATA):
            continue
        name = key.removeprefix(_IN_SYSTEM_METADATA)
        if len(value.encode()) >= _CUT_AT:
            raise ValueError(
                f'the image property docker_{name} is longer than '
                f'{_CUT_AT - 1} bytes')
        found[name] = value
    return found


def config(image_properties: collections.abc.Mapping[str, str],
           os_command_line: str | None) -> dict[str, typing.Any]:
    """The keys of the create body that say what to run.

    Keys that no property sets are left out: the engine takes the image's.

    :param image_properties: as :func:`properties` returns them
    :raises ValueError: a property is unknown or malformed
    """
    body: dict[str, typing.Any] = {}
    if os_command_line:
        body['Cmd'] = _command('os_command_line', os_command_line)
    environment = []
    for name, value in sorted(image_properties.items()):
        if name in _OF_OTHERS:
            continue
        if name.startswith(_ENV):
            environment.append(_variable(name.removeprefix(_ENV), value))
        elif name in _PROPERTIES:
            body |= _PROPERTIES[name](f'docker_{name}', value)
        else:
            raise ValueError(f'the image property docker_{name} is unknown')
    if environment:
        body['Env'] = environment
    return body


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


def _variable(name: str, value: str) -> str:
    if not _ENV_NAME.fullmatch(name):
        raise ValueError(
            f'docker_env_{name} is no name for an environment variable')
    return f'{name}={value}'


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


_PROPERTIES: dict[
    str, collections.abc.Callable[[str, str], dict[str, typing.Any]]] = {
    'command': lambda name, value: {'Cmd': _command(name, value)},
    'entrypoint': lambda name, value: {'Entrypoint': _command(name, value)},
    'user': lambda name, value: {'User': value},
    'workdir': _workdir,
    'tty': _tty,
    'stop_signal': _stop_signal,
}
