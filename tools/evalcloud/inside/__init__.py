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

"""What runs on the libraries of the cloud's venv, not on stock Python."""

import sys
import typing

from openstack import exceptions


def run(main: typing.Callable[[], None]) -> None:
    """Run a module's main function; a fault of the cloud in one line."""
    try:
        main()
    except exceptions.SDKException as error:
        sys.exit(f'{type(error).__name__}: {error}')
