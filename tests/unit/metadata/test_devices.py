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

from unittest import mock

from nova.network import model
from nova import objects
from nova import test
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.metadata import devices


class DevicesTest(test.NoDBTestCase):

    def build(self, *vifs, vlans=(), attached=None, bdms=(),
              shares=()):
        plain = [model.VIF(address=vif.address) for vif in vifs[:attached]]
        network_info = model.NetworkInfo(plain + [
            model.VIF(address=mac, vnic_type='direct', type='hw_veb',
                      profile={'physical_network': 'p'},
                      details={'vlan': vlan}) for mac, vlan in vlans])
        with (mock.patch.object(
                objects.VirtualInterfaceList, 'get_by_instance_uuid',
                autospec=True, return_value=list(vifs)),
              mock.patch.object(
                  objects.BlockDeviceMappingList, 'get_by_instance_uuid',
                  autospec=True, return_value=list(bdms)),
              mock.patch.object(
                  objects.ShareMappingList, 'get_by_instance_uuid',
                  autospec=True, return_value=list(shares))):
            return devices.build(
                None, objects.Instance(uuid=uuids.instance), network_info)

    def test_without_tags(self):
        self.assertIsNone(self.build(objects.VirtualInterface(
            address='fa:16:3e:00:00:01', tag=None)))
        self.assertIsNone(self.build())

    def test_tags_by_address(self):
        found = self.build(
            objects.VirtualInterface(address='fa:16:3e:00:00:01', tag='dmz'),
            objects.VirtualInterface(address='fa:16:3e:00:00:02'))
        device, = found.devices
        self.assertIsInstance(device, objects.NetworkInterfaceMetadata)
        self.assertEqual(('fa:16:3e:00:00:01', ['dmz']),
                         (device.mac, device.tags))

    def test_vlan(self):
        found = self.build(
            objects.VirtualInterface(address='fa:16:3e:00:00:01', tag=None),
            vlans=[('fa:16:3e:00:00:01', '100')])
        self.assertEqual(100, found.devices[0].vlan)

    def test_port_that_is_detached(self):
        vifs = [objects.VirtualInterface(
            address=f'fa:16:3e:00:00:0{number}', tag='dmz')
            for number in (1, 2)]
        found = self.build(*vifs, attached=1)
        self.assertEqual(['fa:16:3e:00:00:01'],
                         [device.mac for device in found.devices])

    def test_volumes(self):
        def bdm(name, tag, destination='volume'):
            return objects.BlockDeviceMapping(
                source_type='volume' if destination == 'volume' else 'blank',
                destination_type=destination, volume_id=uuids.volume,
                device_name=name, tag=tag)
        found = self.build(bdms=[
            bdm('/dev/vdb', 'data'), bdm('/dev/vdc', None),
            bdm('/dev/vdd', 'scratch', 'local')])
        device, = found.devices
        self.assertIsInstance(device, objects.DiskMetadata)
        self.assertEqual((uuids.volume, '/dev/vdb', ['data']),
                         (device.serial, device.path, device.tags))

    def test_shares(self):
        device, = self.build(shares=[objects.ShareMapping(
            share_id=uuids.share, tag='data')]).devices
        self.assertIsInstance(device, objects.ShareMetadata)
        self.assertEqual((uuids.share, 'data'), (device.share_id, device.tag))
