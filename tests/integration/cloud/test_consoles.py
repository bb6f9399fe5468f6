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

"""Consoles as their users have them: in a browser, by Nova's proxies."""

from tests.integration.cloud import base
from tests.integration.cloud import browser


class ConsolesTest(base.CloudTestCase):

    def setUp(self):
        super().setUp()
        self.server = self.create('console')
        self.browser = self.useFixture(
            browser.Browser(self._testMethodName))

    def test_serial(self):
        self.browser.open_serial(self.console_url(self.server, 'serial'))
        self.browser.try_shell()

    def test_vnc(self):
        self.browser.open_vnc(self.console_url(self.server, 'vnc', 'novnc'))
        self.browser.try_shell()
