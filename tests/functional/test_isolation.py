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

"""What keeps a server in, found out from inside, of every kind of server.

The lines are those of doc/source/admin/isolation.rst, whose tables are read.
"""

import contextlib
import csv
import glob
import json
import os
import pathlib
import signal
import subprocess
import uuid

import fixtures

from nova_docker.spec import names
from tests.fixtures import cis
from tests.fixtures import debian
from tests.fixtures import dockerd
from tests.functional import base

_PROGRAMS = pathlib.Path(__file__).parents[1] / 'fixtures'
_TABLE = (pathlib.Path(__file__).parents[2] /
          'doc/source/admin/isolation.csv')
#: What a server finds, see tests/fixtures/inside.py.
LINES = {
    'capabilities': 'AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL '
                    'NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID '
                    'SYS_CHROOT',
    'new_privileges': 'no',
    'seccomp': 'filter',
    'system_calls': [],
    'hypervisor': 'closed',
    'priority': [],
    'set_user_id': 'caller',
    'file_capabilities': [],
    'masked': [],
    'writable': [],
    'devices': ['full', 'null', 'pts/ptmx', 'random', 'tty', 'urandom',
                'zero'],
    'device_nodes': [],
    'mounts': ['/', '/etc/hostname', '/etc/hosts', '/etc/resolv.conf'],
    'root': 'held',
    'user': 'root',
    'interfaces': ['eth0', 'lo'],
    'listeners': [],
    'engines': [],
}
#: What a kind does not have.
OPEN = object()
#: That a server has to itself.
NAMESPACES = ('cgroup', 'ipc', 'mnt', 'net', 'pid', 'uts')
#: What a server takes, and what stops it.
BOMBS = {
    'processes': 'EAGAIN', 'files': 'EMFILE', 'watchers': 'EMFILE',
    'terminals': 'EMFILE', 'log': 'written', 'disk': 'ENOSPC'}
#: What the documentation tells an operator to raise.
SYSCTLS = {'fs/inotify/max_user_instances': '1048576',
           'kernel/pty/max': '1048576'}
#: What a server with an engine of its own finds, where that is not the same.
NESTING = {
    'capabilities': ' '.join(sorted([
        *LINES['capabilities'].split(), 'MKNOD', 'NET_ADMIN', 'SYS_ADMIN',
        'SYS_PTRACE'])),
    'new_privileges': 'yes', 'seccomp': 'none', 'system_calls': OPEN,
    'hypervisor': 'open', 'set_user_id': 'root',
    'file_capabilities': ['NET_RAW', 'SYS_ADMIN'],
    'writable': ['/proc/sys/net', '/sys/fs/cgroup'],
    'device_nodes': ['made'],
}


