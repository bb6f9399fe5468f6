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

"""Encrypted volumes: the host has them as plain devices, by dm-crypt.

The key is in Barbican, or wherever ``[key_manager]`` says, and is read as the
user whose request it is. It is kept nowhere here but in the kernel.
"""

import os
import typing

from castellan import key_manager
import nova.conf
from nova import exception
from nova import utils
from nova.volume import cinder
from os_brick import encryptors

from nova_docker.spec import volumes


def metadata(context: typing.Any, volume_id: str,
             connection: volumes.Json) -> volumes.Json:
    """How a volume is encrypted, as Cinder has it; empty when it is not."""
    found: volumes.Json = encryptors.get_encryption_metadata(
        context, cinder.API(), volume_id, connection)
    return found


def attach(context: typing.Any, volume: volumes.Volume) -> None:
    """Have the path of a connected volume lead to its plain device.

    :raises nova.exception.VolumeEncryptionNotSupported: os-brick has made no
        link of its own, which it could lead elsewhere
    :raises Exception: the key is not there, or os-brick fails
    """
    if not os.path.islink((volume.info or {})['path']):
        raise exception.VolumeEncryptionNotSupported(
            volume_id=volume.id,
            volume_type=volume.connection['driver_volume_type'])
    _encryptor(volume).attach_volume(context, **volume.encryption)


def detach(volume: volumes.Volume) -> None:
    """Close the plain device of a volume (idempotent)."""
    _encryptor(volume).detach_volume(**volume.encryption)


def extend(context: typing.Any, volume: volumes.Volume) -> None:
    """Have the plain device be as large as the volume."""
    _encryptor(volume).extend_volume(context, **volume.encryption)


def _encryptor(volume: volumes.Volume) -> typing.Any:
    data = {**volume.connection['data'],
            'device_path': (volume.info or {})['path']}
    return encryptors.get_volume_encryptor(
        root_helper=utils.get_root_helper(),
        connection_info={**volume.connection, 'data': data},
        keymgr=key_manager.API(nova.conf.CONF), **volume.encryption)
