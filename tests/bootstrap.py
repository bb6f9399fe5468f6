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

"""What must happen before the first import of Nova's code in a test process.

The packages of tests that use Nova call :func:`install` first thing.
"""

import ctypes
import functools
import importlib.metadata
import os
import subprocess
import sys

_CLONE_NEWNET = 0x40000000


def nova_series() -> int:
    """The first number of the version of Nova that is installed."""
    return int(importlib.metadata.version('nova').split('.')[0])


@functools.cache
def install() -> None:
    """Choose Nova's concurrency, make the driver loadable (once)."""
    # As nova-compute of that release does; Nova 33's own fixtures do not
    # work on native threads. Nova 34 reads sys.argv without this variable.
    os.environ.setdefault(
        'OS_NOVA_DISABLE_EVENTLET_PATCHING', str(nova_series() >= 34))
    from nova import monkey_patch
    monkey_patch.patch()

    # Nova's fixtures read all of its policy for each test.
    import yaml
    yaml.SafeLoader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)

    from nova_docker import loading
    loading.install()
    _find_api_paste()


def omit_policy() -> None:
    """Let tests begin without the policy of Nova's API.

    To set it up takes longer than most of them, and the API alone asks it.
    """
    import fixtures
    from nova.tests import fixtures as nova_fixtures

    nova_fixtures.PolicyFixture = fixtures.Fixture


@functools.cache
def own_network() -> None:
    """Move this process into a network namespace of its own (once).

    Nova's fake Neutron has always the same ports: without it their devices
    would meet those of another test run, or of a cloud, on this machine.
    Threads inherit it, so it must come before the first of them.

    :raises OSError: this process is not root's
    """
    # os.unshare is new in Python 3.12.
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), 'unshare')
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)


def _find_api_paste() -> None:
    """Let Nova's ConfFixture find api-paste.ini of an installed Nova.

    A wheel puts it under the prefix of the environment, not beside the code.
    """
    from nova.conf import paths

    installed = os.path.join(sys.prefix, 'etc/nova/api-paste.ini')
    if os.path.exists(installed):
        paths.state_path_def = lambda *names: os.path.join(sys.prefix, *names)
