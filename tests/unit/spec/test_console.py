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

from nova_docker.spec import console


class ConsoleTest(base.BaseTestCase):

    def test_label(self):
        for wanted, tty, command in (
                (None, False, []), ([], True, []),
                (['sh', '-l'], True, ['sh', '-l']),
                (['tty'], False, ['tty'])):
            self.assertEqual(wanted, console.command(
                console.label(tty, command)))
        self.assertIsNone(console.command({}))
