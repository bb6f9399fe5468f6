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

"""A server with a Docker Engine of its own, as docker-machine made them."""

import base64
import json
import pathlib

import docker
import openstack
import requests

from tests.fixtures import busybox
from tests.fixtures import commands
from tests.fixtures import tls
from tests.integration.cloud import base
from tests.integration.cloud import system

PORT = 2376
FLAVOR = {'ram': 768, 'vcpus': 1, 'disk': 2, 'ephemeral': 1}
SPECS = {'docker:nesting': 'true',
         'trait:CUSTOM_DOCKER_PRIVILEGED': 'required'}
#: Its engine shall listen where its configuration says.
DROP_IN = '[Service]\nExecStart=\nExecStart=dockerd\n'
#: Writes what is left of a life before, and serves it.
COMMAND = ['sh', '-c', 'echo life >> /data/lives && '
           'exec httpd -f -p 80 -h /data']


class NestedTest(system.SystemTestCase):

    image = 'docker-host'

    def setUp(self):
        super().setUp()
        with openstack.connect(cloud='nova-docker') as admin:
            flavor = admin.compute.create_flavor(name='docker.host', **FLAVOR)
            admin.compute.create_flavor_extra_specs(flavor, SPECS)
        self.addCleanup(self.remove_flavor, flavor)
        self.authority = self.useFixture(tls.Authority())
        self.inbound = self.security_group()
        for port in (22, PORT, 8080):
            self.allow(self.inbound, protocol='tcp', port_range_min=port,
                       port_range_max=port)

    @staticmethod
    def remove_flavor(flavor):
        with openstack.connect(cloud='nova-docker') as admin:
            admin.compute.delete_flavor(flavor)

    def user_data(self, address):
        """What cloud-init makes an engine with TLS of, at an address."""
        certificate, key = self.authority.issue('server', address)
        network = self.network.find_network('private')
        config = {
            'hosts': ['fd://', f'tcp://0.0.0.0:{PORT}'], 'tlsverify': True,
            'tlscacert': '/etc/docker/ca.pem',
            'tlscert': '/etc/docker/server.pem',
            'tlskey': '/etc/docker/server-key.pem',
            'data-root': '/mnt/ephemeral0/docker', 'mtu': network.mtu}
        files = {
            '/etc/docker/ca.pem': self.authority.ca_file,
            '/etc/docker/server.pem': certificate,
            '/etc/docker/server-key.pem': key}
        contents = {
            **{path: pathlib.Path(file).read_text()
               for path, file in files.items()},
            '/etc/docker/daemon.json': json.dumps(config),
            '/etc/systemd/system/docker.service.d/machine.conf': DROP_IN}
        # JSON is YAML.
        cloud_config = {
            'write_files': [
                {'path': path, 'content': content, 'permissions': '0600'}
                for path, content in contents.items()],
            'runcmd': ['systemctl daemon-reload',
                       'systemctl restart docker']}
        return base64.b64encode(
            f'#cloud-config\n{json.dumps(cloud_config)}'.encode()).decode()

    def client(self, address):
        """What "docker -H tcp://ADDRESS:2376 --tlsverify" is."""
        client = docker.DockerClient(
            f'tcp://{address}:{PORT}', version='1.41',
            tls=docker.tls.TLSConfig(
                client_cert=self.authority.issue('client', address),
                ca_cert=self.authority.ca_file, verify=True))
        self.addCleanup(client.close)
        # REQUESTS_CA_BUNDLE would win over its CA.
        client.api.trust_env = False
        return client

    def wait_engine(self, engine):
        def answers():
            try:
                return engine.ping()
            except (requests.RequestException, docker.errors.APIError):
                return False
        base.wait_for('an engine in the server', answers, 240)

    def served(self, address):
        """What the container that is published says."""
        def fetched():
            try:
                return requests.get(f'http://{address}:8080/lives',
                                    timeout=5).text
            except requests.RequestException:
                return None
        return base.wait_for('the published port', fetched)

    def assert_nothing_on_host(self, host, container_id):
        """Not even control groups of containers in the server."""
        self.assert_becomes('', lambda: host.run(
            'find', '/sys/fs/cgroup', '-name', container_id))

    def test_containers_in_a_server(self):
        public = self.network.find_network('public')
        floating = self.network.create_ip(floating_network_id=public.id)
        self.addCleanup(self.network.delete_ip, floating)
        address = floating.floating_ip_address
        server = self.create(
            'docker-host', image=self.image, flavor='docker.host',
            key_name='system', user_data=self.user_data(address),
            security_groups=[{'name': self.inbound.name}])
        self.network.update_ip(
            floating, port_id=next(self.network.ports(device_id=server.id)).id)
        self.wait_up(address, server)
        engine = self.client(address)
        self.wait_engine(engine)
        self.assertEqual('overlay2', engine.info()['Driver'])
        # Whoever has no certificate of its owner is nobody.
        self.assertRaises(
            requests.RequestException, requests.get,
            f'https://{address}:{PORT}/_ping', timeout=30,
            verify=self.authority.ca_file)
        image, = engine.images.load(busybox.archive())
        self.assertEqual(b'hello\n', engine.containers.run(
            image, ['echo', 'hello'], remove=True))
        # Its limits are within those of the server, or it would not start.
        web = engine.containers.run(
            image, COMMAND, detach=True, ports={'80/tcp': 8080},
            mem_limit='32m', volumes={'data': {'bind': '/data'}},
            restart_policy={'Name': 'always'})
        self.assertEqual('life\n', self.served(address))
        with self.another_start(server):
            self.compute.reboot_server(server, 'SOFT')
        self.wait_up(address, server)
        self.wait_engine(engine)
        self.assertEqual('life\nlife\n', self.served(address))
        self.assertEqual((0, '32\n'), commands.run(engine.api, web.id, [
            'sh', '-c', 'echo $(($(cat /sys/fs/cgroup/memory.max 2> /dev/null'
            ' /sys/fs/cgroup/memory/memory.limit_in_bytes) >> 20))']))
        host, container_id = self.host_of(server), self.container(server)['Id']
        self.delete(server)
        self.assert_nothing_on_host(host, container_id)
