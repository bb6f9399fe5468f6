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


"""The traits that this driver sets on the compute node's provider. Pure.

Operators and other services set traits on the same provider. :func:`stale`
tells which of the present ones are ours to remove; no other is touched.
"""

import collections.abc
import re

from nova.objects import fields
import os_traits

from nova_docker.host import info as host_info

DOCKER = 'CUSTOM_DOCKER'
_RUNTIME = 'CUSTOM_DOCKER_RUNTIME_'
_CGROUP = 'CUSTOM_DOCKER_CGROUP_V'
USERNS_REMAP = 'CUSTOM_DOCKER_USERNS_REMAP'
LIVE_RESTORE = 'CUSTOM_DOCKER_LIVE_RESTORE'
CHECKPOINT = 'CUSTOM_DOCKER_CHECKPOINT'
PRIVILEGED = 'CUSTOM_DOCKER_PRIVILEGED'
LXCFS = 'CUSTOM_DOCKER_LXCFS'
_ROOT_DISK = 'CUSTOM_DOCKER_ROOT_DISK_'

#: Flags of /proc/cpuinfo whose traits are not called as the flag. Those that
#: only a virtual machine could use (vmx, svm, sev) are left out.
_X86_NAMES = {
    'abm': os_traits.HW_CPU_X86_ABM,
    'aes': os_traits.HW_CPU_X86_AESNI,
    'amx_bf16': os_traits.HW_CPU_X86_AMXBF16,
    'amx_int8': os_traits.HW_CPU_X86_AMXINT8,
    'amx_tile': os_traits.HW_CPU_X86_AMXTILE,
    'avx512_bitalg': os_traits.HW_CPU_X86_AVX512BITALG,
    'avx512_vbmi2': os_traits.HW_CPU_X86_AVX512VBMI2,
    'avx512_vnni': os_traits.HW_CPU_X86_AVX512VNNI,
    'avx512_vpopcntdq': os_traits.HW_CPU_X86_AVX512VPOPCNTDQ,
    'bmi1': os_traits.HW_CPU_X86_BMI,
    'fma': os_traits.HW_CPU_X86_FMA3,
    'gfni': os_traits.HW_CPU_X86_AVX512GFNI,
    'pclmulqdq': os_traits.HW_CPU_X86_CLMUL,
    'pni': os_traits.HW_CPU_X86_SSE3,
    'rtm': os_traits.HW_CPU_X86_TSX,
    'sha_ni': os_traits.HW_CPU_X86_SHA,
    'sse4_1': os_traits.HW_CPU_X86_SSE41,
    'sse4_2': os_traits.HW_CPU_X86_SSE42,
    'vaes': os_traits.HW_CPU_X86_AVX512VAES,
    'vpclmulqdq': os_traits.HW_CPU_X86_AVX512VPCLMULQDQ,
}
_X86_SAME = ('3dnow', 'avx', 'avx2', 'avx512bw', 'avx512cd', 'avx512dq',
             'avx512er', 'avx512f', 'avx512ifma', 'avx512pf', 'avx512vbmi',
             'avx512vl', 'bmi2', 'f16c', 'fma4', 'mmx', 'mpx', 'pdpe1gb',
             'sse', 'sse2', 'sse4a', 'ssse3', 'stibp', 'tbm', 'xop')

_AARCH64 = 'HW_CPU_AARCH64_'
_CPU = {
    fields.Architecture.X86_64: {
        **_X86_NAMES,
        **{flag: f'HW_CPU_X86_{flag.upper()}' for flag in _X86_SAME}},
    fields.Architecture.AARCH64: {
        trait.removeprefix(_AARCH64).lower(): trait
        for trait in os_traits.get_traits(_AARCH64)},
}
_CPU[fields.Architecture.I686] = _CPU[fields.Architecture.X86_64]

_OWN = frozenset(
    {DOCKER, USERNS_REMAP, LIVE_RESTORE, CHECKPOINT, PRIVILEGED, LXCFS,
     os_traits.HW_CPU_HYPERTHREADING}
    | set(os_traits.get_traits('HW_ARCH_'))
    | {trait for traits in _CPU.values() for trait in traits.values()})


def of(host: host_info.HostInfo, root_disk: str,
       checkpoint: bool = False, privileged: bool = False,
       has_lxcfs: bool = False) -> set[str]:
    """The traits of a host, other than those of the capabilities.

    :param root_disk: how root disks are held to their sizes
    :param checkpoint: whether suspended servers become checkpoints
    :param privileged: whether flavors may give servers power over it
    :param has_lxcfs: whether servers see their own limits in /proc
    """
    traits = {DOCKER, _ROOT_DISK + _custom(root_disk)}
    traits |= {trait for flag, trait in _CPU.get(host.arch, {}).items()
               if flag in host.cpu.features}
    traits |= {f'HW_ARCH_{host.arch.upper()}'} & _OWN
    traits |= {_RUNTIME + _custom(name) for name in host.runtimes}
    if host.cpu.threads > 1:
        traits.add(os_traits.HW_CPU_HYPERTHREADING)
    if host.cgroup_version:
        traits.add(_CGROUP + _custom(host.cgroup_version))
    if host.userns_remap:
        traits.add(USERNS_REMAP)
    if checkpoint:
        traits.add(CHECKPOINT)
    if privileged:
        traits.add(PRIVILEGED)
    if has_lxcfs:
        traits.add(LXCFS)
    if host.live_restore:
        traits.add(LIVE_RESTORE)
    return traits


def stale(present: collections.abc.Iterable[str],
          wanted: collections.abc.Set[str]) -> set[str]:
    """The present traits that the driver sets itself and no longer wants."""
    return {trait for trait in present
            if trait not in wanted
            and (trait in _OWN or trait.startswith(
                (_RUNTIME, _CGROUP, _ROOT_DISK)))}


def _custom(name: str) -> str:
    # Letters, digits and _ are all that Placement allows. A name such as
    # io.containerd.runc.v2 becomes IO_CONTAINERD_RUNC_V2.
    return re.sub(r'[^A-Z0-9_]', '_', name.upper())
