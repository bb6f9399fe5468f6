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

from nova_docker.spec import bandwidth


class BandwidthTest(base.BaseTestCase):

    def of(self, **values):
        return bandwidth.of_flavor({
            f'quota:vif_{key}': str(value) for key, value in values.items()})

    def test_no_limits(self):
        self.assertEqual(bandwidth.Limits(None, None), self.of())
        self.assertEqual(self.of(), self.of(inbound_average=0,
                                            outbound_peak=0))
        self.assertEqual(self.of(), bandwidth.of_flavor(
            {'quota:cpu_quota': 'x'}))

    def test_units(self):
        limits = self.of(outbound_average=1000, outbound_peak=3000,
                         outbound_burst=50)
        self.assertIsNone(limits.inbound)
        self.assertEqual(bandwidth.Limit(
            rate=1_000_000, ceiling=3_000_000, burst=51_200, queue=33),
            limits.outbound)

    def test_without_peak_and_burst(self):
        limit = self.of(inbound_average=1).inbound
        self.assertEqual(bandwidth.Limit(
            rate=1000, ceiling=2 ** 32 - 1, burst=65536, queue=32), limit)
        limit = self.of(inbound_average=1_250_000).inbound
        self.assertEqual(12_500_000, limit.burst)
        self.assertEqual(1000, limit.queue)

    def test_largest(self):
        limit = self.of(inbound_average=4294967, inbound_peak=4294967,
                        inbound_burst=4194303).inbound
        for value in (limit.rate, limit.ceiling, limit.burst):
            self.assertLess(value, 2 ** 32)

    def test_refused(self):
        for values, words in (
                ({'inbound_average': 'x'}, "inbound_average='x' is not"),
                ({'outbound_average': -1}, 'not within 0 and 4294967'),
                ({'outbound_average': 4294968}, 'not within'),
                ({'outbound_burst': 4194304}, 'not within'),
                ({'inbound_peak': 1}, 'need quota:vif_inbound_average'),
                ({'inbound_burst': 1, 'outbound_average': 1},
                 'need quota:vif_inbound_average'),
                ({'inbound_average': 2, 'inbound_peak': 1}, 'is below'),
                ({'inbound_average': 1, 'inbound_burst': 264},
                 'more than 270 seconds')):
            error = self.assertRaises(ValueError, self.of, **values)
            self.assertIn(words, str(error))
        self.of(inbound_average=1, inbound_burst=263)
