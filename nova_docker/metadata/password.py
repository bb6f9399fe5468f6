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

"""Passwords of a server's users."""

import secrets
import string
import threading
import time
import typing

from nova.api.metadata import password as metadata_password
from nova import crypto
from oslo_serialization import base64
from oslo_utils import secretutils

from nova_docker.privsep import inside
from nova_docker.spec import accounts

#: SHA-512: yescrypt is newer than many images.
_METHOD = '$6$'
_SALT = string.ascii_letters + string.digits

_SECONDS_OF_DAY = 86400

#: crypt(3) answers in memory that all threads share, and Python lets others
#: run meanwhile: they would get each other's hash.
_crypt_lock = threading.Lock()

#: Bytes of the largest /etc/shadow that is changed.
_MAX_BYTES = 1 << 20


def hashed(password: str) -> str:
    """What /etc/shadow has of a password.

    :raises ValueError: no program could ask for it
    """
    salt = ''.join(secrets.choice(_SALT) for _ in range(16))
    with _crypt_lock:
        found = ('' if '\0' in password else
                 secretutils.crypt_password(password, _METHOD + salt))
    if not found.startswith(_METHOD):
        raise ValueError('the password is too long or has a NUL in it')
    return found


def today() -> int:
    """The day of a change that /etc/shadow has, since 1970-01-01."""
    return int(time.time()) // _SECONDS_OF_DAY


def user(image_meta: typing.Any) -> str:
    """Whose password Nova sets: root's unless the image says otherwise."""
    return str(image_meta.properties.get('os_admin_user') or 'root')


def change(pid: int, container: str, name: str, new: str) -> None:
    """Change the password of a user of a container that runs.

    No program of the guest has a part in it.

    :param pid: of the container's first process
    :param container: id of the container
    :raises ValueError: the container has no place for it; says why
    :raises OSError: it can't be written
    """
    file = pid, container, 'etc', 'shadow'
    try:
        shadow = inside.read(*file, _MAX_BYTES)
    except FileNotFoundError as error:
        raise ValueError('it has no /etc/shadow') from error
    data = accounts.with_password(shadow, name, hashed(new), today())
    if data is None:
        raise ValueError(f'its /etc/shadow has no {name}')
    if not inside.replace(*file, shadow, data):
        raise ValueError('its /etc/shadow was changed meanwhile')


def keep(instance: typing.Any, password: str) -> None:
    """Let the metadata service hand out the password to the key's owner.

    As Nova's other drivers do: encrypted with the server's key where that is
    an RSA key; ``nova get-password`` decrypts it.
    """
    key = instance.key_data if 'key_data' in instance else None
    if key and key.startswith('ssh-rsa'):
        encrypted = base64.encode_as_text(
            crypto.ssh_encrypt_text(key, password))
        instance.system_metadata.update(
            metadata_password.convert_password(None, encrypted))
        instance.save()
