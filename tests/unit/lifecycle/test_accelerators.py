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


"""Devices of the host that instances have for themselves."""

import json
import os
from unittest import mock

import fixtures
from nova import exception
from nova import objects
from oslo_concurrency import lockutils
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.host import pci
from nova_docker.spec import names
from tests.unit.lifecycle import base
from tests.unit.spec import test_accelerators

GPU = '0000:3b:00.0'


class AcceleratorsTestCase(base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.nodes = self.compute._patch(
            pci, 'nodes', return_value=['/dev/dri/card0'])

    def claim(self, address=GPU):
        self.instance.pci_requests = objects.InstancePCIRequests(requests=[
            objects.InstancePCIRequest(
                count=1, alias_name='gpu', request_id=uuids.request)])
        self.instance.pci_devices = objects.PciDeviceList(objects=[
            objects.PciDevice(address=address, request_id=uuids.request)])

    def restart(self, **options):
        self.flags(group='docker', **options)
        self.driver.init_host('host1')

    def vendor(self, kind, *names):
        """What a vendor's tools write for the engine."""
        path = os.path.join(self.compute.cdi_dir, 'vendor.json')
        with open(path, 'w') as file:
            json.dump({'cdiVersion': '0.6.0', 'kind': kind, 'devices': [
                {'name': name, 'containerEdits': {'env': ['GPU=1']}}
                for name in names]}, file)
        self.addCleanup(os.unlink, path)

    def spawn_with(self, accel_info):
        self.driver.spawn(
            self.context, self.instance, self.image_meta, (), None, {},
            self.network_info, {}, True, accel_info)

    @property
    def requested(self):
        """The CDI devices that are asked for, but the first."""
        config = self.engine.inspect_container(
            names.container_name(self.instance.uuid))['HostConfig']
        return [device for each in config['DeviceRequests'][1:]
                for device in each['DeviceIDs']]

    @property
    def given(self):
        """The nodes of the instance's own specification."""
        with open(os.path.join(self.compute.cdi_dir, names.cdi_file(
                self.instance.uuid))) as file:
            devices = json.load(file)['devices']
        return {device['name']: [
            node['path'] for node in device['containerEdits']['deviceNodes']]
            for device in devices
            if device['name'] == names.pci_device(self.instance.uuid)}


class PciTest(AcceleratorsTestCase):

    def test_nodes(self):
        self.claim()
        self.spawn()
        name = names.pci_device(self.instance.uuid)
        self.assertEqual([names.cdi_device(name)], self.requested)
        self.assertEqual({name: ['/dev/dri/card0']}, self.given)
        self.nodes.assert_called_with(GPU)

    def test_as_they_are_called_at_each_start(self):
        self.claim()
        self.spawned((self.power_off,))
        self.nodes.return_value = ['/dev/dri/card1']
        self.power_on()
        self.assertEqual([['/dev/dri/card1']], list(self.given.values()))

    def test_of_the_vendor(self):
        self.restart(pci_cdi_devices=[f'{GPU}=nvidia.com/gpu=0'])
        self.vendor('nvidia.com/gpu', '0')
        self.claim()
        self.spawn()
        self.assertEqual(['nvidia.com/gpu=0'], self.requested)
        self.assertEqual({}, self.given)

    def test_without_nodes(self):
        self.nodes.return_value = []
        self.claim()
        error = self.assertRaises(
            exception.ComputeResourcesUnavailable, self.spawn)
        self.assertIn(GPU, error.format_message())
        self.assert_nothing_left()

    def test_nova_is_told(self):
        self.compute.accelerators.return_value = [{'address': GPU}]
        self.restart(pci_cdi_devices=[f'{GPU}=nvidia.com/gpu=0'])
        found = self.driver.get_available_resource('host1')
        self.assertIn(GPU, found['pci_passthrough_devices'])
        self.compute.accelerators.assert_called_with(
            {GPU: 'nvidia.com/gpu=0'})

    def test_none(self):
        lock = self.compute._patch(
            lockutils, 'lock', side_effect=lockutils.lock)
        self.spawn()
        self.assertNotIn(mock.call('nova-docker-accelerators'),
                         lock.call_args_list)
        self.assertEqual([], self.requested)
        self.assertEqual({}, self.given)


class CyborgTest(AcceleratorsTestCase):

    def setUp(self):
        super().setUp()
        self.instance.flavor.extra_specs = {'accel:device_profile': 'fpga'}

    def test_nodes(self):
        self.spawn_with([test_accelerators.request()])
        self.nodes.assert_called_with('0000:3b:00.1')
        self.assertEqual(1, len(self.given))

    def test_lost_container(self):
        requests = [test_accelerators.request()]
        self.spawn_with(requests)
        self.engine.remove_container(self.container['Id'])
        self.driver.reboot(self.context, self.instance, self.network_info,
                           'HARD', None, accel_info=requests)
        self.assertEqual(1, len(self.given))

    def test_nova_rebuilds(self):
        """It knows the accelerators: it destroys, and spawns with them."""
        self.spawn_with([test_accelerators.request()])
        self.assertRaises(
            NotImplementedError, self.driver.rebuild, self.context,
            self.instance, self.image_meta, [], None, {}, None, None, None,
            accel_uuids=[uuids.request])
        self.assertIsNotNone(self.container)

    def test_refused(self):
        for requests, word in ((None, 'accelerators'),
                               ([test_accelerators.request('MDEV')], 'MDEV')):
            error = self.assertRaises(
                exception.BuildAbortException, self.spawn_with, requests)
            self.assertIn(word, error.format_message())
        self.assert_nothing_left()


class GpuTest(AcceleratorsTestCase):

    def setUp(self):
        super().setUp()
        self.restart(vgpu_devices=['a.com/gpu=0', 'a.com/gpu=1'])
        self.vendor('a.com/gpu', '0', '1')
        self.instance.flavor.extra_specs = {'resources:VGPU': '1'}

    def another(self, number):
        flavor = self.instance.flavor
        self.instance = base.make_instance(
            id=number, uuid=getattr(uuids, f'instance{number}'))
        self.instance.flavor = flavor

    def test_each_has_its_own(self):
        self.spawn()
        self.assertEqual(['a.com/gpu=0'], self.requested)
        first = self.instance
        self.another(2)
        self.spawn()
        self.assertEqual(['a.com/gpu=1'], self.requested)
        self.another(3)
        error = self.assertRaises(
            exception.ComputeResourcesUnavailable, self.spawn)
        self.assertIn('VGPU', error.format_message())
        third, self.instance = self.instance, first
        self.destroy()
        self.instance = third
        self.spawn()
        self.assertEqual(['a.com/gpu=0'], self.requested)

    def test_its_next_container_has_it_too(self):
        self.restart(vgpu_devices=['a.com/gpu=0'])
        self.spawn()
        self.useFixture(fixtures.MockPatchObject(
            objects.Instance, 'save', autospec=True))
        self.driver.rebuild(
            self.context, self.instance, self.image_meta, [], None, {},
            objects.BlockDeviceMappingList(objects=[]), lambda *_: None,
            lambda *_: None, self.network_info)
        self.assertEqual(['a.com/gpu=0'], self.requested)

    def test_placement_is_told(self):
        self.assertEqual(
            {'VGPU': ['a.com/gpu=0', 'a.com/gpu=1'], 'PGPU': []},
            self.services.options.gpus)

    def test_no_number(self):
        self.instance.flavor.extra_specs = {'resources:VGPU': 'x'}
        self.assertRaises(exception.BuildAbortException, self.spawn)
