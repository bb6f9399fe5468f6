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

"""nova-compute or dockerd gets SIGKILL in the middle of a cold migration."""

import unittest

from nova.compute import vm_states
from nova import exception

from tests.fixtures import deaths
from tests.integration import killed
from tests.integration.lifecycle import base


class NovaComputeTest(base.MovingTestCase):

    #: Things that each verb does for sure.
    least = {'leave': 36, 'finish': 85, 'confirm': 11, 'go_back': 27,
             'bring_back': 75}

    def test_leave(self):
        for _killed in self.kills(self.leave, self.least['leave']):
            self.end_leave()
            self.assert_only_at(self.source)
            self.is_at(self.source, self.small)

    def test_finish(self):
        self.left()
        self.is_at(self.target, self.large)
        for _killed in self.kills(self.finish, self.least['finish']):
            self.reset(self.target, self.large)
            self.swap()
            self.left()
            self.is_at(self.target, self.large)
        self.is_at(self.target, self.large, vm_state=vm_states.RESIZED)
        self.at(self.source)
        self.compute(self.confirm)
        self.assert_only_at(self.target)

    def test_confirm(self):
        self.finished()
        self.at(self.source)
        for _killed in self.kills(self.confirm, self.least['confirm']):
            self.reset(self.target, self.large)
            self.swap()
            self.finished()
            self.at(self.source)
        self.assert_only_at(self.target)

    def test_go_back(self):
        self.going_back()
        for _killed in self.kills(self.destroy, self.least['go_back']):
            self.reset(self.target, self.large)
            self.swap()
            self.going_back()
        self.reset(self.target, self.large)

    def test_bring_back(self):
        self.gone_back()
        for _killed in self.kills(self.bring_back, self.least['bring_back']):
            self.reset(self.source, self.small)
            self.gone_back()
        self.assert_whole_at(self.source)


class DockerdTest(NovaComputeTest):
    """The engine of the host on which something is done is killed.

    Before each request, as nobody sees it die between two.
    """

    least = {'leave': 9, 'finish': 8, 'confirm': 5, 'go_back': 5,
             'bring_back': 9}

    def setUp(self):
        self.failed = base.FORK.Value('b', False)
        super().setUp()

    def alone(self, work, number=None):
        if number is None:
            return super().alone(work)
        self.failed.value = False

        def fails(compute):
            try:
                work(compute)
            except exception.NovaException:
                self.failed.value = True
        engine = self.hosts[self.host].engine
        if deaths.survives(number, self.start, fails, engine.kill,
                           deaths.REQUESTS):
            return True
        engine.start()
        return False

    def end_leave(self):
        """Nova rolls it back, or goes on; an administrator reboots it."""
        if self.failed.value:
            self.is_at(self.source, self.small)
            self.compute(self.reboot)
        else:
            self.reset(self.target, self.large)
            self.swap()


class Here:
    """A resize, on the same host."""

    target = base.MovingTestCase.source
    disk_info = ''
    least = {'leave': 25, 'finish': 85, 'confirm': 8, 'go_back': 27,
             'bring_back': 75}

    def compute(self, work, number=None):
        return self.alone(work, number)


@unittest.skipUnless(killed.LONG, killed.WHY)
class NovaComputeHereTest(Here, NovaComputeTest):
    pass


@unittest.skipUnless(killed.LONG, killed.WHY)
class DockerdHereTest(Here, DockerdTest):
    least = {'leave': 8, 'finish': 10, 'confirm': 5, 'go_back': 5,
             'bring_back': 9}
