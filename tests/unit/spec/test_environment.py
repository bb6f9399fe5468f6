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

from nova_docker.spec import environment


class PropertiesTest(base.BaseTestCase):

    def test_only_docker_properties_of_the_image(self):
        self.assertEqual(
            {'user': 'www', 'env_A': 'b'},
            environment.properties({
                'image_docker_user': 'www', 'image_docker_env_A': 'b',
                'image_os_command_line': 'x', 'docker_user': 'root'}))

    def test_only_docker_properties_of_glance(self):
        self.assertEqual(
            {'user': 'www', 'image_type': '1'}, environment.of_glance({
                'docker_user': 'www', 'docker_image_type': 1,
                'os_distro': 'debian'}))

    def test_value_that_nova_cut_is_refused(self):
        self.assertEqual({'user': 'x' * 254}, environment.properties(
            {'image_docker_user': 'x' * 254}))
        error = self.assertRaises(
            ValueError, environment.properties,
            {'image_docker_user': 'x' * 255})
        self.assertIn('docker_user', str(error))

    def test_value_that_glance_is_asked_for_again(self):
        self.assertEqual({'image_ref': 'x' * 255}, environment.properties(
            {'image_docker_image_ref': 'x' * 255}))


class ConfigTest(base.BaseTestCase):

    def test_nothing_set_leaves_it_to_the_image(self):
        self.assertEqual({}, environment.config({}, None))
        self.assertEqual({}, environment.config({}, ''))

    def test_os_command_line(self):
        self.assertEqual({'Cmd': ['sh', '-c', 'echo "a b"; sleep 1']},
                         environment.config(
                             {}, """sh -c 'echo "a b"; sleep 1'"""))

    def test_docker_command_wins(self):
        self.assertEqual({'Cmd': ['two']}, environment.config(
            {'command': 'two'}, 'one'))

    def test_command_as_json(self):
        self.assertEqual({'Entrypoint': ['/bin/a', 'b c', '']},
                         environment.config(
                             {'entrypoint': '["/bin/a", "b c", ""]'}, None))

    def test_environment_is_sorted_and_whole(self):
        self.assertEqual({'Env': ['A=', 'B=x=y']}, environment.config(
            {'env_B': 'x=y', 'env_A': ''}, None))

    def test_where_the_image_comes_from_is_none_of_it(self):
        self.assertEqual({}, environment.config(
            {'image_type': 'rootfs', 'image_ref': 'registry.test/x:1'}, None))

    def test_user_workdir_signal_tty(self):
        self.assertEqual(
            {'User': 'www:www', 'WorkingDir': '/srv', 'StopSignal': 'SIGHUP',
             'Tty': True, 'OpenStdin': True},
            environment.config({
                'user': 'www:www', 'workdir': '/srv',
                'stop_signal': 'SIGHUP', 'tty': 'yes'}, None))

    def test_signals(self):
        for value in ('SIGTERM', 'USR1', '9', 'SIGRTMIN+3'):
            self.assertEqual({'StopSignal': value}, environment.config(
                {'stop_signal': value}, None))

    def test_console(self):
        self.assertEqual([], environment.console({'tty': 'true'}))
        self.assertEqual(['sh', '-l'], environment.console(
            {'console': 'sh -l'}))
        self.assertEqual({}, environment.config({'console': 'sh'}, None))
        self.assertRaises(ValueError, environment.console,
                          {'console': '["sh", 1]'})

    def test_no_tty(self):
        self.assertEqual({'Tty': False, 'OpenStdin': False},
                         environment.config({'tty': 'false'}, None))

    def test_bad_values_are_refused_by_name(self):
        for name, value in (('command', '"unbalanced'),
                            ('command', ' '),
                            ('command', '[1, 2]'),
                            ('command', '["a"'),
                            ('entrypoint', '[]'),
                            ('env_1A', 'x'),
                            ('env_', 'x'),
                            ('tty', 'perhaps'),
                            ('workdir', 'srv'),
                            ('stop_signal', 'sigterm; reboot'),
                            ('healthcheck', 'say "'),
                            ('healthcheck_interval', '0'),
                            ('healthcheck_timeout', '1.5'),
                            ('healthcheck_start_period', '-1'),
                            ('healthcheck_retries', '100000'),
                            ('env_A', 'b\0c'),
                            ('image_type', 'disk'),
                            ('privileged', 'true')):
            error = self.assertRaises(
                ValueError, environment.config, {name: value}, None)
            self.assertIn(f'docker_{name}', str(error))

    def test_bad_os_command_line(self):
        error = self.assertRaises(
            ValueError, environment.config, {}, "sh -c 'x")
        self.assertIn('os_command_line', str(error))

    def test_healthcheck(self):
        self.assertEqual(
            {'Healthcheck': {
                'Test': ['CMD', 'curl', '-f', 'http://localhost/a b'],
                'Interval': 30 * 10**9, 'Timeout': 5 * 10**9,
                'StartPeriod': 60 * 10**9, 'Retries': 3}},
            environment.config({
                'healthcheck': "curl -f 'http://localhost/a b'",
                'healthcheck_interval': '30', 'healthcheck_timeout': '5',
                'healthcheck_start_period': '60',
                'healthcheck_retries': '3'}, None))

    def test_healthcheck_of_the_image(self):
        self.assertEqual({'Healthcheck': {'Test': ['NONE']}},
                         environment.config({'healthcheck': 'none'}, None))
        self.assertEqual({'Healthcheck': {'Retries': 9}}, environment.config(
            {'healthcheck_retries': '9'}, None))

    def test_metadata_wins(self):
        self.assertEqual({'Env': ['A=1', 'B=2', 'C=3']}, environment.config(
            {'env_A': '1', 'env_B': 'x'}, None, {'B': '2', 'C': '3'}))

    def test_properties_of_others(self):
        self.assertEqual({}, environment.config(
            {'ssh_user': 'debian', 'init': 'true', 'tmpfs': '/run'}, None))


