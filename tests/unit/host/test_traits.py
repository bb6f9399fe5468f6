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


import dataclasses

import os_traits
from oslotest import base

from nova_docker.host import info
from nova_docker.host import traits
from tests.unit.host import test_inventory


class TraitsTest(base.BaseTestCase):

    def of(self, flags='', threads=1, **changes):
        cpu = dataclasses.replace(
            test_inventory.HOST.cpu, features=frozenset(flags.split()),
            threads=threads)
        return traits.of(dataclasses.replace(
            test_inventory.HOST, cpu=cpu, **changes), 'filesystem')

    def test_plain_host(self):
        self.assertEqual(
            {'CUSTOM_DOCKER', 'CUSTOM_DOCKER_CGROUP_V2',
             'CUSTOM_DOCKER_ROOT_DISK_FILESYSTEM',
             'CUSTOM_DOCKER_RUNTIME_RUNC', 'HW_ARCH_X86_64'}, self.of())

    def test_cpu_flags(self):
        self.assertLessEqual(
            {'HW_CPU_X86_SSE42', 'HW_CPU_X86_SSE3', 'HW_CPU_X86_AESNI',
             'HW_CPU_X86_AVX512VNNI', 'HW_CPU_X86_AVX2'},
            self.of('sse4_2 pni aes avx512_vnni avx2 fpu'))

    def test_no_trait_that_needs_a_virtual_machine(self):
        self.assertEqual(self.of(), self.of('vmx svm sev'))

    def test_flags_of_another_architecture(self):
        found = self.of('aes asimd sse', arch='aarch64')
        self.assertIn('HW_CPU_AARCH64_AES', found)
        self.assertIn('HW_CPU_AARCH64_ASIMD', found)
        self.assertNotIn('HW_CPU_X86_AESNI', found)
        self.assertIn('HW_ARCH_AARCH64', found)

    def test_hyperthreading(self):
        self.assertIn('HW_CPU_HYPERTHREADING', self.of(threads=2))

    def test_engine(self):
        found = self.of(
            runtimes=frozenset({'io.containerd.kata.v2', 'runsc'}),
            cgroup_version='1', live_restore=True,
            security_options=frozenset({'userns'}))
        self.assertLessEqual(
            {'CUSTOM_DOCKER_RUNTIME_IO_CONTAINERD_KATA_V2',
             'CUSTOM_DOCKER_RUNTIME_RUNSC', 'CUSTOM_DOCKER_CGROUP_V1',
             'CUSTOM_DOCKER_LIVE_RESTORE', 'CUSTOM_DOCKER_USERNS_REMAP'},
            found)

    def test_privileged(self):
        self.assertEqual(
            {'CUSTOM_DOCKER_PRIVILEGED'},
            traits.of(test_inventory.HOST, 'filesystem', privileged=True) -
            traits.of(test_inventory.HOST, 'filesystem'))
        self.assertEqual({'CUSTOM_DOCKER_PRIVILEGED'}, traits.stale(
            ['CUSTOM_DOCKER_PRIVILEGED'], set()))

    def test_lxcfs(self):
        self.assertEqual(
            {'CUSTOM_DOCKER_LXCFS'},
            traits.of(test_inventory.HOST, 'filesystem', has_lxcfs=True) -
            traits.of(test_inventory.HOST, 'filesystem'))
        self.assertEqual({'CUSTOM_DOCKER_LXCFS'}, traits.stale(
            ['CUSTOM_DOCKER_LXCFS'], set()))

    def test_checkpoint(self):
        self.assertEqual(
            {'CUSTOM_DOCKER_CHECKPOINT'},
            traits.of(test_inventory.HOST, 'filesystem', True) -
            traits.of(test_inventory.HOST, 'filesystem'))
        self.assertEqual({'CUSTOM_DOCKER_CHECKPOINT'}, traits.stale(
            ['CUSTOM_DOCKER_CHECKPOINT'], set()))

    def test_placement_takes_them(self):
        every_flag = ' '.join([*info.cpu().features, 'pni', '3dnow', 'rtm'])
        found = self.of(every_flag, runtimes=frozenset({'a-b.c/d'}))
        standard, others = os_traits.check_traits(found)
        for trait in others:
            self.assertRegex(trait, r'^CUSTOM_[A-Z0-9_]+$')
        self.assertIn('HW_CPU_X86_TSX', standard)

    def test_every_cpu_trait_exists(self):
        # Misspelt, it would make Placement refuse all traits of the host.
        for by_flag in traits._CPU.values():
            self.assertEqual(
                set(), os_traits.check_traits(by_flag.values())[1])


class StaleTest(base.BaseTestCase):

    def test_only_own_traits_go(self):
        present = {'COMPUTE_NODE', 'OWNER_NOVA', 'CUSTOM_GOLD', 'HW_NIC_SRIOV',
                   'CUSTOM_DOCKER_FARM', 'CUSTOM_DOCKER',
                   'CUSTOM_DOCKER_RUNTIME_RUNSC', 'CUSTOM_DOCKER_CGROUP_V1',
                   'HW_CPU_X86_AVX512F', 'CUSTOM_DOCKER_LIVE_RESTORE',
                   'CUSTOM_DOCKER_ROOT_DISK_ENGINE'}
        self.assertEqual(
            {'CUSTOM_DOCKER_ROOT_DISK_ENGINE', 'CUSTOM_DOCKER_RUNTIME_RUNSC',
             'CUSTOM_DOCKER_CGROUP_V1', 'HW_CPU_X86_AVX512F',
             'CUSTOM_DOCKER_LIVE_RESTORE'},
            traits.stale(present, traits.of(test_inventory.HOST,
                                            'filesystem')))

    def test_all_that_is_set_can_go(self):
        wanted = traits.of(test_inventory.HOST, 'filesystem')
        self.assertEqual(wanted, traits.stale(wanted, set()))
