#!/bin/sh
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

#
# hook.sh STATE_DIR INSTANCE_UUID
#
# The engine runs this as root at every start of an instance's container, when
# its namespaces exist and before its first instruction. The OCI state is on
# stdin. It asks nova-compute to plug the network and waits for the answer: the
# exit status decides whether the container starts. The files it makes are
# described in nova_docker/network/plans.py.

fail() {
    echo "nova-docker: $1" >&2
    exit 1
}

# The directories are closed to all but nova-compute, so these files need not.
umask 0
requests=$1/requests
hooks=$1/instances/$2/hooks

state=$(cat)
pid=${state#*\"pid\"}
pid=${pid#*:}
pid=${pid# }
pid=${pid%%[!0-9]*}
[ -n "$pid" ] || fail 'no pid in the OCI state'

# Field 22 of proc_pid_stat(5): a later process may have the same pid.
read -r stat < /proc/$$/stat
# shellcheck disable=SC2086
set -- "$2" ${stat##*) }
me=$$-${21}

[ -d "$hooks" ] || fail "no directory $hooks"
[ -p "$requests" ] || fail "no FIFO $requests"
trap 'rm -f "$hooks/$me.tmp" "$hooks/$me.state" "$hooks/$me.go"' EXIT
trap 'exit 1' HUP INT TERM
mkfifo "$hooks/$me.go" || fail 'no FIFO for the answer'
# Opened for both, it blocks neither here nor there.
exec 3<> "$hooks/$me.go"
printf '%s\n' "$state" > "$hooks/$me.tmp" &&
    mv "$hooks/$me.tmp" "$hooks/$me.state" || fail 'cannot write the state'

# The engine may die, or kill the container, while its start waits here.
(
    exec 3<&-
    while kill -0 "$pid" && kill -0 $$; do
        sleep 1
    done
    kill $$
) < /dev/null > /dev/null 2>&1 &
watch=$!

# Opened for both again: without nova-compute nobody reads this, and it finds
# the state when it comes back.
echo "$1 $me" 1<> "$requests"
read -r answer <&3
kill "$watch"
[ "$answer" = go ] || fail 'the network of the instance could not be plugged'
