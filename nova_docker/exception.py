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


"""Exceptions of the driver.

Only for what never crosses RPC: there Nova knows only the classes of
nova.exception, and anything else arrives as an error 500.
"""

from nova import exception


class HostUnusable(exception.NovaException):
    """This host cannot run instances as it is; init_host fails with it."""

    msg_fmt = '%(reason)s'


class TrunkUnsupported(exception.VirtualInterfacePlugException,
                       exception.InvalidInput):
    """A trunk has what no container can have.

    It is one more port that can't be plugged, but Nova tries no other host, as
    with invalid input. It crosses no RPC: at an attach, Nova
    raises one of its own, and elsewhere nobody waits for an answer.
    """

    msg_fmt = '%(reason)s'
