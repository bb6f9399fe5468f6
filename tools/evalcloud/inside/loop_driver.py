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

"""A driver of Cinder for tests: volumes are sparse files of this machine.

A volume is a loop device while somebody is connected to it. All hosts of an
evaluation cloud share one kernel and its devices, so each of them may be.
"""

import pathlib
import shutil

from cinder import context as cinder_context
from cinder import coordination
from cinder import objects
from cinder.volume import driver
from oslo_config import cfg
from oslo_utils import units

from evalcloud import loops


class LoopDriver(driver.VolumeDriver):
    """Hands out the connections of os-brick's type "local"."""

    VERSION = '1'

    def check_for_setup_error(self):
        self._folder.mkdir(mode=0o700, exist_ok=True)

    @property
    def _folder(self):
        return pathlib.Path(cfg.CONF.state_path, 'volumes')

    def local_path(self, volume):
        """The file of a volume or snapshot."""
        return str(self._file(volume))

    def _file(self, volume):
        return self._folder / volume.name

    def create_volume(self, volume):
        self._resize(volume, volume.size)

    def _resize(self, volume, gigabytes):
        with self._file(volume).open('ab') as file:
            file.truncate(gigabytes * units.Gi)

    def create_volume_from_snapshot(self, volume, snapshot):
        self._copy(snapshot, volume)
        self._resize(volume, volume.size)

    def create_cloned_volume(self, volume, src_vref):
        self._copy(src_vref, volume)
        self._resize(volume, volume.size)

    def _copy(self, source, target):
        self._execute('cp', '--sparse=always', '--reflink=auto',
                      self.local_path(source), self.local_path(target))

    def delete_volume(self, volume):
        loops.detach(self._file(volume))
        self._file(volume).unlink(missing_ok=True)

    def extend_volume(self, volume, new_size):
        self._resize(volume, new_size)
        loops.resize(self._file(volume))

    def create_snapshot(self, snapshot):
        self._copy(snapshot.volume, snapshot)

    def delete_snapshot(self, snapshot):
        self._file(snapshot).unlink(missing_ok=True)

    def revert_to_snapshot(self, context, volume, snapshot):
        self._copy(snapshot, volume)
        self._resize(volume, volume.size)

    def ensure_export(self, context, volume):
        loops.attach(self._file(volume))

    @coordination.synchronized('nova-docker-loop-{volume.id}')
    def create_export(self, context, volume, connector):
        loops.attach(self._file(volume))

    def remove_export(self, context, volume):
        loops.detach(self._file(volume))

    def initialize_connection(self, volume, connector, **kwargs):
        [device] = loops.of(self._file(volume))
        return {'driver_volume_type': 'local',
                'data': {'device_path': device}}

    def terminate_connection(self, volume, connector, **kwargs):
        """Whether the device must stay, for another server or host."""
        attachments = objects.VolumeAttachmentList.get_all_by_volume_id(
            cinder_context.get_admin_context(), volume.id)
        return sum(1 for each in attachments if each.connector) > 1

    def _update_volume_stats(self):
        usage = shutil.disk_usage(self._folder)
        self._stats = {
            'volume_backend_name': self.configuration.volume_backend_name,
            'vendor_name': 'Open Source', 'driver_version': self.VERSION,
            'storage_protocol': 'local', 'multiattach': True,
            'total_capacity_gb': usage.total / units.Gi,
            'free_capacity_gb': usage.free / units.Gi,
            'reserved_percentage': 0, 'thin_provisioning_support': True,
            'max_over_subscription_ratio': 20.0}
