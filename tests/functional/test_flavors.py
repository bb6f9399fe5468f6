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


"""What the flavor says is what the server has, seen from inside."""

import dataclasses
import glob
import json
import os
import subprocess

import fixtures
from nova.tests.functional.api import client as api_client
from nova.virt import hardware

from nova_docker.host import blocks
from nova_docker.host import numa
from nova_docker.host import pci
from nova_docker.spec import names
from tests.functional import base

#: An extra spec and its value, a command in the server, and what it prints.
EFFECTS = (
    ('docker:pids_limit', '99', 'cat /sys/fs/cgroup/pids/pids.max '
     '/sys/fs/cgroup/pids.max', '99'),
    ('docker:memory_reservation_mb', '32', 'cat '
     '/sys/fs/cgroup/memory/memory.soft_limit_in_bytes '
     '/sys/fs/cgroup/memory.low', str(32 << 20)),
    ('docker:shm_size_mb', '8', 'grep -o "shm .*size=8192k" /proc/mounts | '
     'wc -l', '1'),
    ('docker:oom_score_adj', '77', 'cat /proc/1/oom_score_adj', '77'),
    # Of the first process: what runc executes may have runc's own.
    ('docker:ulimit_nofile', '77:99',
     'awk "/open files/ {print \\$4, \\$5}" /proc/1/limits', '77 99'),
    ('docker:sysctl_net.core.somaxconn', '77',
     'cat /proc/sys/net/core/somaxconn', '77'),
    ('docker:sysctl_kernel.msgmax', '77', 'cat /proc/sys/kernel/msgmax',
     '77'),
    ('docker:tmpfs', '/srv:size=1m', 'grep -c " /srv tmpfs" /proc/mounts',
     '1'),
    # The engine's default, without MKNOD and SETFCAP and with IPC_LOCK.
    ('docker:cap_add', 'IPC_LOCK', 'grep -o "CapBnd.*" /proc/1/status',
     'CapBnd:\t00000000200465fb'),
    ('docker:cap_drop', 'SETFCAP', 'true', ''),
    ('docker:security_opt', 'no-new-privileges:false',
     'grep NoNewPrivs /proc/1/status', 'NoNewPrivs:\t0'),
    ('docker:seccomp_profile', 'mine', 'mkdir /x && echo made', ''),
    ('docker:devices', '/dev/fuse:/dev/x:r',
     'stat -c %F /dev/x; (: < /dev/x) && echo read; '
     '(: > /dev/x) && echo written', 'character special file\nread'),
    ('docker:runtime', 'runc', 'true', ''),
)
SECCOMP = {'defaultAction': 'SCMP_ACT_ALLOW', 'syscalls': [
    {'names': ['mkdir', 'mkdirat'], 'action': 'SCMP_ACT_ERRNO'}]}


