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

from nova_docker.spec import limits

HOST = limits.Limits(pids_limit=100, cpu_hard_cap=True)
SOFT = limits.Limits(pids_limit=100, cpu_hard_cap=False)
MIB = 1024 ** 2


def config(vcpus=2, memory_mb=64, swap_mb=0, host=HOST, docker=None,
           cpus=limits.ANY, **extra_specs):
    specs = {key.replace('__', ':'): value
             for key, value in extra_specs.items()}
    return limits.host_config(vcpus, memory_mb, swap_mb, specs, docker or {},
                              host, cpus)


class LimitsTest(base.BaseTestCase):

    def test_flavor_alone(self):
        self.assertEqual(
            {'CpuShares': 2048, 'CpuPeriod': 100000, 'CpuQuota': 200000,
             'Memory': 64 * MIB, 'MemorySwap': 64 * MIB, 'PidsLimit': 100},
            config())

    def test_swap_is_capped_at_the_flavor(self):
        self.assertEqual(96 * MIB, config(swap_mb=32)['MemorySwap'])

    def test_soft_cap_only_weighs(self):
        found = config(host=SOFT)
        self.assertEqual(2048, found['CpuShares'])
        self.assertNotIn('CpuQuota', found)
        self.assertNotIn('CpuPeriod', found)

    def test_quota_is_per_vcpu(self):
        found = config(vcpus=4, quota__cpu_quota='25000',
                       quota__cpu_period='50000')
        self.assertEqual((50000, 100000),
                         (found['CpuPeriod'], found['CpuQuota']))

    def test_quota_wins_over_soft_cap(self):
        self.assertEqual(
            20000, config(host=SOFT, quota__cpu_quota='10000')['CpuQuota'])

    def test_no_quota_lifts_the_cap(self):
        for value in ('0', '-1'):
            self.assertNotIn('CpuQuota', config(quota__cpu_quota=value))

    def test_period_alone_keeps_whole_cpus(self):
        found = config(quota__cpu_period='20000')
        self.assertEqual((20000, 40000),
                         (found['CpuPeriod'], found['CpuQuota']))

    def test_shares(self):
        self.assertEqual(10, config(quota__cpu_shares='10')['CpuShares'])
        self.assertEqual(262144, config(vcpus=1000)['CpuShares'])

    def test_pids(self):
        self.assertEqual(50, config(docker={'pids_limit': 50})['PidsLimit'])

    def test_memory_of_the_flavor(self):
        found = config(docker={'memory_reservation_mb': 64,
                               'shm_size_mb': 8})
        self.assertEqual((64 * MIB, 8 * MIB),
                         (found['MemoryReservation'], found['ShmSize']))

    def test_reservation_above_the_memory(self):
        error = self.assertRaises(
            ValueError, config, docker={'memory_reservation_mb': 65})
        self.assertIn('docker:memory_reservation_mb=65', str(error))

    def test_kernel(self):
        found = config(docker={
            'ulimit_nofile': (1, 2), 'ulimit_core': (0, -1),
            'sysctl_net.core.somaxconn': '5', 'oom_score_adj': 7})
        self.assertEqual([{'Name': 'nofile', 'Soft': 1, 'Hard': 2},
                          {'Name': 'core', 'Soft': 0, 'Hard': -1}],
                         found['Ulimits'])
        self.assertEqual({'net.core.somaxconn': '5'}, found['Sysctls'])
        self.assertEqual(7, found['OomScoreAdj'])

    def test_shared_cpus(self):
        self.assertEqual({}, limits.cpuset(limits.ANY))
        self.assertEqual(
            {'CpusetCpus': '0,3,11', 'CpusetMems': '0,1'}, limits.cpuset(
                limits.Cpus(frozenset((3, 0, 11)), frozenset((1, 0)))))

    def test_dedicated_cpus_need_no_cap(self):
        cpus = limits.Cpus(frozenset((2, 3)), frozenset((0,)), True)
        found = config(cpus=cpus)
        self.assertEqual('2,3', found['CpusetCpus'])
        self.assertNotIn('CpuQuota', found)
        self.assertEqual(20000, config(
            cpus=cpus, quota__cpu_quota='10000')['CpuQuota'])

    def test_locked_memory(self):
        self.assertNotIn('Ulimits', config(hw__locked_memory='no'))
        self.assertEqual(
            [{'Name': 'memlock', 'Soft': -1, 'Hard': -1}],
            config(hw__locked_memory='yes',
                   docker={'ulimit_memlock': (1, 1)})['Ulimits'])

    def test_bad_values_are_refused(self):
        for spec, value in (('quota__cpu_shares', '1'),
                            ('quota__cpu_shares', 'many'),
                            ('quota__cpu_period', '999'),
                            ('quota__cpu_period', '1000001'),
                            ('quota__cpu_quota', '100'),
                            ('quota__cpu_quota', '1.5')):
            error = self.assertRaises(ValueError, config, **{spec: value})
            self.assertIn(spec.replace('__', ':'), str(error))

    def test_too_little_memory(self):
        self.assertEqual(6 * MIB, config(memory_mb=6)['Memory'])
        self.assertRaises(ValueError, config, memory_mb=5)
