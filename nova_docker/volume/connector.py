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

"""The host's side of a volume: os-brick, which connects and disconnects it.

Source: nova.virt.libvirt.volume, of which each module does the same for one
kind of volume.
"""

import copy
import dataclasses
import typing

from nova import exception
from nova import utils
from os_brick import exception as brick_exception
from os_brick.initiator import connector
from oslo_log import log as logging

from nova_docker.spec import throttle
from nova_docker.spec import volumes

LOG = logging.getLogger(__name__)

#: The kinds of volumes that os-brick makes a block device of. Others are
#: files, which a container cannot have as a device.
_KINDS = ('iscsi', 'iser', 'fibre_channel', 'nvme', 'nvmeof', 'rbd',
          'scaleio', 'storpool', 'lightos', 'local')


@dataclasses.dataclass(frozen=True)
class Options:
    """How this host connects volumes.

    :ivar multipath: whether over all paths that there are
    :ivar enforce_multipath: whether a connection fails without multipathd
    :ivar scan_tries: how often a new device is looked for
    :ivar iscsi_transport: of open-iscsi
    """

    multipath: bool
    enforce_multipath: bool
    scan_tries: int
    iscsi_transport: str


def properties(options: Options, address: str, host: str
               ) -> dict[str, typing.Any]:
    """What this host is to the storage, by all kinds of connections.

    :param address: of the host in the storage's network
    :raises oslo_concurrency.processutils.ProcessExecutionError: it is to use
        multipathd, which does not run
    """
    found: dict[str, typing.Any] = connector.get_connector_properties(
        utils.get_root_helper(), address, options.multipath,
        enforce_multipath=True, host=host)
    return found


def check(volume: volumes.Volume) -> None:
    """Refuse a volume of which os-brick makes no block device.

    Or whose QoS specifications can't be applied.

    :raises nova.exception.VolumeDriverNotFound: it is one
    :raises nova.exception.InvalidVolume: they can't
    """
    if _kind(volume) not in _KINDS:
        raise exception.VolumeDriverNotFound(driver_type=_kind(volume))
    try:
        throttle.of_volume(volume.connection)
    except ValueError as error:
        raise exception.InvalidVolume(reason=str(error)) from error


def connect(options: Options, volume: volumes.Volume) -> volumes.Json:
    """Connect a volume (idempotent).

    :param volume: one that passes :func:`check`
    :returns: what os-brick says of it: path, and more
    :raises Exception: os-brick fails
    """
    # os-brick adds to what it is given.
    data = copy.deepcopy(volume.connection['data'])
    info: volumes.Json = _connector(options, volume).connect_volume(data)
    return info


def disconnect(options: Options, volume: volumes.Volume,
               force: bool = False) -> None:
    """Disconnect a volume; one that is gone is fine.

    :param force: also when what was written does not get to the storage
    :raises Exception: os-brick fails
    """
    try:
        _connector(options, volume).disconnect_volume(
            copy.deepcopy(volume.connection['data']), volume.info,
            force=force, ignore_errors=force)
    except brick_exception.VolumeDeviceNotFound as error:
        LOG.info('Volume %(volume)s is disconnected already: %(error)s',
                 {'volume': volume.id, 'error': error})


def extend(options: Options, volume: volumes.Volume) -> int | None:
    """Have the host see that a volume has grown.

    :returns: bytes that it has now, if os-brick tells
    :raises Exception: os-brick fails
    """
    size: int | None = _connector(options, volume).extend_volume(
        copy.deepcopy(volume.connection['data']))
    return size


def _connector(options: Options, volume: volumes.Volume) -> typing.Any:
    kind = _kind(volume)
    more: dict[str, typing.Any] = {}
    if kind == 'iscsi':
        more['transport'] = options.iscsi_transport
    elif kind == 'rbd':
        # Or it would be for QEMU, which speaks to the storage by itself.
        more['do_local_attach'] = True
    return connector.InitiatorConnector.factory(
        kind, utils.get_root_helper(), use_multipath=options.multipath,
        device_scan_attempts=options.scan_tries,
        enforce_multipath=options.enforce_multipath, **more)


def _kind(volume: volumes.Volume) -> str:
    return str(volume.connection.get('driver_volume_type')).lower()
