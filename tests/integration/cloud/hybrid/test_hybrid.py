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

import base64
import pathlib

import fixtures

from evalcloud import busybox
from evalcloud import settings
from evalcloud import virtual_machine
from tests.integration.cloud.hybrid import base


class NetworkTest(base.HybridTestCase):
    """A container and a virtual machine on one network."""

    def test_reach_each_other(self):
        container = self.create('container')
        port = self.network.create_port(
            network_id=self.network.find_network('private').id)
        self.addCleanup(self.network.delete_port, port)
        vm = self.build_vm('vm', networks=[{'port': port.id}],
                           user_data=self._script(container, port))
        self.assertEqual(settings.VM_HOST, self.wait_host(vm))
        self.assertTrue(self.vm_host.has(vm))
        addresses = self.addresses(container)
        self.assertEqual(2, len(addresses))
        self.wait_console(vm, 'vm is up', 'page of container', *(
            f'reached {address}' for address in addresses))
        self.assertTrue(self.vm_host.process(vm))
        own = self.addresses(self.compute.get_server(vm.id))
        self.assertEqual(2, len(own))
        for address in own:
            self.assert_pings(container, address)
        self.assert_fetches(container, f'http://{own[0]}/', 'vm\n')
        # And from outside, as to any server.
        self.assert_serves(self.floating_ip(vm, port), 'vm\n')

    def _script(self, container, port):
        """User data: what the virtual machine reaches, it says."""
        address = next(entry['ip_address'] for entry in port.fixed_ips
                       if ':' in entry['ip_address'])
        # The subnet has no router advertisements to tell it, and Neutron sees
        # to it that no other port has it.
        lines = ['#!/bin/sh',
                 'echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad',
                 f'ip -6 address add {address}/64 dev eth0']
        first, second = self.addresses(container)
        for each in first, second:
            lines += [f'until ping -c 1 -W 2 {each}; do sleep 1; done',
                      f'echo "reached {each}"']
        lines.append(f'echo "page of $(wget -qO- http://{first}/)"')
        return base64.b64encode('\n'.join(lines).encode()).decode()


class ApartTest(base.HybridTestCase):
    """Images go to the hosts that can run them, and to no other."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def _docker_hosts_disabled(self):
        for name in self.hosts:
            self.disable(name)

    def test_each_on_its_hosts(self):
        """More than one of each, so that weights would mix them."""
        containers = [self.build(f'container-{number}')
                      for number in range(3)]
        vms = [self.build_vm(f'vm-{number}') for number in range(2)]
        self.assertEqual([settings.VM_HOST] * 2,
                         [self.wait_host(each) for each in vms])
        self.assertEqual(set(), {self.wait_host(each) for each in containers}
                         - set(self.hosts))
        self.assertEqual([], [self.containers(each) for each in vms
                              if self.containers(each)])
        self.assertFalse(any(self.vm_host.has(each) for each in containers))

    def test_no_docker_host(self):
        """The host of virtual machines takes nothing of theirs."""
        self._docker_hosts_disabled()
        self.assert_refused(self.build('container'))
        self.assert_refused(self.build(
            'own-container', image=self._archive(**base.ASKS)))
        self.assert_refused(self.build(
            'no-trait', image=self._archive()))

    def test_no_vm_host(self):
        """The Docker hosts take no image that does not ask for them."""
        self.disable(settings.VM_HOST)
        self.assert_refused(self.build_vm('vm'))
        disk, blank = virtual_machine.disk(), self.folder / 'blank'
        blank.write_bytes(bytes(1 << 20))
        for file, options in (
                # As users upload it, without a property.
                (disk, {'disk_format': 'qcow2'}),
                (blank, {'disk_format': 'raw'}),
                # With properties, of which none says what runs it.
                (disk, {'disk_format': 'qcow2', 'hw_disk_bus': 'virtio'})):
            self.assert_refused(self.build_vm(
                'own-vm', image=self.image(file, **options)))

    def test_the_trait_is_asked_for(self):
        """Without it, an image of Docker's has no host to go to."""
        self.assert_refused(self.build('container', image=self._archive()))
        server = self.build('asks', image=self._archive(**base.ASKS))
        self.assertIn(self.wait_host(server), self.hosts)

    def test_flavor_for_containers(self):
        """One that asks for Docker hosts does not bring a VM there."""
        flavor = self.flavor(**base.ASKS)
        self.assert_refused(self.build_vm('vm', flavor=flavor))
        server = self.build('container', flavor=flavor)
        self.assertIn(self.wait_host(server), self.hosts)

    def test_rebuilt_from_the_other_kind(self):
        """A container stays one."""
        server = self.create('container')
        before = self.container(server)['Id']
        self.compute.rebuild_server(
            server, image=self.cloud.image.find_image(base.IMAGE).id)
        base.wait_for('end of the rebuild', lambda: (
            self.compute.get_server(server.id).status == 'ERROR'))
        self.assertIn('No valid host',
                      self.compute.get_server(server.id).fault['message'])
        found = self.container(server)
        self.assertEqual((before, True),
                         (found['Id'], found['State']['Running']))
        self.assertFalse(self.vm_host.has(server))

    def test_snapshots_stay_apart(self):
        """An image made of a server goes where the server is."""
        server = self.create('container')
        image = self.cloud.create_image_snapshot('of-container', server.id,
                                                 wait=True, timeout=120)
        self.addCleanup(self.cloud.image.delete_image, image.id)
        again = self.build('again', image=image.id)
        self.assertIn(self.wait_host(again), self.hosts)
        self._docker_hosts_disabled()
        self.assert_refused(self.build('nowhere', image=image.id))

    def _archive(self, **properties):
        """Id of an image of the user's, as "docker save" writes it."""
        file = self.folder / 'busybox.tar'
        busybox.write_archive(file)
        return self.image(file, container_format='docker', disk_format='raw',
                          img_hv_type='docker', **properties)
