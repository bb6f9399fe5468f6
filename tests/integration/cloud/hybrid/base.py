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

"""What the tests of a cloud with virtual machines share."""

import contextlib
import json
import os
import pathlib
import subprocess
import uuid

import openstack

from evalcloud import libvirtd
from evalcloud import settings
from tests.integration.cloud import base

#: Image, and flavor, of a virtual machine: its kernel needs that much.
IMAGE = settings.VM_IMAGE
FLAVOR = 'm1.tiny'
#: QEMU translates each instruction, and shares the CPUs with others.
BOOT_SECONDS = 600
#: What an image, or a flavor, asks for Docker hosts with.
ASKS = {f'trait:{settings.TRAIT}': 'required'}


wait_for = base.wait_for


class VMHost:
    """The host of virtual machines, seen from outside Nova.

    :param host: evalcloud.hosts.Host
    """

    def __init__(self, host):
        self._host = host
        self.name = host.name

    def _run(self, *command):
        return subprocess.check_output(
            [*self._host.enter, *command], text=True,
            env={**os.environ, **self._host.runtime})

    def domains(self):
        """Names of what libvirt knows, running or not."""
        return set(self._run('virsh', '--connect', libvirtd.url(self._host),
                             'list', '--all', '--name').split())

    def has(self, server):
        """Whether a server is one of its virtual machines."""
        return server.id in self._run(
            'virsh', '--connect', libvirtd.url(self._host), 'list', '--all',
            '--uuid').split()

    def process(self, server):
        """Process of a server's QEMU."""
        [pid] = [int(entry.name) for entry in pathlib.Path('/proc').iterdir()
                 if entry.name.isdigit() and self._is(entry, server)]
        return pid

    @staticmethod
    def _is(entry, server):
        with contextlib.suppress(OSError):
            words = (entry / 'cmdline').read_bytes().decode().split('\0')
            return 'qemu' in words[0] and server.id in words
        return False

    def traces(self):
        """All that virtual machines have there, by kind."""
        links = json.loads(self._run('ip', '-json', 'link'))
        instances = self._host.data / 'nova' / 'instances'
        return {
            'domains': self.domains(),
            'ports of br-int': set(self._run(
                'ovs-vsctl', '--timeout=30', 'list-ports', 'br-int').split()),
            'links': {each['ifname'] for each in links},
            # Those that are not named so are Nova's own.
            'files': {file.name for file in instances.glob('*-*-*-*-*')},
        }


class HybridTestCase(base.CloudTestCase):
    """A test of a cloud that has both; nothing is left on either."""

    def setUp(self):
        cloud = settings.load(base.state_dir())
        if not cloud.vm_hosts:
            self.skipTest('the cloud has no host of virtual machines')
        super().setUp()
        [host] = cloud.vm_hosts
        self.vm_host = VMHost(host)
        self.addCleanup(self.assert_nothing_left, self.vm_host,
                        self.vm_host.traces())
        self.admin = openstack.connect(cloud='nova-docker')

    def build_vm(self, name, **options):
        """A virtual machine to be; deleted at the end of the test."""
        return self.build(name, **{'image': IMAGE, 'flavor': FLAVOR,
                                   **options})

    def wait_host(self, server):
        """Wait until a server is ACTIVE; the name of its host."""
        server = self.wait_status(server, 'ACTIVE')
        return self.admin.compute.get_server(server.id).hypervisor_hostname

    def wait_console(self, server, *texts):
        """Wait for lines of the server's console log."""
        def printed():
            lines = {line.strip() for line in
                     self.console(server).splitlines()}
            return set(texts) <= lines
        base.wait_for(f'{texts} on the console of {server.name}', printed,
                      BOOT_SECONDS)

    def assert_refused(self, server):
        """No host takes the server, and it is on none."""
        def failed():
            now = self.compute.get_server(server.id)
            return now if now.status in ('ERROR', 'ACTIVE') else None
        now = base.wait_for(f'{server.name} refused', failed, 120)
        self.assertEqual('ERROR', now.status)
        self.assertIn('No valid host was found', now.fault['message'])
        self.assertEqual([], self.containers(server))
        self.assertFalse(self.vm_host.has(server))

    def disable(self, host):
        """Take no new servers on a host until the end of the test."""
        [service] = self.admin.compute.services(binary='nova-compute',
                                                host=host)
        self.addCleanup(self._enable, service)
        self.admin.compute.disable_service(
            service, disabled_reason='a test of images')
        # The scheduler knows by a trait that nova-compute sets.
        self._wait_trait(host, disabled=True)

    def _enable(self, service):
        self.admin.compute.enable_service(service)
        self._wait_trait(service.host, disabled=False)

    def _wait_trait(self, host, disabled):
        placement = self.admin.placement
        [provider] = placement.resource_providers(name=host)

        def reached():
            traits = placement.get(
                f'/resource_providers/{provider.id}/traits',
                microversion='1.6').json()['traits']
            return ('COMPUTE_STATUS_DISABLED' in traits) == disabled
        base.wait_for(f'trait of {host}', reached)

    def image(self, file, **options):
        """An image of the user's own; its id."""
        image = self.cloud.create_image(
            f'image-{uuid.uuid4().hex}', filename=str(file), wait=True,
            **{'container_format': 'bare', **options})
        self.addCleanup(self.cloud.image.delete_image, image.id)
        return image.id

    def flavor(self, **specs):
        """A flavor with extra specs; its id."""
        compute = self.admin.compute
        flavor = compute.create_flavor(
            name=f'flavor-{uuid.uuid4().hex}', ram=256, vcpus=1, disk=1)
        self.addCleanup(compute.delete_flavor, flavor)
        compute.create_flavor_extra_specs(flavor, specs)
        return flavor.id
