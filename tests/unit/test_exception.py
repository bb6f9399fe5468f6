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


from nova import exception as nova_exception
from oslotest import base

from nova_docker import exception


class HostUnusableTest(base.BaseTestCase):

    def test_message_is_the_reason(self):
        error = exception.HostUnusable(reason='Start the engine.')
        self.assertEqual('Start the engine.', str(error))
        self.assertIsInstance(error, nova_exception.NovaException)


class TrunkUnsupportedTest(base.BaseTestCase):

    def test_kinds(self):
        error = exception.TrunkUnsupported(reason='Not this one.')
        self.assertEqual('Not this one.', error.format_message())
        self.assertIsInstance(error,
                              nova_exception.VirtualInterfacePlugException)
        # With which Nova tries no other host.
        self.assertIsInstance(error, nova_exception.InvalidInput)
