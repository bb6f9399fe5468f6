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

from nova_docker.console import replay


class UnseenTest(base.BaseTestCase):

    def test_unseen(self):
        for seen, log, wanted in (
                (b'', b'all', b'all'), (b'old', b'oldnew', b'new'),
                (b'x' * 300 + b'old', b'x' * 300 + b'oldnew', b'new'),
                (b'gone', b'other', b'other'), (b'aba', b'ababa', b''),
                (b'old', b'', b'')):
            self.assertEqual(wanted, replay.unseen(seen, log))


class JoinedTest(base.BaseTestCase):

    def test_joined(self):
        for log, live, wanted in (
                (b'old', b'', b'old'), (b'', b'new', b'new'),
                (b'old', b'new', b'oldnew'), (b'oldab', b'abc', b'oldabc'),
                (b'a' * 9, b'a' * 5, b'a' * 9),
                (b'old' + b'x' * 900, b'x' * 900 + b'new',
                 b'old' + b'x' * 900 + b'new'),
                (b'y\ny\ny', b'y\ny\nz', b'y\ny\ny\nz')):
            self.assertEqual(wanted, replay.joined(log, live), (log, live))
