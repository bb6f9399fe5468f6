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

from nova_docker.spec import tmpfs


class ParseTest(base.BaseTestCase):

    def test_paths_and_options(self):
        self.assertEqual(
            {'/a': 'mode=1777,uid=1', '/b': 'size=64m', '/c': ''},
            tmpfs.parse('/a:mode=1777,uid=1,/b:size=64m,/c'))

    def test_what_a_server_needs_is_not_hidden(self):
        for path in ('/', '/etc', '/usr/bin', '/proc', '/sys/fs', '/dev/shm',
                     '/etc/hosts', '/var/lib', '/var/lib/cloud/seed/'
                     'config_drive', '/a/../etc', 'run', '/run,/run', ''):
            self.assertRaises(ValueError, tmpfs.parse, path)

    def test_other_options(self):
        for option in ('', 'dev', 'suid', 'size=50%', 'mode=999'):
            self.assertRaises(ValueError, tmpfs.parse, f'/run:{option}')