class FlavorTest(base.BaseTestCase):

    def test_stop_timeout(self):
        self.assertEqual({'StopTimeout': 5}, environment.config(
            {}, None, docker={'stop_timeout': 5}))
        self.assertEqual({}, environment.config({}, None, docker={}))


class VariablesTest(base.BaseTestCase):

    def test_only_those_with_the_prefix(self):
        self.assertEqual({'A': '1', 'b_2': ''}, environment.variables({
            'docker_env_A': '1', 'docker_env_b_2': '', 'docker_command': 'x',
            'A': '2'}))

    def test_bad_names_and_values(self):
        for key, value in (('docker_env_', 'x'), ('docker_env_A-B', 'x'),
                           ('docker_env_1', 'x'), ('docker_env_A B', 'x'),
                           ('docker_env_A', '\0')):
            error = self.assertRaises(
                ValueError, environment.variables, {key: value})
            self.assertIn(key, str(error))


class HostConfigTest(base.BaseTestCase):

    def test_nothing(self):
        self.assertEqual({}, environment.host_config({'user': 'www'}))

    def test_init(self):
        self.assertEqual({'Init': True},
                         environment.host_config({'init': 'yes'}))
        self.assertEqual({'Init': False},
                         environment.host_config({'init': 'no'}))

    def test_tmpfs(self):
        for value, wanted in (
                ('/run', {'/run': ''}),
                ('/run,/tmp', {'/run': '', '/tmp': ''}),
                ('/run:size=64m', {'/run': 'size=64m'}),
                ('/a:mode=1777,uid=1,gid=2,exec,/b:nr_inodes=10k,noexec,/c',
                 {'/a': 'mode=1777,uid=1,gid=2,exec',
                  '/b': 'nr_inodes=10k,noexec', '/c': ''})):
            self.assertEqual({'Tmpfs': wanted},
                             environment.host_config({'tmpfs': value}))

    def test_of_the_flavor(self):
        self.assertEqual(
            {'Init': True, 'Tmpfs': {'/a': 'exec', '/b': '', '/c': ''}},
            environment.host_config(
                {'init': 'no', 'tmpfs': '/a,/c'},
                {'init': True, 'tmpfs': {'/a': 'exec', '/b': ''}}))
        self.assertEqual({'Init': True}, environment.host_config(
            {'init': 'yes'}, {'init': False}))

    def test_bad_values(self):
        for name, value in (
                ('init', 'systemd'), ('tmpfs', ''), ('tmpfs', 'run'),
                ('tmpfs', '/'), ('tmpfs', '/run/'), ('tmpfs', '/a/../etc'),
                ('tmpfs', '/etc'), ('tmpfs', '/usr/bin'), ('tmpfs', '/proc'),
                ('tmpfs', '/sys/fs'), ('tmpfs', '/dev/shm'),
                ('tmpfs', '/etc/hosts'), ('tmpfs', '/run,/run'),
                ('tmpfs', '/var/lib/cloud/seed/config_drive'),
                ('tmpfs', '/var/lib/cloud/seed/config_drive/x'),
                ('tmpfs', '/var/lib'),
                ('tmpfs', '/run:'), ('tmpfs', '/run:dev'),
                ('tmpfs', '/run:suid'), ('tmpfs', '/run:size=50%'),
                ('tmpfs', '/run:size=1m:mode=1'), ('tmpfs', 'size=1m,/run'),
                ('tmpfs', '/run:mode=999'), ('tmpfs', '/run,')):
            error = self.assertRaises(
                ValueError, environment.host_config, {name: value})
            self.assertIn(f'docker_{name}', str(error), value)
