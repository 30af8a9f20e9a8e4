#!/bin/sh
# Runs in temporalio/admin-tools, whose sh is busybox's: makes the two databases, or
# brings their tables to the version of the image. Repeating it changes nothing; a
# version is never lowered.
set -eu
. /etc/triplicate/password.sh
SQL_PASSWORD=$(password) # from the environment, never from the arguments
export SQL_PASSWORD

schema() { # database, the name of its schema inside the tool
	temporal-sql-tool --db "$1" create
	temporal-sql-tool --db "$1" setup-schema -v 0.0
	temporal-sql-tool --db "$1" update-schema --schema-name "postgresql/v12/$2"
}
schema temporal temporal
schema temporal_visibility visibility
