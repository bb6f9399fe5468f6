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

"""Devices of the host that a server has for itself."""

import copy
import json
import os

import fixtures
from nova.tests import fixtures as nova_fixtures

from nova_docker.host import pci
from tests.functional import base
from tests.functional import flavors

#: Device nodes that every host has stand for those of PCI devices.
NODES = {'0000:3b:00.0': ['/dev/fuse'], '0000:0c:00.1': ['/dev/net/tun']}


class DevicesTest(flavors.FlavorTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            pci, 'nodes', lambda address, *_: NODES.get(address, [])))

    def vendor(self):
        """What a vendor's tools write for the engine."""
        path = os.path.join(self.cdi_dir, 'example.json')
        with open(path, 'w') as file:
            json.dump({
                'cdiVersion': '0.6.0', 'kind': 'example.com/gpu', 'devices': [
                    {'name': name,
                     'containerEdits': {'env': [f'GPU_{name}=1']}}
                    for name in ('half', 'whole')]}, file)
        self.addCleanup(os.unlink, path)

    def cyborg(self):
        """Have Cyborg, of which Nova's fixture has devices of its own."""
        cyborg = self.useFixture(nova_fixtures.CyborgFixture())
        arqs = copy.deepcopy(cyborg.bound_arq_list)
        for arq in arqs:
            arq['attach_handle_type'] = 'PCI'
            arq['attach_handle_info']['device'] = '00'
        self.useFixture(fixtures.MockPatchObject(
            nova_fixtures.CyborgFixture, 'bound_arq_list', arqs))
        provider = self.placement.post(
            '/resource_providers', version='1.20', body={
                'name': 'accelerators', 'parent_provider_uuid':
                self._get_provider_uuid_by_host('host1')}).body['uuid']
        self._update_inventory(provider, {
            'resource_provider_generation': 0,
            'inventories': {'FPGA': {'total': 1}}})
        self._create_trait(cyborg.trait)
        self._set_provider_traits(provider, [cyborg.trait])
        return cyborg.dp_name

    def test_pci_devices(self):
        """One of Nova's, and one of Cyborg's."""
        self.useFixture(fixtures.MockPatchObject(
            pci, 'accelerators', autospec=True, return_value=[{
                'dev_id': 'pci_0000_3b_00_0', 'address': '0000:3b:00.0',
                'vendor_id': '8086', 'product_id': '56a0', 'numa_node': None,
                'label': 'label_8086_56a0', 'dev_type': 'type-PCI'}]))
        device = {'vendor_id': '8086', 'product_id': '56a0'}
        self.flags(
            group='pci', device_spec=[json.dumps(device)],
            alias=[json.dumps(device | {'name': 'gpu'})])
        self.restart()
        self.add(**{'pci_passthrough:alias': 'gpu:1',
                    'accel:device_profile': self.cyborg()})
        server = self.boot()
        self.assert_opened(server)
        for action, state in (({'os-stop': None}, 'SHUTOFF'),
                              ({'os-start': None}, 'ACTIVE')):
            self.act(server, action, state)
        self.assert_opened(server)
        self.delete(server)

    def assert_opened(self, server):
        for path, numbers in (('/dev/fuse', 'a:e5'),
                              ('/dev/net/tun', 'a:c8')):
            self.assertEqual(numbers, self.inside(
                server, f'(: < {path}) && stat -c %t:%T {path}'))

    @base.one_nova
    def test_parts_of_gpus(self):
        self.vendor()
        self.restart(vgpu_devices=['example.com/gpu=half'],
                     pgpu_devices=['example.com/gpu=whole'])
        self.add(**{'resources:VGPU': '1', 'resources:PGPU': '1'})
        self.api.microversion = 'latest'
        server = self.boot(networks='none')
        self.assertEqual('GPU_half=1\nGPU_whole=1', self.inside(
            server, 'tr "\\0" "\\n" < /proc/1/environ | grep GPU | sort'))
        # Placement has no other ones.
        self.assertIn('No valid host', self.fault(
            self.boot('ERROR', networks='none')))
