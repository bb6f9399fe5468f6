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

"""A container's files in another container, with each image store."""

from nova import exception

from nova_docker.volume import rootfs
from tests.integration.volume import base


class Cases:
    """What holds for each store."""

    def test_edit(self):
        command = ('echo $0 >> /conf; cat /conf; ls / | grep -c tmp; '
                   'rm -rf /tmp /new')
        original, output = self.run_container(command, 'original')
        self.assertEqual(['sh', '1'], output)
        mount = rootfs.mount(
            self.engine, self.engine.inspect_container(original)['Id'],
            '/mnt')
        editor, output = self.run_container(
            'cat /mnt/conf; ls /mnt | grep -c tmp; touch /mnt/new; '
            'echo edited > /mnt/conf; rm -f /mnt/bin/false',
            'editor', **self.device(mount))
        self.assertEqual(['sh', '0'], output)
        # It is mounted again at each start, and nowhere else.
        self.assertEqual('edited', self.output(editor)[-2])
        with open('/proc/self/mounts') as mounts:
            self.assertNotIn(mount['options'][1], mounts.read())
        self.assertEqual(['edited', 'sh', '0'], self.output(original)[-3:])
        self.assertIn('kept', self.run_container(
            'ls /bin/false && echo kept', 'other')[1])


class ClassicStoreTestCase(Cases, base.ClassicStore):
    pass


class ContainerdStoreTestCase(Cases, base.ContainerdStore):

    def test_no_such_containerd(self):
        self.told['Containerd'] = {'Address': '/absent'}
        original, _output = self.run_container('true', 'original')
        error = self.assertRaises(
            exception.Invalid, rootfs.mount, self.engine, original, '/mnt')
        self.assertIn('/absent', str(error))
