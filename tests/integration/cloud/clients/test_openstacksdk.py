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

"""A server's life by openstacksdk's cloud layer."""

from tests.integration.cloud import base
from tests.integration.cloud.clients import base as clients


class OpenstackSdkTest(clients.ClientTestCase):

    def _network(self):
        """A network with a way out."""
        cloud = self.cloud
        network = cloud.create_network(self.name)
        self.addCleanup(cloud.delete_network, network.id)
        subnet = cloud.create_subnet(
            network.id, cidr='10.40.0.0/24', subnet_name=self.name)
        router = cloud.create_router(
            self.name, ext_gateway_net_id=cloud.get_network('public').id)
        self.addCleanup(cloud.delete_router, router.id)
        cloud.add_router_interface(router, subnet_id=subnet.id)
        self.addCleanup(cloud.remove_router_interface, router,
                        subnet_id=subnet.id)
        return network

    def _group(self):
        """Id of a security group that lets the world in by HTTP."""
        group = self.cloud.create_security_group(self.name, 'a test')
        self.addCleanup(self.cloud.delete_security_group, group.id)
        self.cloud.create_security_group_rule(
            group.id, port_range_min=80, port_range_max=80, protocol='tcp')
        return group.id

    def _server(self):
        cloud, network = self.cloud, self._network()
        key = cloud.create_keypair(self.name)
        self.addCleanup(cloud.delete_keypair, key.name)
        self.assertIn('PRIVATE KEY', key.private_key)
        server = cloud.create_server(
            self.name, image='busybox', flavor='m1.nano', key_name=key.name,
            network=network.id, security_groups=[self._group()],
            auto_ip=False, wait=True, timeout=120)
        self.addCleanup(cloud.delete_server, server.id, wait=True,
                        delete_ips=True)
        self.assertEqual(key.name, server.key_name)
        return server

    def test_life(self):
        cloud = self.cloud
        # Deleted after the server that has it.
        volume = cloud.create_volume(1, name=self.name, wait=True)
        self.addCleanup(cloud.delete_volume, volume.id, wait=True)
        server = self._server()
        address = cloud.create_floating_ip(
            network='public', server=server, wait=True)
        cloud.attach_volume(server, volume, wait=True)
        server = cloud.get_server(server.id)
        self.check(server, address.floating_ip_address, volume.id)
        self.assertIn(f'{self.name} is up', cloud.get_server_console(server))
        self.assertEqual(address.floating_ip_address, server.public_v4)
        with self.another_start(server):
            self.compute.reboot_server(server, 'SOFT')
        self.compute.stop_server(server)
        self.wait_status(server, 'SHUTOFF')
        self.compute.start_server(server)
        server = self.wait_status(server, 'ACTIVE')
        image = cloud.create_image_snapshot(self.name, server, wait=True)
        self.addCleanup(cloud.delete_image, image.id, wait=True)
        self.assertEqual('active', image.status)
        self.assertEqual('docker', image.properties['img_hv_type'])
        self.check(server, address.floating_ip_address, volume.id)
        self.assertTrue(cloud.delete_server(
            server.id, wait=True, delete_ips=True, timeout=120))
        base.wait_for('the volume is free', lambda: (
            cloud.get_volume(volume.id).status == 'available'))
        self.assertEqual([], self.containers(server))
        self.assertIsNone(cloud.get_floating_ip(address.id))
