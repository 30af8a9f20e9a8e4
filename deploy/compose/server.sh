#!/bin/sh
# Runs in temporalio/server before its own entrypoint. The server takes the password
# from its environment only; put there by us, it is in no `docker inspect`.
set -eu
. /etc/triplicate/password.sh
POSTGRES_PWD=$(password)
export POSTGRES_PWD
exec /etc/temporal/entrypoint.sh
