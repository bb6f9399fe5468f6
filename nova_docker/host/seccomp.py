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

"""The operator's own seccomp profiles."""

import json
import os

#: Those that the engine has itself.
OF_ENGINE = ('builtin', 'unconfined')


def read(directory: str, name: str) -> str:
    """A profile as the engine wants it.

    Source: https://docs.docker.com/engine/security/seccomp/

    :param name: that :mod:`nova_docker.spec.extra_specs` has nothing against
    :raises OSError: there is none
    :raises ValueError: it is not JSON
    """
    with open(os.path.join(directory, f'{name}.json'),
              encoding='utf-8') as file:
        return json.dumps(json.load(file))
