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

"""Each documented command is typed by a test, or on a short list."""

from oslotest import base

from tests.fixtures import documented

_TEXT = r"""
Some text::

  # pip install ./nova-docker
  # /etc/nova/nova.conf
  compute_driver = docker.DockerDriver

and more::

  openstack docker image create busybox --from docker-daemon:busybox \
      --property os_command_line='sleep infinity'
  pip install .       # in a clone

* a list

  .. code-block:: console

     $ unknown to all
     its output

.. code-block:: ini

   docker = none

openstack is no command here.

::

  $ cd /opt \
     /more
"""


class BlocksTest(base.BaseTestCase):

    def test_blocks(self):
        self.assertEqual([
            ['pip install ./nova-docker'],
            ['openstack docker image create busybox --from '
             "docker-daemon:busybox --property os_command_line='sleep "
             "infinity'", 'pip install .'],
            ['unknown to all'], ['cd /opt /more']],
            list(documented.blocks(_TEXT)))


class CommandsTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.found = {
            file.name: [command for block in documented.blocks(
                file.read_text()) for command in block]
            for file in documented.FILES}

    def test_found(self):
        self.assertIn('tools/cloud demo', self.found['README.rst'])
        self.assertIn('pip install ./nova-docker', self.found['index.rst'])
        for commands in self.found.values():
            self.assertTrue(commands)

    def test_each_file_is_typed(self):
        text = (documented.ROOT / 'tests/integration/cloud/'
                'test_documented.py').read_text()
        for file in documented.FILES:
            self.assertIn(f"'{file.relative_to(documented.ROOT)}'", text)

    def test_those_not_typed(self):
        known = {each for commands in self.found.values()
                 for each in commands}
        self.assertEqual(set(), documented.NOT_RUN.keys() - known)
        self.assertLessEqual(len(documented.NOT_RUN), len(known) // 3)
