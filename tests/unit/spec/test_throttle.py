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

from nova_docker.spec import throttle


def of(**specs):
    return throttle.of_flavor({
        f'quota:disk_{name}_sec': value for name, value in specs.items()})


class FlavorTest(base.BaseTestCase):

    def test_nothing(self):
        limits = throttle.of_flavor({'quota:cpu_shares': '9'})
        self.assertFalse(limits)
        self.assertFalse(of(read_bytes='0', total_iops='0'))

    def test_each(self):
        self.assertEqual(throttle.Limits(1, 2, 3, 4), of(
            read_bytes='1', write_bytes='2', read_iops='3', write_iops='4'))

    def test_of_a_total_each_direction_has_half(self):
        self.assertEqual(throttle.Limits(5, 5, 0, 7), of(
            total_bytes='10', write_iops='7'))
        self.assertEqual(throttle.Limits(0, 0, 1, 1), of(total_iops='3'))

    def test_bad_values(self):
        for specs in ({'read_bytes': 'x'}, {'read_bytes': '-1'},
                      {'write_iops': str(2**32)}, {'total_bytes': '1'},
                      {'read_bytes': str(2**63)},
                      {'total_bytes': '9', 'read_bytes': '1'},
                      {'total_iops': '9', 'write_iops': '1'}):
            error = self.assertRaises(ValueError, of, **specs)
            self.assertIn('quota:disk_', str(error))


class VolumeTest(base.BaseTestCase):

    def of(self, **specs):
        return throttle.of_volume({'data': {'qos_specs': specs}})

    def test_nothing(self):
        for connection in ({}, {'data': {}}, {'data': {'qos_specs': None}}):
            self.assertFalse(throttle.of_volume(connection))
        self.assertFalse(self.of(vendor_priority='high'))

    def test_each(self):
        self.assertEqual(throttle.Limits(4, 4, 3, 0), self.of(
            total_bytes_sec=8, read_iops_sec='3'))

    def test_more_for_a_while(self):
        for name in ('read_bytes_sec_max', 'total_iops_sec_max',
                     'size_iops_sec'):
            error = self.assertRaises(ValueError, self.of, **{name: '9'})
            self.assertIn(name, str(error))


class TextTest(base.BaseTestCase):

    def test_there_and_back(self):
        for limits in (throttle.Limits(), throttle.Limits(1, 2, 3, 4)):
            self.assertEqual(limits, throttle.Limits.parse(str(limits)))
        self.assertEqual('', str(throttle.Limits()))
