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

"""Volumes of instances that start, and go with them."""

import dataclasses
import json
import os
from unittest import mock

from nova import exception
from nova import objects
from oslo_concurrency import processutils
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.lifecycle import connections
from nova_docker.lifecycle import records
from nova_docker.spec import names
from nova_docker.spec import volumes as spec
from tests.fixtures import volumes
from tests.unit.lifecycle import base


class ConnectionsTestCase(base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.volumes = self.compute.volumes
        self.info = {'block_device_mapping': [
            self.mapping(uuids.volume, '/dev/loop1', '/dev/vdb')]}

    def mapping(self, volume, path, device, **changes):
        return {'mount_device': device, 'boot_index': None,
                'connection_info': volumes.connection(volume, path)} | changes

    def spawn(self, **changes):
        self.driver.spawn(
            self.context, self.instance, self.image_meta, (), None, {},
            self.network_info, self.info | changes, True)

    def nodes(self):
        """By path, the device of the host that the next start gives."""
        with open(os.path.join(self.compute.cdi_dir, names.cdi_file(
                uuids.instance))) as file:
            device, *_hooks = json.load(file)['devices']
        return {node['path']: node['hostPath'] for node in
                device['containerEdits'].get('deviceNodes', ())}

    def known(self):
        return {each.id: each.state for each in records.read(
            self.compute.state_dir, uuids.instance)}

    def assert_attached(self, **devices):
        self.assertEqual({f'/dev/{name}': f'/dev/{path}'
                          for name, path in devices.items()}, self.nodes())
        self.assertEqual({spec.ATTACHED} if devices else set(),
                         set(self.known().values()))
        self.assertEqual({f'/dev/{path}' for path in devices.values()},
                         self.volumes.connected)

    def assert_nothing_connected(self):
        self.assertEqual({}, self.known())
        self.assertEqual(set(), self.volumes.connected)


class StartTest(ConnectionsTestCase):

    def test_spawn(self):
        self.spawn()
        self.assert_attached(vdb='loop1')
        self.assertEqual('running', self.state)
        # The runtime makes the node, not the driver.
        self.assertEqual({}, self.volumes.given)

    def test_failed_spawn(self):
        for step in ('connect', 'find', 'claim'):
            self.volumes.fail_next(step, OSError(f'no {step}'))
            error = self.assertRaises(exception.VolumeAttachFailed,
                                      self.spawn)
            self.assertIn(f'no {step}', error.format_message())
            self.assert_nothing_connected()
            self.assert_nothing_left()
        self.engine.fail_next('create_container',
                              errors.ServerError('no', 500))
        self.assertRaises(exception.InternalError, self.spawn)
        self.assert_nothing_connected()
        self.assert_nothing_left()

    def test_refused(self):
        root = self.mapping(uuids.root, '/dev/loop2', '/dev/vda',
                            boot_index=0)
        root['connection_info']['multiattach'] = True
        twice = self.mapping(uuids.second, '/dev/loop2', '/dev/vdb')
        outside = self.mapping(uuids.second, '/dev/loop2', '/dev/../x')
        for more, reason in ((root, 'several servers'),
                             (twice, 'same device name'),
                             (outside, '/dev/../x')):
            error = self.assertRaises(
                exception.BuildAbortException, self.spawn,
                block_device_mapping=[*self.info['block_device_mapping'],
                                      more])
            self.assertIn(reason, error.format_message())
            self.assert_nothing_connected()

    def test_stop_and_start(self):
        self.spawn()
        self.power_off()
        self.assert_attached(vdb='loop1')
        self.power_on()
        self.assert_attached(vdb='loop1')
        for kind in ('SOFT', 'HARD'):
            self.reboot(kind)
            self.assert_attached(vdb='loop1')

    def test_what_nova_does_not_know_goes(self):
        self.spawn()
        self.info['block_device_mapping'] = [
            self.mapping(uuids.second, '/dev/loop2', '/dev/vdc')]
        self.reboot()
        self.assert_attached(vdc='loop2')
        self.info['block_device_mapping'] = []
        self.reboot()
        self.assert_attached()

    def test_another_device(self):
        """As after a reboot of the host."""
        self.spawn()
        self.power_off()
        self.volumes.connected.clear()
        self.info['block_device_mapping'] = [
            self.mapping(uuids.volume, '/dev/loop3', '/dev/vdb')]
        self.power_on()
        self.assert_attached(vdb='loop3')

    def test_cannot_be_connected_again(self):
        self.spawn()
        self.power_off()
        self.volumes.fail_next('connect', OSError('no storage'))
        self.assertRaises(exception.VolumeAttachFailed, self.power_on)
        # Nobody starts it meanwhile.
        self.assertEqual([], os.listdir(self.compute.cdi_dir))
        self.power_on()
        self.assert_attached(vdb='loop1')

    def test_start_that_nova_did_not_ask_for(self):
        self.spawn()
        self.power_off()
        self.assertIsNone(self.foreign_start().exception(60))
        self.power_off()
        for number, path in (((7, 9), '/dev/loop1'), (None, None)):
            self.volumes.devices.pop('/dev/loop1')
            if path:
                self.volumes.devices[path] = number
            self.assertIsNotNone(self.foreign_start().exception(60))
            self.assertEqual('exited', self.state)

    def test_lost_container(self):
        self.spawn()
        self.engine.remove_container(self.container['Id'])
        self.reboot()
        self.assert_attached(vdb='loop1')

    def test_rescue(self):
        self.spawn()
        self.power_off()
        self.driver.rescue(
            self.context, self.instance, self.network_info, self.image_meta,
            None, self.info, objects.ShareMappingList())
        self.assert_attached(vdb='loop1')
        self.driver.unrescue(self.context, self.instance)
        self.assert_attached(vdb='loop1')

    def test_rebuild(self):
        self.spawn()
        self.info['block_device_mapping'][0]['connection_info']['data'][
            'again'] = True

        def detach(context, bdms):
            # In the turn of the rebuild.
            self.driver.detach_volume(
                context, volumes.connection(uuids.volume, '/dev/loop1'),
                self.instance, '/dev/vdb')
            self.assert_nothing_connected()

        with mock.patch.object(objects.Instance, 'save', autospec=True):
            self.driver.rebuild(
                self.context, self.instance, self.image_meta, [], None, {},
                [], detach, lambda *_: self.info,
                network_info=self.network_info, block_device_info=self.info)
        self.assert_attached(vdb='loop1')
        volume, = records.read(self.compute.state_dir, uuids.instance)
        self.assertTrue(volume.connection['data']['again'])

    def test_encrypted(self):
        self.info['block_device_mapping'][0]['connection_info']['data'][
            'encrypted'] = True
        with mock.patch.object(connections, 'encryption',
                               autospec=True) as encryption:
            encryption.metadata.return_value = {'provider': 'luks'}
            self.spawn()
            self.assertEqual(1, encryption.attach.call_count)
            encryption.detach.assert_not_called()
            self.reboot()
            # Closed before it is opened again.
            self.assertEqual(2, encryption.attach.call_count)
            self.assertEqual(1, encryption.detach.call_count)
            self.destroy()
            self.assertEqual(2, encryption.detach.call_count)


class EndTest(ConnectionsTestCase):

    def test_destroy(self):
        self.spawn()
        for _again in range(2):
            self.destroy()
            self.assert_nothing_connected()
            self.assert_nothing_left()

    def test_storage_is_away(self):
        """Nothing keeps an instance from being deleted."""
        self.spawn()
        self.volumes.fail_next('disconnect', OSError('no storage'))
        self.destroy()
        self.assertEqual({}, self.known())
        self.assertIsNone(self.container)

    def test_cleanup(self):
        self.spawn()
        self.engine.remove_container(self.container['Id'])
        self.driver.cleanup(self.context, self.instance, self.network_info,
                            destroy_vifs=False)
        self.assert_nothing_connected()


class FailingTest(ConnectionsTestCase):

    def test_reason(self):
        """What a command was given may be secret."""
        def fail():
            with connections.failing(exception.VolumeAttachFailed,
                                     volume_id='v'):
                raise processutils.ProcessExecutionError(
                    stderr='no target\n', cmd='login --password secret')
        error = self.assertRaises(exception.VolumeAttachFailed, fail)
        self.assertIn('no target', error.format_message())
        self.assertNotIn('secret', error.format_message())

    def test_of_another_boot(self):
        """What was connected in another boot of the host is not."""
        self.spawn()
        volume, = records.read(self.compute.state_dir, uuids.instance)
        self.assertIsNotNone(connections._other(
            self.services, uuids.other, volume))
        records.put(self.compute.state_dir, uuids.instance,
                    dataclasses.replace(volume, boot='another'))
        self.assertIsNone(connections._other(
            self.services, uuids.other, volume))
