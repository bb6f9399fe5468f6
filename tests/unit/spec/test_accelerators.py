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


from oslotest import base

from nova_docker.spec import accelerators


def request(kind='PCI', **changes):
    return {'attach_handle_type': kind, 'attach_handle_info': {
        'domain': '0000', 'bus': '3b', 'device': '00', 'function': '1',
        **changes}}


class AcceleratorsTest(base.BaseTestCase):

    def test_wanted(self):
        self.assertEqual({}, accelerators.wanted({'resources:PCPU': '1'}))
        self.assertEqual({'VGPU': 3, 'PGPU': 1}, accelerators.wanted({
            'resources:VGPU': '1', 'resources2:VGPU': '2',
            'resources_gpu-1:PGPU': '1'}))
        self.assertRaises(ValueError, accelerators.wanted,
                          {'resources:VGPU': 'x'})

    def test_choose(self):
        there = {'VGPU': ['a', 'b', 'c'], 'PGPU': ['d']}
        self.assertEqual(['b', 'd'], accelerators.choose(
            {'VGPU': 1, 'PGPU': 1}, there, {'a'}))
        self.assertEqual([], accelerators.choose({}, there, ()))
        for wanted, used in (({'VGPU': 3}, {'a'}), ({'PGPU': 2}, ())):
            self.assertRaises(ValueError, accelerators.choose, wanted, there,
                              used)
        self.assertRaises(ValueError, accelerators.choose, {'VGPU': 1}, {},
                          ())

    def test_addresses(self):
        self.assertEqual([], accelerators.addresses(None))
        self.assertEqual(
            ['0000:3b:00.1', '0000:3c:00.1'],
            accelerators.addresses([request(), request(bus='3c')]))
        error = self.assertRaises(ValueError, accelerators.addresses,
                                  [request('MDEV')])
        self.assertIn('MDEV', str(error))
        for info in ({'bus': '../x'}, {'bus': '3B'}, {'function': '1\n'}):
            self.assertRaises(ValueError, accelerators.addresses,
                              [request(**info)])

    def test_mapping(self):
        self.assertEqual(
            {'0000:3b:00.0': 'nvidia.com/gpu=0'},
            accelerators.mapping(['0000:3b:00.0=nvidia.com/gpu=0']))

    def test_device_requests(self):
        self.assertEqual(
            [['nvidia.com/gpu=0'],
             ['nova-docker.openstack.org/instance=u-pci']],
            [each['DeviceIDs'] for each in accelerators.device_requests(
                'u', ['nvidia.com/gpu=0'], True)])
        self.assertEqual([], accelerators.device_requests('u', [], False))
