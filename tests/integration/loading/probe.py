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


"""Prints as JSON what nova-compute finds; run by test_loading in a venv.

It is nova-compute's own main() up to where the service would be created.
"""

from nova.cmd import compute  # first: chooses Nova's concurrency

import json
import sys
import typing

import docker
import nova
from nova.api.validation.extra_specs import validators
from nova import service
from nova.virt import driver

import nova_docker


def _create(**_unused: typing.Any) -> typing.NoReturn:
    loaded = driver.load_compute_driver(None)
    json.dump({
        'class': f'{type(loaded).__module__}.{type(loaded).__name__}',
        'nova': nova.__file__,
        'driver': nova_docker.__file__,
        'client': hasattr(docker, 'APIClient'),
        'extra_specs': [name for name in validators.VALIDATORS
                        if name.startswith('docker:')],
    }, sys.stdout)
    sys.exit(0)


service.Service.create = _create
compute.main()
