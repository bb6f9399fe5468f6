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

"""Volumes of LVM in one sparse file, handed out by iSCSI.

From the documentation of LVM, open-iscsi and Cinder, and not tried: no kernel
at hand had the device mapper.
"""

import contextlib
import pathlib
import typing

from evalcloud import loops
from evalcloud import progress
from evalcloud import settings

_GROUP = 'nova-docker-volumes'
_PREFIX = 'iqn.2010-10.org.openstack.nova-docker:'
_SIZE = '100G'
_MAPPER = pathlib.Path('/sys/class/misc/device-mapper')


def options(cloud: settings.Settings) -> dict[str, typing.Any]:
    """Cinder's options of the back end."""
    return {'volume_driver': 'cinder.volume.drivers.lvm.LVMVolumeDriver',
            'volume_group': _GROUP, 'lvm_type': 'default',
            'target_helper': 'lioadm', 'target_protocol': 'iscsi',
            'target_prefix': _PREFIX,
            'target_ip_address': cloud.controller.address,
            'volumes_dir': cloud.data / 'cinder' / 'targets'}


def check(cloud: settings.Settings) -> None:
    """Refuse what can not work."""
    with contextlib.suppress(progress.Failure):
        progress.run('modprobe', 'dm_mod')
    if not _MAPPER.exists():
        raise progress.Failure('this kernel has no device mapper: --with '
                               'cinder does without')
    if cloud.several:
        raise progress.Failure('an initiator of iSCSI is one for a kernel: '
                               '--with cinder:lvm goes with one compute host')


def create(cloud: settings.Settings) -> None:
    """Make the volume group."""
    file = cloud.data / 'cinder' / 'lvm'
    progress.run('truncate', '--size', _SIZE, str(file))
    progress.run('vgcreate', _GROUP, loops.attach(file))


def remove(cloud: settings.Settings) -> None:
    """Remove the connections, the targets and the volume group."""
    tool = f'{cloud.venv}/bin/cinder-rtstool'
    for target in _ours('iscsiadm', '--mode', 'session'):
        node = ('iscsiadm', '--mode', 'node', '--targetname', target)
        progress.run(*node, '--logout')
        progress.run(*node, '--op', 'delete')
    for target in _ours(tool, 'get-targets'):
        progress.run(tool, 'delete', target)
    with contextlib.suppress(progress.Failure):
        progress.run('vgremove', '--force', '--yes', _GROUP)


def _ours(*command: str) -> list[str]:
    """Names of our targets in what a command lists, if anything."""
    with contextlib.suppress(progress.Failure):
        return [word for word in progress.run(*command).split()
                if word.startswith(_PREFIX)]
    return []
