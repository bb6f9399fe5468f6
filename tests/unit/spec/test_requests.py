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

from nova.network import model
from nova import objects
from nova.objects import fields
from nova import test
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.spec import requests


class RequestsTest(test.NoDBTestCase):

    def test_plain_flavor(self):
        self.assertEqual([], list(requests.of_flavor({
            'hw:cpu_policy': 'dedicated', 'resources:PCPU': '1',
            'hw:numa_nodes': '1', 'hw:mem_page_size': 'large',
            'hw:emulator_threads_policy': 'share',
            'trait:CUSTOM_X': 'required',
            'quota:cpu_shares': '10', 'docker:pids_limit': '50',
            'quota:disk_total_iops_sec': '1', 'quota:memory_limit': '0',
            'quota:vif_inbound_peak': '1', 'quota:vif_outbound_burst': '1',
            'hw:cpu_sockets': '1', 'hw:cpu_realtime': 'no',
            'hw:serial_port_count': '1'})))

    def test_flavor_is_refused_by_key(self):
        for key, value in (('hw:emulator_threads_policy', 'isolate'),
                           ('quota:disk_io_limit', '1'),
                           ('quota:disk_read_bytes_sec_max', '1'),
                           ('quota:cpu_limit', '1'),
                           ('quota:memory_shares_level', 'high'),
                           ('quota:vif_limit', '1'),
                           ('quota:vif_inbound_average_x', '1'),
                           ('resources_a-1:CUSTOM_PMEM_NAMESPACE_X', '1'),
                           ('hw:mem_encryption', 'True'),
                           ('hw:tpm_version', '2.0'),
                           ('hw:serial_port_count', '2'),
                           ('os:secure_boot', 'required')):
            self.assertEqual(
                1, len(list(requests.of_flavor({key: value}))), key)

    def test_ephemeral_disk(self):
        for sizes, userns_remap, refused in (
                ([], True, False), ([1], False, False), ([1], True, True)):
            self.assertEqual(refused, bool(list(
                requests.of_ephemerals(sizes, userns_remap))))

    def test_image(self):
        self.assertEqual([], list(requests.of_image(
            objects.ImageMetaProps(os_command_line='x'))))
        self.assertEqual([], list(requests.of_image(objects.ImageMetaProps(
            os_secure_boot=fields.SecureBoot.OPTIONAL, hw_serial_port_count=1,
            hw_mem_encryption=False))))

    def test_image_is_refused(self):
        for properties in ({'hw_mem_encryption': True},
                           {'hw_tpm_version': '2.0'},
                           {'hw_locked_memory': True},
                           {'hw_serial_port_count': 2},
                           {'os_secure_boot': 'required'}):
            self.assertEqual(1, len(list(requests.of_image(
                objects.ImageMetaProps(**properties)))), properties)

    def instance(self):
        return objects.Instance(uuid=uuids.instance)

    def test_config_drive(self):
        self.assertEqual([], list(requests.of_instance(False)))
        self.assertEqual(
            ['config drives are not supported on this host, whose engine '
             'remaps users; use the metadata service'],
            list(requests.of_instance(True)))

    def test_read_only_files(self):
        self.assertEqual([], list(requests.of_read_only(None, ())))
        for arguments in (('ssh-rsa', ()), (None, [('/a', b'')])):
            self.assertEqual(1, len(list(requests.of_read_only(*arguments))))

    def of_files(self, *names, mounts=()):
        return list(requests.of_files(
            [(name, b'') for name in names], mounts))

    def test_files(self):
        self.assertEqual([], self.of_files(
            '/a', '/etc/hosts.allow', '/process/x', '/b/c', '/b/d',
            '/' + 'x' * 255, '/run2/x', mounts=['/run']))

    def test_files_are_refused(self):
        for name in ('/', '/../a', '/a/../b', '/a/', '/a\0',
                     '/' + 'x' * 256, '/x' * 2048, '/proc/1/x', '/sys/x',
                     '/dev/shm/x', '/etc/hosts', '/etc/hostname',
                     '/etc/resolv.conf', '/run', '/run/x'):
            reason, = self.of_files('/ok', name, mounts=['/run'])
            self.assertIn(repr(name), reason)

    def test_files_without_a_slash_in_front(self):
        self.assertEqual([], self.of_files('etc/motd'))
        for name in ('', '../a', 'proc/1/x'):
            reason, = self.of_files(name)
            self.assertIn(repr(f'/{name}'), reason)
        self.assertEqual(2, len(self.of_files('/a', 'a')))

    def test_files_in_the_way_of_each_other(self):
        self.assertEqual(2, len(self.of_files('/a', '/a')))
        reason, = self.of_files('/a', '/a/b', '/ab')
        self.assertIn("'/a'", reason)

    def test_ports(self):
        for network_info in (None, [], model.NetworkInfo([
                model.VIF(id='a'), model.VIF(id='b', vnic_type=None)])):
            self.assertEqual([], list(requests.of_ports(
                network_info, self.instance())))

    def test_virtual_functions(self):
        instance = self.instance()
        instance.pci_devices = objects.PciDeviceList(objects=[
            objects.PciDevice(address='0000:01:10.3')])
        vif = model.VIF(id='a', vnic_type='direct')
        for profile, refused in (
                (None, True), ({}, True), ({'pci_slot': None}, True),
                # Of another instance, or host.
                ({'pci_slot': '0000:01:10.4'}, True),
                ({'pci_slot': '0000:01:10.3'}, False)):
            vif['profile'] = profile
            self.assertEqual(
                ['port a has the VNIC type direct, and no virtual function '
                 'of this host is claimed for it'] if refused else [],
                list(requests.of_ports([vif], instance)), profile)
        vif['profile'] = {'pci_slot': '0000:01:10.3', 'allocation': {'a': 'b'}}
        reason, = requests.of_ports([vif], instance)
        self.assertIn('guaranteed bandwidth', reason)
        instance.pci_devices = None
        self.assertEqual(1, len(list(requests.of_ports([vif], instance))))

    def test_ports_are_refused(self):
        kinds = [value for name, value in sorted(vars(model).items())
                 if name.startswith('VNIC_TYPE_') and
                 value not in ('normal', 'direct')]
        self.assertLess(7, len(kinds))
        reasons = list(requests.of_ports(model.NetworkInfo(
            [model.VIF(id='a')] + [model.VIF(id=f'port of {kind}',
                                             vnic_type=kind)
                                   for kind in kinds]), self.instance()))
        self.assertEqual(len(kinds), len(reasons))
        for kind, reason in zip(kinds, reasons):
            self.assertIn(f'port of {kind} has the VNIC type {kind}', reason)

    def test_swap_is_honoured(self):
        self.assertEqual([], list(requests.of_block_devices(
            {'swap': {'swap_size': 1}, 'ephemerals': [],
             'block_device_mapping': []}, False)))
        self.assertEqual([], list(requests.of_block_devices(None, True)))

    def mapping(self, *devices, **more):
        return {'block_device_mapping': [
            {'mount_device': device, 'boot_index': None} | more
            for device in devices]}

    def test_volumes_are_honoured(self):
        for boot_index in (None, -1, 1):
            self.assertEqual([], list(requests.of_block_devices(
                self.mapping('/dev/vdb', '/dev/vdc', boot_index=boot_index),
                False)))

    def test_block_devices_are_refused(self):
        self.assertEqual(
            ['ephemeral disks have ext4, not ntfs'],
            list(requests.of_block_devices(
                {'block_device_mapping': [], 'ephemerals': [
                    {'guest_format': None}, {'guest_format': 'ext4'},
                    {'guest_format': 'ntfs'}]}, False)))
        for info, remap, reason in (
                (self.mapping('/dev/vda', boot_index=0, connection_info={
                    'multiattach': True}), False, 'several servers'),
                (self.mapping('/dev/vda', boot_index=0, connection_info={
                    'data': {'access_mode': 'ro'}}), False, 'read only'),
                (self.mapping('/dev/vdb', '/dev/vdb'), False,
                 'the same device name'),
                (self.mapping('/dev/../vdb'), False, '/dev/../vdb'),
                (self.mapping('/dev/vdb'), True, 'remaps users')):
            found, = requests.of_block_devices(info, remap)
            self.assertIn(reason, found)
