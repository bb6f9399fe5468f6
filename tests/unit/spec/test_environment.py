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

    def test_value_that_nova_cut_is_refused(self):
        self.assertEqual({'user': 'x' * 254}, environment.properties(
            {'image_docker_user': 'x' * 254}))
        error = self.assertRaises(
            ValueError, environment.properties,
            {'image_docker_user': 'x' * 255})
        self.assertIn('docker_user', str(error))


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
                            ('privileged', 'true')):
            error = self.assertRaises(
                ValueError, environment.config, {name: value}, None)
            self.assertIn(f'docker_{name}', str(error))

    def test_bad_os_command_line(self):
        error = self.assertRaises(
            ValueError, environment.config, {}, "sh -c 'x")
        self.assertIn('os_command_line', str(error))
