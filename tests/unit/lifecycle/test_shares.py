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


"""Shares of Manila."""

import json
import os
import shutil

from nova import exception
from nova import objects
from oslo_concurrency import processutils
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.lifecycle import shares
from nova_docker.network import plans
from nova_docker.spec import names
from tests.unit.lifecycle import base


class SharesTest(base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.fake = self.compute.shares
        self.flags(nfs_mount_options=['nfsvers=4.2'], group='docker')

    def mapping(self, share=uuids.share, tag='data', **changes):
        return objects.ShareMapping(**(dict(
            share_id=share, tag=tag, instance_uuid=self.instance.uuid,
            share_proto='NFS', export_location='10.0.0.50:/mnt/foo',
            access_type='ip', access_to='192.0.2.1') | changes))

    def mount(self, *args, **kwargs):
        mapping = self.mapping(*args, **kwargs)
        self.driver.mount_share(self.context, self.instance, mapping)
        return mapping

    def umount(self, *args):
        return self.driver.umount_share(self.context, self.instance,
                                        self.mapping(*args))

    def power_on(self, *mappings):
        self.driver.power_on(
            self.context, self.instance, self.network_info,
            share_info=objects.ShareMappingList(objects=list(mappings)))

    def place(self, share=uuids.share):
        return os.path.join(self.compute.state_dir, 'shares',
                            self.instance.uuid, share)

    def mounts(self):
        """By path, where the next start has something mounted from."""
        with open(os.path.join(self.compute.cdi_dir, names.cdi_file(
                self.instance.uuid))) as file:
            device, *_hooks = json.load(file)['devices']
        return {mount['containerPath']: mount['hostPath'] for mount in
                device['containerEdits'].get('mounts', ())}

    def stopped(self):
        self.spawned((self.power_off,))

    def test_start(self):
        self.stopped()
        mapping = self.mount()
        self.assertEqual(
            {self.place(): ('nfs', '10.0.0.50:/mnt/foo',
                            ('nosuid', 'nodev'), '', 60)}, self.fake.mounted)
        self.power_on(mapping)
        self.assertEqual({'/shares/data': self.place()}, self.mounts())

    def test_options(self):
        self.driver = self.compute.driver()
        self.mount()
        (_kind, _source, options, *_), = self.fake.mounted.values()
        self.assertEqual(('nfsvers=4.2', 'nosuid', 'nodev'), options)

    def test_ceph(self):
        self.mount(share_proto='CEPHFS', export_location='10.0.0.1:6789:/v',
                   access_type='cephx', access_to='nova', access_key='AQ==')
        self.assertEqual([('ceph', '10.0.0.1:6789:/v', (
            'name=nova', 'nosuid', 'nodev'), 'AQ==', 60)],
            list(self.fake.mounted.values()))
        with open(os.path.join(plans.instance_dir(
                self.compute.state_dir, self.instance.uuid),
                'shares.json')) as file:
            self.assertNotIn('AQ==', file.read())

    def test_stop_and_start(self):
        self.stopped()
        for _ in range(2):
            self.power_on(self.mount())
            self.power_off()
            self.assertFalse(self.umount())
            self.assertEqual({}, self.fake.mounted)
        self.power_on()
        self.assertEqual({}, self.mounts())

    def test_reboot(self):
        self.stopped()
        mapping = self.mount()
        self.power_on(mapping)
        for kind in ('SOFT', 'HARD'):
            self.driver.reboot(
                self.context, self.instance, self.network_info, kind,
                share_info=objects.ShareMappingList(objects=[mapping]))
            self.assertEqual({'/shares/data': self.place()}, self.mounts())

    def test_host_boot(self):
        self.stopped()
        self.mount()
        # It is not mounted any more.
        self.fake.mounted.clear()
        error = self.assertRaises(exception.InternalError, self.power_on,
                                  self.mapping())
        self.assertIn('not mounted', error.format_message())
        mapping = self.mount()
        self.driver.resume_state_on_host_boot(
            self.context, self.instance, self.network_info,
            objects.ShareMappingList(objects=[mapping]))
        self.assertEqual('running', self.state)

    def test_start_by_somebody_else(self):
        self.stopped()
        self.power_on(self.mount())
        self.engine.stop_container(self.container['Id'], 0)
        self.foreign_start().result(60)
        self.engine.stop_container(self.container['Id'], 0)
        self.fake.mounted.clear()
        self.assertRaises(errors.ServerError,
                          self.foreign_start().result, 30)

    def test_what_nova_forgot(self):
        self.stopped()
        self.mount()
        other = self.mount(uuids.other, 'other')
        self.power_on(other)
        self.assertEqual({'/shares/other': self.place(uuids.other)},
                         self.mounts())
        self.assertEqual({self.place(uuids.other)}, set(self.fake.mounted))

    def test_metadata(self):
        self.stopped()
        mapping = self.mount()
        self.fake.mappings = [mapping]
        self.power_on(mapping)
        device, = self.instance.device_metadata.devices
        self.assertEqual((uuids.share, 'data'), (device.share_id, device.tag))
        self.power_off()
        self.umount()
        self.fake.mappings = []
        self.mount(uuids.other, 'other')
        self.power_on()
        self.assertIsNone(self.instance.device_metadata)

    def test_rescue(self):
        self.stopped()
        self.mount()
        self.driver.rescue(
            self.context, self.instance, self.network_info, self.image_meta,
            None, {}, None)
        self.assertEqual(self.place(), self.mounts()['/shares/data'])

    def test_refused(self):
        self.stopped()
        for changes in ({'export_location': 'nas:/x,suid'},
                        {'export_location': '-o:/x'}, {'tag': '..'},
                        {'share_proto': 'CEPHFS', 'access_key': 'a,b'}):
            self.assertRaises(exception.ShareMountError, self.mount,
                              **changes)
        mapping = self.mapping()
        mapping._obj_share_id = '../..'
        self.assertRaises(
            exception.ShareMountError, self.driver.mount_share,
            self.context, self.instance, mapping)
        object.__setattr__(self.services.options, 'userns_remap', True)
        error = self.assertRaises(exception.ShareMountError, self.mount)
        self.assertIn('remaps', error.format_message())
        self.assertEqual({}, self.fake.mounted)
        self.assertEqual([], shares.read(self.services, self.instance.uuid))

    def test_other_protocols(self):
        mapping = self.mapping()
        mapping._obj_share_proto = 'CIFS'
        self.assertRaises(
            exception.ShareProtocolNotSupported, self.driver.mount_share,
            self.context, self.instance, mapping)

    def test_mount_fails(self):
        self.stopped()
        self.fake.fail_next('mount', processutils.ProcessExecutionError(
            stderr='mount.nfs: access denied', cmd='secretfile'))
        error = self.assertRaises(exception.ShareMountError, self.mount)
        self.assertIn('access denied', error.format_message())
        self.assertNotIn('secretfile', error.format_message())
        self.power_on()
        self.assertEqual({}, self.mounts())

    def test_in_use(self):
        self.stopped()
        self.mount()
        self.fake.fail_next('unmount', processutils.ProcessExecutionError(
            stderr='target is busy'))
        error = self.assertRaises(exception.ShareUmountError, self.umount)
        self.assertIn('busy', error.format_message())
        self.umount()
        self.umount()
        self.assertEqual({}, self.fake.mounted)

    def test_is_mounted(self):
        self.assertFalse(self.driver.is_share_mounted(self.mapping()))
        self.mount()
        self.assertTrue(self.driver.is_share_mounted(self.mapping()))
        self.assertFalse(self.driver.is_share_mounted(
            self.mapping(uuids.other)))

    def test_destroy(self):
        self.stopped()
        self.mount()
        self.mount(uuids.other, 'other')
        self.destroy()
        self.assertEqual({}, self.fake.mounted)
        self.umount()
        self.assert_nothing_left()

    def test_no_daemon_without_shares(self):
        self.spawned()
        self.destroy()
        self.assertEqual([], self.steps(
            ('share_mounted', 'share_unmount')))

    def test_destroy_goes_on(self):
        self.stopped()
        self.mount()
        self.fake.fail_next('unmount', processutils.ProcessExecutionError(
            stderr='target is busy'))
        self.destroy()
        self.assert_nothing_left()
        # Until the next start of nova-compute.
        self.assertEqual([self.place()], list(self.fake.mounted))
        self.compute.driver()
        self.assertEqual({}, self.fake.mounted)

    def test_no_container_any_more(self):
        self.stopped()
        self.mount()
        self.engine.remove_container(self.container['Id'])
        shutil.rmtree(plans.instance_dir(self.compute.state_dir,
                                         self.instance.uuid))
        self.compute.driver()
        self.assertEqual({}, self.fake.mounted)
