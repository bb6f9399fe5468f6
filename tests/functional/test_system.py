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

"""System containers: a Debian whose first process is systemd."""

import os
import pathlib
import subprocess
import time

from nova_docker.cdi import hook
from nova_docker.spec import names
from tests.fixtures import debian
from tests.functional import base

#: What has a limit of the flavor, with cgroup v1 and with cgroup v2.
LIMITS = (
    'memory/memory.limit_in_bytes', 'memory/memory.memsw.limit_in_bytes',
    'pids/pids.max', 'cpu/cpu.cfs_quota_us', 'cpu/cpu.shares',
    'cpuset/cpuset.cpus', 'devices/devices.allow', 'freezer/freezer.state',
    'memory.max', 'memory.swap.max', 'pids.max', 'cpu.max', 'cpu.weight',
    'cpuset.cpus', 'cgroup.freeze', 'cgroup.max.descendants')


class SystemTest(base.FunctionalTestCase):

    def setUp(self):
        super().setUp()
        self.image_id = self.add_image(b'-', checksum='de', properties={
            # Which would wait for a metadata service, and makes the keys
            # without which sshd fails, after five tries.
            'docker_command': '/sbin/init cloud-init=disabled '
                              'systemd.mask=ssh.service',
            'docker_system_container': 'true'})
        subprocess.run(
            ['docker', 'tag', debian.image(os.environ['DOCKER_HOST']),
             names.image_reference(self.image_id, 'de')], check=True)
        self.flavor_id = self.admin_api.post_flavor(
            {'flavor': {'name': 'system', 'id': '1002', 'vcpus': 1,
                        'ram': 512, 'disk': 1}})['id']

    def execute(self, server, *command):
        """Exit status and output of a command in the server."""
        done = subprocess.run(
            ['docker', 'exec', names.container_name(server['id']), *command],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=100)
        return done.returncode, done.stdout

    def assert_up(self, server):
        """All units started, and none failed."""
        for _ in range(600):
            _status, output = self.execute(
                server, 'systemctl', 'is-system-running', '--wait')
            # Not before its bus is there.
            if output in ('running\n', 'degraded\n'):
                break
            time.sleep(0.2)
        self.assertEqual((0, ''), self.execute(
            server, 'systemctl', '--failed', '--no-legend'))
        self.assertEqual('running\n', output)

    def test_life(self):
        server = self.boot()
        self.assert_up(server)
        name = self.container(server)['Config']['Hostname']
        self.assertEqual((0, f'{name}\n'), self.execute(server, 'hostname'))
        console = self.console(server, f'{name} console')
        self.assertIn('Multi-User System', console)
        self.assertIn(f'{name} console', console)
        self.assert_sudo_works(server)
        # Not killed at its timeout, which is longer on a busy machine.
        self.flags(shutdown_timeout=60)
        self.act(server, {'os-stop': {}}, 'SHUTOFF')
        self.assertEqual(0, self.container(server)['State']['ExitCode'])
        self.act(server, {'os-start': {}}, 'ACTIVE')
        self.assert_up(server)
        for kind in ('SOFT', 'HARD'):
            before = self.container(server)['State']['StartedAt']
            self.act(server, {'reboot': {'type': kind}}, 'ACTIVE')
            self.assertNotEqual(before,
                                self.container(server)['State']['StartedAt'])
            self.assert_up(server)
        for command in ('poweroff', 'reboot'):
            self.execute(server, 'systemctl', '--no-block', command)
            self._wait_for_state_change(server, 'SHUTOFF')
            self.act(server, {'os-start': {}}, 'ACTIVE')
            self.assert_up(server)
        self.delete(server)

    def assert_sudo_works(self, server):
        self.assertEqual((0, ''), self.execute(
            server, 'sh', '-c', 'useradd -m a && echo "a ALL=(ALL) '
            'NOPASSWD:ALL" > /etc/sudoers.d/a'))
        self.assertEqual((0, '0\n'), self.execute(
            server, 'runuser', 'a', '-c', 'sudo id -u'))

    @base.one_nova
    def test_isolation(self):
        server = self.boot()
        self.assert_up(server)
        # It keeps its services apart, in control groups of its own.
        own = '/sys/fs/cgroup' + (
            '/systemd' if self.engine.info()['CgroupVersion'] == '1' else '')
        status, output = self.execute(
            server, 'cat', '/proc/self/mountinfo')
        writable = [
            line.split()[3:6] for line in output.splitlines()
            if ' - cgroup' in line and line.split()[5].startswith('rw')]
        self.assertEqual([['/', own, 'rw,nosuid,nodev,noexec,relatime']],
                         writable)
        self.assertEqual(0, self.execute(
            server, 'test', '-d', f'{own}/system.slice/dbus.service')[0])
        # Its limits are out of its reach.
        tried = 0
        for name in LIMITS:
            path = f'/sys/fs/cgroup/{name}'
            if self.execute(server, 'test', '-e', path)[0]:
                continue
            tried += 1
            for command in (f'cat {path} > {path}', f'echo 1 > {path}',
                            f'echo -1 > {path}', f'echo max > {path}'):
                self.assertNotEqual(
                    0, self.execute(server, 'sh', '-c', command)[0], command)
        self.assertGreater(tried, 4)
        for command in ('mount -o remount,bind,rw /sys/fs/cgroup/memory',
                        'mount -t cgroup -o memory cgroup /mnt',
                        'mount -t cgroup2 cgroup2 /mnt',
                        'unshare --mount true', 'unshare --user true',
                        'mknod /tmp/a b 8 0',
                        'mkdir /sys/fs/cgroup/memory/a'):
            self.assertNotEqual(
                0, self.execute(server, *command.split())[0], command)
        self.assertEqual(512 << 20, self.memory_limit(server))
        self.delete(server)

    def memory_limit(self, server):
        """Bytes of the server's limit, as the host has it."""
        pid = self.container(server)['State']['Pid']
        for line in pathlib.Path(f'/proc/{pid}/cgroup').open():
            _number, controllers, path = line.rstrip().split(':', 2)
            if controllers == 'memory':
                file = pathlib.Path(f'/sys/fs/cgroup/memory{path}',
                                    'memory.limit_in_bytes')
                break
        else:
            # systemd moves itself one down.
            file = pathlib.Path(f'/sys/fs/cgroup{path}').parent / 'memory.max'
        return int(file.read_text())

    @base.one_nova
    def test_a_host_that_can_not(self):
        server = self.boot()
        path, = hook.system_command(self.state_dir)
        with open(path, 'w') as file:
            file.write('#!/bin/sh\necho "nova-docker: no system container '
                       'can run here: why" >&2\nexit 1\n')
        self.act(server, {'reboot': {'type': 'HARD'}}, 'ERROR')
        self.assertIn('no system container can run here: why',
                      self.fault(server))
        hook.install(self.state_dir)
        self.act(server, {'reboot': {'type': 'HARD'}}, 'ACTIVE')
        self.assert_up(server)
        self.delete(server)
