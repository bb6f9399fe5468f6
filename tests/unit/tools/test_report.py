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

from evalcloud import report

_OUTPUT = """\
{0} tt.test_x.A.test_a [0.001769s] ... FAILED

Captured traceback:
~~~~~~~~~~~~~~~~~~~
    Traceback (most recent call last):

    KeyError: 'x'


During handling of the above exception, another exception occurred:

    testtools.matchers._impl.MismatchError: !=:
    reference = ('a', 1)
    actual    = ('b', 2)

{0} tt.test_x.A.test_b [0.002300s] ... ok
{1} setUpClass (tt.test_x.B) [0.000000s] ... FAILED

    RuntimeError: no cloud

==============================
Failed 2 tests - output below:
==============================

    KeyError: 'x'

 - Passed: 1
 - Skipped: 0
 - Failed: 2
"""


class ReportTestCase(base.BaseTestCase):

    def test_failures_and_numbers(self):
        read = report.Report()
        for line in _OUTPUT.splitlines():
            read.line(line)
        self.assertEqual({
            'tt.test_x.A.test_a': "testtools.matchers._impl.MismatchError: "
                                  "!=: reference = ('a', 1) "
                                  "actual    = ('b', 2)",
            'setUpClass (tt.test_x.B)': 'RuntimeError: no cloud',
        }, read.failed)
        self.assertEqual('1 passed, 0 skipped, 2 failed', read.detail())