class KindTestCase(base.FunctionalTestCase):
    """One kind of servers.

    :cvar column: of it in the tables
    :cvar differs: the lines that are not so, or OPEN
    :cvar properties: of the image
    :cvar specs: of the flavor
    """

    column = 'What every server has'
    cis_column = 'Every server'
    differs = {}
    properties = {'docker_command': 'sleep inf'}
    specs = {}
    bombs = BOMBS

    def setUp(self):
        super().setUp()
        for name, value in SYSCTLS.items():
            setting = pathlib.Path('/proc/sys', name)
            self.addCleanup(setting.write_text, setting.read_text())
            setting.write_text(value)
        self.flags(group='docker', allow_privileged=True)
        self.compute = self.restart_compute_service(self.compute)
        self.admin_api.microversion = 'latest'
        self.flavor_id = self.flavor(self.specs)
        self.image_id = self.image('k1', self.properties)

    def flavor(self, specs):
        made = self.admin_api.post_flavor({'flavor': {
            'name': uuid.uuid4().hex,
            'vcpus': 1, 'ram': 256, 'disk': 1}})['id']
        self.admin_api.post_extra_spec(made, {'extra_specs': {
            'docker:pids_limit': '100', 'docker:log_max_size_mb': '1',
            'docker:log_max_files': '2',
            'docker:ulimit_nofile': '1024:20000', **specs}})
        return made

    def image(self, checksum, properties):
        made = self.add_image(b'-', checksum, properties=properties)
        self.engine_has(made, checksum)
        return made

    def engine_has(self, image_id, checksum):
        subprocess.run(
            ['docker', 'tag', debian.image(os.environ['DOCKER_HOST']),
             names.image_reference(image_id, checksum)], check=True)

    def neighbour(self):
        """An ordinary server beside it."""
        self.neutron.create_port({'port': self.neutron.port_2})
        return self.boot(
            networks=[{'port': self.neutron.port_2['id']}],
            imageRef=self.image('k2', {'docker_command': 'sleep 271828'}))

    @contextlib.contextmanager
    def python(self, server, name, *arguments):
        """A program of the fixtures that runs in a server."""
        with subprocess.Popen(
                ['docker', 'exec', '-i', names.container_name(server['id']),
                 'python3', '-c', (_PROGRAMS / name).read_text(), *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                text=True) as process:
            yield process

    def check(self):
        server, neighbour = self.boot(), self.neighbour()
        self.assert_documented()
        self.assert_lines(server, LINES | self.differs)
        self.assertEqual(cis.documented(self.cis_column), cis.seen(
            self.container(server), self.engine.info()))
        self.assert_namespaces(server, neighbour)
        self.assert_exhausts_itself(server, neighbour)
        self.assert_counts_its_connections(server, neighbour)
        for each in (server, neighbour):
            self.api.delete_server(each['id'])
            self._wait_until_deleted(each)
        self.assert_nothing_left()

    def assert_documented(self):
        """The table has all lines, and says which differ."""
        with _TABLE.open(newline='') as file:
            rows = {row['Line']: row[self.column]
                    for row in csv.DictReader(file)}
        self.assertEqual(set(LINES), set(rows))
        if self.differs:
            self.assertEqual(set(self.differs), {
                line for line, said in rows.items() if said})

    def assert_lines(self, server, lines):
        with self.python(server, 'inside.py') as process:
            found = json.loads(process.communicate()[0])
        own = self.container(server)['Id']
        self.assertLessEqual(set(found.pop('containers')), {own})
        self.assertNotIn('271828', str(found.pop('processes')))
        for line, wanted in lines.items():
            if wanted is OPEN:
                self.assertNotEqual(LINES[line], found.pop(line), line)
        self.assertEqual(
            {line: wanted for line, wanted in lines.items()
             if wanted is not OPEN}, found)

    def namespaces(self, pid):
        return {name: os.readlink(f'/proc/{pid}/ns/{name}')
                for name in NAMESPACES}

    def assert_namespaces(self, server, neighbour):
        of = [self.namespaces(pid) for pid in (
            'self', *(self.container(each)['State']['Pid']
                      for each in (server, neighbour)))]
        for name in NAMESPACES:
            self.assertEqual(3, len({each[name] for each in of}), name)

    def assert_exhausts_itself(self, server, neighbour):
        before = [self.life(each) for each in (server, neighbour)]
        for name, wanted in self.bombs.items():
            with self.python(server, 'exhaust.py', name) as process:
                said = process.stdout.readline()
                self.assertEqual([wanted], said.split()[:1], said)
                self.assertEqual('fine\n', self.succeeds(neighbour, (
                    'set -e; sh -c true; echo x > /file; rm /file; '
                    'python3 -c "import ctypes, os; '
                    'os.open(\'/dev/ptmx\', os.O_RDWR); '
                    'assert ctypes.CDLL(None).inotify_init() >= 0"; '
                    'echo fine')), name)
        with self.python(server, 'exhaust.py', 'memory') as process:
            self.assertEqual('', process.communicate()[0])
        log = self.container(server)['LogPath']
        size = sum(os.stat(path).st_size for path in glob.glob(f'{log}*'))
        # A line may be beyond it.
        self.assertGreater(size, 1 << 20)
        self.assertLess(size, 3 << 20)
        # Killed, and nothing else.
        self.assertEqual(128 + signal.SIGKILL, process.returncode)
        self.assertEqual(before, [
            self.life(each) for each in (server, neighbour)])

    def assert_counts_its_connections(self, server, neighbour):
        """In a table of its own; somebody inside has to look at them."""
        enter = [['nsenter', f'--net=/proc/{pid}/ns/net'] for pid in (
            self.container(each)['State']['Pid']
            for each in (server, neighbour))]
        for prefix in enter:
            subprocess.run([
                *prefix, 'iptables', '-A', 'OUTPUT', '-m', 'conntrack',
                '--ctstate', 'NEW', '-j', 'ACCEPT'], check=True)
        with self.python(server, 'exhaust.py', 'connections') as process:
            self.assertEqual('sent\n', process.stdout.readline())
        counts = [int(subprocess.check_output(
            [*prefix, 'cat', '/proc/sys/net/netfilter/nf_conntrack_count']))
            for prefix in (*enter, [])]
        self.assertGreater(counts[0], 9000)
        self.assertLess(max(counts[1:]), 1000)

    def life(self, server):
        state = self.container(server)['State']
        return state['Running'], state['StartedAt']


class DefaultTest(KindTestCase):

    # It takes a while, and the disks of all kinds are alike.
    bombs = BOMBS | {'inodes': 'ENOSPC'}

    @base.one_nova
    def test_isolation(self):
        self.check()


class RemappedTest(KindTestCase):

    column = 'Remapped users'
    differs = {'user': 'nobody'}
    specs = {'docker:userns': 'remap'}

    def setUp(self):
        self.useFixture(fixtures.EnvironmentVariable(
            'DOCKER_HOST',
            self.useFixture(dockerd.Dockerd(userns_remap=True)).url))
        super().setUp()

    @base.one_nova
    def test_isolation(self):
        self._run_periodics()
        self.assertIn('CUSTOM_DOCKER_USERNS_REMAP',
                      self._get_provider_traits(
                          self._get_provider_uuid_by_host('host1')))
        self.check()
        # Power within its own namespaces.
        self.flavor_id = self.flavor(NestingTest.specs)
        server = self.boot()
        self.assert_lines(server, LINES | NESTING | self.differs | {
            'device_nodes': []})
        self.assertEqual('held\n', self.succeeds(server, (
            'set -e; mount -t proc proc /mnt; '
            'limit=$(find /sys/fs/cgroup -name pids.max); '
            'for file in "$limit" /mnt/sys/kernel/core_pattern '
            '/mnt/sys/vm/drop_caches; do '
            'test -e "$file"; if (: >> "$file") 2> /dev/null; then '
            'echo "$file"; fi; done; echo held')))


class SystemTest(KindTestCase):

    column = cis_column = 'System containers'
    differs = {
        'devices': ['console', *LINES['devices']],
        'new_privileges': 'yes', 'set_user_id': 'root',
        'file_capabilities': ['NET_RAW'],
        'writable': ['/sys/fs/cgroup'],
    }
    properties = {
        'docker_command': '/sbin/init cloud-init=disabled '
                          'systemd.mask=ssh.service',
        'docker_system_container': 'true'}

    @base.one_nova
    def test_isolation(self):
        self.check()


class NestingTest(KindTestCase):

    column = cis_column = '``docker:nesting``'
    differs = NESTING
    specs = {'docker:nesting': 'true'}

    @base.one_nova
    def test_isolation(self):
        self.check()
