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

"""The registries that the operator allows, and how to reach them.

``[docker]allowed_registries`` says which; a file says more about those that
need it. It is read at each use, so that a new password needs no restart.
"""

import collections.abc
import configparser
import dataclasses
import os
import re
import ssl
import stat

from nova_docker.image import tar
from nova_docker.spec import reference

#: What a token is made of (RFC 6750).
TOKEN = re.compile(r'[A-Za-z0-9._~+/-]+=*')

#: Docker Hub answers its API elsewhere than its name says.
_API_HOSTS = {reference.DOCKER_HUB: 'registry-1.docker.io'}
_KEYS = frozenset(('username', 'password', 'token', 'ca_file', 'hosts'))
_SECRETS = frozenset(('password', 'token'))


class Misconfigured(Exception):
    """The file about registries is wrong; the text is for the operator."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What the operator says about registries.

    :ivar allowed: ``host[:port]``, or ``host[:port]/path`` for a part of one
    :ivar file: path of the file about them; None for no file
    :ivar signed_only: images without a verified signature are refused
    """

    allowed: tuple[str, ...] = ()
    file: str | None = None
    signed_only: bool = False


@dataclasses.dataclass(frozen=True)
class Registry:
    """How to reach a registry.

    :ivar name: as references have it
    :ivar url: of its API
    :ivar hosts: that are spoken to: its own, and those that it may refer to
    :ivar ca_file: file or directory with the CAs of all these hosts
    :ivar username: with the password, for the registry and to get tokens;
        None for anonymous access
    :ivar token: for the registry, as it is; None for none
    """

    name: str
    url: str
    hosts: frozenset[reference.Host]
    ca_file: str
    username: str | None = None
    password: str | None = dataclasses.field(default=None, repr=False)
    token: str | None = dataclasses.field(default=None, repr=False)


def find(options: Options, image: reference.Reference) -> Registry:
    """How to reach the registry of an image.

    :raises nova_docker.image.tar.Refused: the operator does not allow it
    :raises Misconfigured: the file cannot be used
    """
    if not options.allowed:
        raise tar.Refused('this cloud takes no images from registries')
    if not any(f'{image.name}/'.startswith(f'{each}/')
               for each in options.allowed):
        raise tar.Refused(f'this cloud takes no images from {image.name}')
    if options.signed_only:
        raise tar.Refused('this cloud takes only images whose signature '
                          'Glance has, and none from registries')
    keys = _read(options.file, image.registry) if options.file else {}
    api = _API_HOSTS.get(image.registry, image.registry)
    try:
        hosts = frozenset(map(reference.host, (
            api, *keys.get('hosts', '').replace(',', ' ').split())))
    except ValueError as error:
        raise Misconfigured(
            f'{options.file}: [{image.registry}] hosts: {error}') from None
    return Registry(
        image.registry, f'https://{api}', hosts,
        keys.get('ca_file') or _system_cas(), keys.get('username'),
        keys.get('password'), keys.get('token'))


def _read(path: str, section: str) -> collections.abc.Mapping[str, str]:
    """The keys of a section of the file; none when there is no section."""
    parser = configparser.ConfigParser(
        delimiters=('=',), default_section='', interpolation=None)
    try:
        with open(path, encoding='utf-8') as file:
            open_to_all = os.fstat(file.fileno()).st_mode & stat.S_IRWXO
            parser.read_file(file)
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f'{path} cannot be read: {error}') from None
    except configparser.Error as error:
        # Its text may quote a password.
        raise Misconfigured(f'{path} is malformed: {type(error).__name__} in '
                            f'line {_line(error)}') from None
    for name, keys in parser.items():
        if unknown := keys.keys() - _KEYS:
            raise Misconfigured(f'{path}: [{name}] has the unknown key '
                                + ', '.join(sorted(unknown)))
        if open_to_all and keys.keys() & _SECRETS:
            raise Misconfigured(f'{path} has passwords and must not be '
                                'accessible to others: chmod o-rwx')
        if not TOKEN.fullmatch(keys.get('token', 'x')):
            raise Misconfigured(f'{path}: [{name}] has no proper token')
        if ('username' in keys) != ('password' in keys):
            raise Misconfigured(f'{path}: [{name}] must have username and '
                                'password or neither')
    return parser[section] if parser.has_section(section) else {}


def _line(error: configparser.Error) -> int:
    """Number of the line that is wrong; some errors have a list of them."""
    lines: list[tuple[int, str]] = getattr(error, 'errors', [])
    return lines[0][0] if lines else int(getattr(error, 'lineno', None) or 0)


def _system_cas() -> str:
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or paths.openssl_cafile