class FlavorTestCase(base.FunctionalTestCase):

    def setUp(self):
        super().setUp()
        # As of clients that are of today.
        self.admin_api.microversion = 'latest'

    def add(self, **specs):
        """Have the flavor say more."""
        self.admin_api.post_extra_spec(self.flavor_id, {'extra_specs': specs})

    def inside(self, server, command):
        """What a command prints in a server."""
        return subprocess.run(
            ['docker', 'exec', names.container_name(server['id']), 'sh', '-c',
             command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, timeout=100).stdout.rstrip('\n')

    def restart(self, **options):
        self.flags(group='docker', **options)
        self.compute = self.restart_compute_service(self.compute)


class EffectsTest(FlavorTestCase):

    def test_each_has_its_effect(self):
        directory = self.useFixture(fixtures.TempDir()).path
        with open(os.path.join(directory, 'mine.json'), 'w') as file:
            json.dump(SECCOMP, file)
        self.restart(seccomp_profiles_dir=directory,
                     allowed_devices=['/dev/fuse'])
        self.add(**{name: value for name, value, *_others in EFFECTS})
        server = self.boot()
        for name, _value, command, wanted in EFFECTS:
            self.assertEqual(wanted, self.inside(server, command), name)
        self.delete(server)
        self.assert_nothing_left()

    def test_the_api_refuses(self):
        for name, value in (('docker:typo', '1'), ('docker:init', 'perhaps'),
                            ('docker:ulimit_nproc', '9'),
                            ('docker:tmpfs', '/etc')):
            error = self.assertRaises(
                api_client.OpenStackApiException, self.add, **{name: value})
            self.assertEqual(400, error.response.status_code)
            self.assertIn(name, str(error))

    def test_read_only_files(self):
        self.add(**{'docker:read_only_rootfs': 'true',
                    'docker:tmpfs': '/run'})
        server = self.boot()
        self.assertEqual('no', self.inside(
            server, 'touch /x || echo no; touch /run/x'))
        self.delete(server)

    def test_limits_of_disks(self):
        self.restart(root_disk='filesystem')
        self.add(**{'quota:disk_read_bytes_sec': '12345678'})
        server = self.boot()
        image, = glob.glob(f'{self.state_dir}/disks/{server["id"]}/root-*')
        disk = blocks.disk_of(self.engine.info()['DockerRootDir'])
        self.assertEqual(
            {'{}:{}'.format(*each) for each in (disk, blocks.loop_of(image))},
            {line.split()[0] for line in self.inside(
                server, 'grep -h 12345678 '
                '/sys/fs/cgroup/blkio/blkio.throttle.read_bps_device '
                '/sys/fs/cgroup/io.max').splitlines()})
        self.delete(server)


class PowerTest(FlavorTestCase):

    def test_only_where_the_host_allows_it(self):
        self.add(**{'docker:nesting': 'true'})
        # Nova has tried all hosts.
        self.assertIn('Exhausted all hosts', self.fault(self.boot('ERROR')))
        self.assert_nothing_left()

    def test_nesting(self):
        """It mounts, and makes namespaces and control groups."""
        self.restart(allow_privileged=True)
        self.add(**{'docker:nesting': 'true'})
        server = self.boot()
        self.assertEqual('tmpfs', self.inside(
            server, 'mkdir /m && mount -t tmpfs x /m && stat -f -c %T /m'))
        self.assertEqual('made', self.inside(
            server, 'for group in /sys/fs/cgroup /sys/fs/cgroup/*/; do '
            '[ ! -e $group/cgroup.procs ] || { mkdir $group/x && '
            'rmdir $group/x; } || exit; done; echo made'))
        self.assertEqual('1', self.inside(
            server, 'echo 1 > /proc/sys/net/ipv4/ip_forward; '
            'cat /proc/sys/net/ipv4/ip_forward'))
        # Which is the host's.
        self.assertEqual('', self.inside(
            server, 'echo 1 > /proc/sys/kernel/panic && echo written'))
        # No disk of the host.
        self.assertEqual('0', self.inside(
            server, 'ls -l /dev | grep -c ^b'))
        self.delete(server)

    def test_privileged(self):
        self.restart(allow_privileged=True)
        self.add(**{'docker:privileged': 'true'})
        server = self.boot()
        self.assertNotEqual('0', self.inside(
            server, 'ls -l /dev | grep -c ^b'))
        self.delete(server)


class CpusTest(FlavorTestCase):

    def cpus(self, server):
        return hardware.parse_cpu_spec(self.inside(
            server, 'grep Cpus_allowed_list /proc/self/status | cut -f2'))

    def test_dedicated_and_shared(self):
        """All CPUs but one are for servers with their own."""
        first, *others = sorted(hardware.get_cpu_shared_set() or
                                os.sched_getaffinity(0))
        self.assertTrue(others, 'this host has one CPU')
        self.flags(group='compute', cpu_shared_set=str(first),
                   cpu_dedicated_set=','.join(map(str, others)))
        self.restart()
        self.api.microversion = 'latest'
        shared = self.boot(networks='none')
        self.assertEqual({first}, self.cpus(shared))
        self.add(**{'hw:cpu_policy': 'dedicated'})
        servers = [self.boot(networks='none') for _cpu in others]
        self.assertEqual(
            [{cpu} for cpu in others],
            sorted((self.cpus(server) for server in servers), key=min))
        self.boot('ERROR', networks='none')


class DevicesTest(FlavorTestCase):
    """Devices of the host that a server has for itself; there are none."""

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            pci, 'nodes', autospec=True, return_value=['/dev/fuse']))

    def vendor(self):
        """What a vendor's tools write for the engine."""
        path = os.path.join(self.cdi_dir, 'example.json')
        with open(path, 'w') as file:
            json.dump({
                'cdiVersion': '0.6.0', 'kind': 'example.com/gpu', 'devices': [
                    {'name': 'half', 'containerEdits': {'env': ['GPU=half']}}]
            }, file)
        self.addCleanup(os.unlink, path)

    def test_pci_device(self):
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
        self.add(**{'pci_passthrough:alias': 'gpu:1'})
        server = self.boot()
        opened = '(: < /dev/fuse) && stat -c %t:%T /dev/fuse'
        self.assertEqual('a:e5', self.inside(server, opened))
        for action, state in (({'os-stop': None}, 'SHUTOFF'),
                              ({'os-start': None}, 'ACTIVE')):
            self.act(server, action, state)
        self.assertEqual('a:e5', self.inside(server, opened))
        self.delete(server)
        self.assert_nothing_left()

    def test_part_of_a_gpu(self):
        self.vendor()
        self.restart(vgpu_devices=['example.com/gpu=half'])
        self.add(**{'resources:VGPU': '1'})
        self.api.microversion = 'latest'
        server = self.boot(networks='none')
        self.assertEqual('GPU=half', self.inside(
            server, 'tr "\\0" "\\n" < /proc/1/environ | grep GPU'))
        # Placement has no other one.
        self.assertIn('No valid host', self.fault(
            self.boot('ERROR', networks='none')))


class PagesTest(FlavorTestCase):

    def test_file_system(self):
        node, = numa.read()[:1]
        self.useFixture(fixtures.MockPatchObject(
            numa, 'read', autospec=True, return_value=[
                dataclasses.replace(node, pages={2048: 64})]))
        self.useFixture(fixtures.MockPatchObject(
            numa, 'limits_pages', autospec=True, return_value=True))
        self.restart()
        self.add(**{'hw:mem_page_size': '2048'})
        server = self.boot()
        mounted = self.inside(server, 'grep hugetlbfs /proc/mounts')
        for word in ('/dev/hugepages-2048kB', 'pagesize=2M',
                     f'size={32 << 20}'):
            self.assertIn(word, mounted)
        self.delete(server)
